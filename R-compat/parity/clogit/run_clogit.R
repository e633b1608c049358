# Pin exact conditional likelihoods of survival::clogit.  Run in this folder: Rscript run_clogit.R
suppressMessages(library(survival))
source("../write_pins.R")

# Newton to rounding; clogit's default stops earlier.
exact <- function(formula, data) {
  fit <- clogit(formula, data, method = "exact", control = coxph.control(eps = 1e-12, iter.max = 50, toler.chol = 1e-13))
  list(estimate = I(unname(coef(fit))), covariance = matrix(vcov(fit), length(coef(fit))), loglik_null = fit$loglik[1],
       loglik = fit$loglik[2])
}
sets <- read.csv("sets.csv")
grids <- lapply(split(sets, factor(sets$design, unique(sets$design))),
                function(own) exact(case ~ x1 + x2 + x3 + strata(set), own))
grids$infert <- exact(case ~ spontaneous + induced + strata(stratum), infert)
# neighbouring sets joined: two cases to four controls, with many ties
infert$joined <- (infert$stratum + 1) %/% 2
grids$infert_joined <- exact(case ~ spontaneous + induced + strata(joined), infert)
write.csv(infert[c("stratum", "joined", "case", "spontaneous", "induced")], "infert.csv", row.names = FALSE, quote = FALSE)
write_pins(grids, "survival", c("sets.csv", "infert.csv"))
