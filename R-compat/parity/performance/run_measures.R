# Pin performance measures computed from the formulas that rsimsum documents (those of Morris, White, Crowther,
# Stat Med 2019;38:2074-2102, table 6, and of White, Stata J 2010;10:369-385).  Base R alone: rsimsum itself is
# not needed.  Run in this folder: Rscript run_measures.R
source("../write_pins.R")

measures <- function(own, level = 0.95) {
  used <- own[!is.na(own$estimate), ]
  n <- nrow(used); b <- used$estimate; s <- used$std_error; truth <- used$truth[1]
  z <- qnorm(1 - (1 - level) / 2)
  empirical <- sd(b)
  mse <- mean((b - truth)^2); mcse_mse <- sqrt(sum(((b - truth)^2 - mse)^2) / (n * (n - 1)))
  model <- sqrt(mean(s^2)); mcse_model <- sqrt(var(s^2) / (4 * n * model^2))
  ratio <- model / empirical
  share <- function(x) c(mean(x), sqrt(mean(x) * (1 - mean(x)) / n))
  covered <- share(b - z * s <= truth & truth <= b + z * s)
  centred <- share(b - z * s <= mean(b) & mean(b) <= b + z * s)
  power <- share(abs(b) >= z * s)
  relative <- if (truth == 0) c(NA, NA) else c(mean(b / truth - 1), sd(b / truth - 1) / sqrt(n))
  list(n = n, failed = nrow(own) - n, mean = mean(b), bias = mean(b) - truth, mcse_bias = empirical / sqrt(n),
       relative_bias = relative[1], mcse_relative_bias = relative[2],
       empirical_se = empirical, mcse_empirical_se = empirical / sqrt(2 * (n - 1)),
       model_se = model, mcse_model_se = mcse_model,
       rmse = sqrt(mse), mcse_rmse = mcse_mse / (2 * sqrt(mse)),
       relative_error_model_se = 100 * (ratio - 1),
       mcse_relative_error_model_se = 100 * ratio * sqrt(var(s^2) / (4 * n * model^4) + 1 / (2 * (n - 1))),
       coverage = covered[1], mcse_coverage = covered[2], bias_eliminated_coverage = centred[1],
       mcse_bias_eliminated_coverage = centred[2], power = power[1], mcse_power = power[2])
}
estimates <- read.csv("estimates.csv")
group <- paste(estimates$scenario, estimates$method, sep = "_")
write_pins(lapply(split(estimates, factor(group, unique(group))), measures), character(), "estimates.csv")
