# AIC of survival::clogit with a linear exposure and with rms::rcs, on the sets of R-compat/parity/clogit.
# Run in this folder: Rscript run_aic.R
suppressMessages({library(survival); library(rms)})
sets <- read.csv("../../../R-compat/parity/clogit/sets.csv")
sets$stratum <- paste(sets$design, sets$set)
fit <- function(term) {
  model <- as.formula(paste("case ~", term, "+ x2 + strata(stratum)"))
  clogit(model, sets, method = "exact", control = coxph.control(eps = 1e-12, iter.max = 50))
}
probabilities <- list(c(.1, .5, .9), c(.05, .35, .65, .95), c(.05, .275, .5, .725, .95))
pins <- list(linear = fit("x1"))
for (p in probabilities) {
  knots <- quantile(sets$x1[sets$case == 0], p, names = FALSE)
  pins[[paste0("rcs, ", length(p), " knots")]] <- fit(sprintf("rcs(x1, c(%s))", paste(sprintf("%.17g", knots), collapse = ", ")))
}
lines <- sprintf('  "%s": %.17g', names(pins), sapply(pins, AIC))
version <- function(name) sprintf('  "%s": "%s"', name, packageVersion(name))
writeLines(c("{", paste(c(sprintf('  "R": "%s"', getRversion()), version("survival"), version("rms"), lines),
           collapse = ",\n"), "}"), "pins.json")
