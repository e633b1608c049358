# Pin censored regression (survival::survreg) and Huber's M-estimate (MASS::rlm).  Run in this folder: Rscript run_calibration.R
suppressMessages({library(survival); library(MASS)})
source("../write_pins.R")
pairs <- read.csv("pairs.csv", stringsAsFactors = TRUE)
control <- survreg.control(maxiter = 200, rel.tolerance = 1e-12)
censored <- function(formula, data, n) {
  fit <- survreg(formula, data, dist = "gaussian", control = control)
  list(coefficients = I(unname(coef(fit))), scale = I(unname(fit$scale)), loglik = fit$loglik[2],
       vcov = vcov(fit)[seq_len(n), seq_len(n)])
}
# rlm stops by a test on the residuals; polish its last step to a fixed point of the same equations
robust <- function(formula, data) {
  fit <- rlm(formula, data, method = "M", psi = psi.huber, k = 1.345, scale.est = "proposal 2", k2 = 1.345,
             maxit = 5000, acc = 1e-15, test.vec = "coef")
  list(coefficients = I(unname(coef(fit))), scale = fit$s)
}
grids <- list()
for (s in levels(pairs$study)) {
  own <- pairs[pairs$study == s, ]
  grids[[paste0("tobit_", s)]] <- censored(Surv(at_limit, 1 - below, type = "left") ~ local, own, 2)
  grids[[paste0("tobit_log_", s)]] <- censored(Surv(log(at_limit), 1 - below, type = "left") ~ log(local), own, 2)
  grids[[paste0("huber_", s)]] <- robust(gross ~ local, own)
}
grids$tobit_common <- censored(Surv(at_limit, 1 - below, type = "left") ~ 0 + study + study:local + v + strata(study), pairs, 7)
write_pins(grids, c("survival", "MASS"), "pairs.csv")
