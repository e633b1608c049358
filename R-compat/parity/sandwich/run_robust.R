# Pin the robust variance of survival for one case a set.  Run in this folder: Rscript run_robust.R
# With one case a set Breslow's partial likelihood is the exact conditional one, and dfbeta summed over the
# persons of a set is that set's score times the inverse information.
suppressMessages(library(survival))
source("../write_pins.R")
control <- coxph.control(eps = 1e-12, iter.max = 50, toler.chol = 1e-13)
robust <- function(formula, own) {
  fit <- coxph(formula, own, method = "breslow", cluster = own$set, robust = TRUE, control = control)
  p <- length(coef(fit))
  list(estimate = I(unname(coef(fit))), covariance = matrix(vcov(fit), p), covariance_uncorrected = matrix(fit$naive.var, p),
       statistic = I(unname(coef(fit) / sqrt(diag(vcov(fit))))))
}
persons <- read.csv("persons.csv")
persons$time <- 1
grids <- lapply(split(persons, factor(persons$design, unique(persons$design))), function(own) {
  robust(Surv(time, case) ~ reference + z1 + z2 + strata(set), own)
})
write_pins(grids, "survival", "persons.csv")
