# Pin rms::anova of spline fits.  Run in this folder: Rscript run_anova.R
# One case a set, so that cph's Breslow likelihood with strat() is the exact conditional one.
suppressMessages(library(rms))
source("../write_pins.R")
file.copy("../sandwich/persons.csv", "persons.csv", overwrite = TRUE)
persons <- read.csv("persons.csv")
persons$time <- 1
knots <- list(knots3 = c(-1.2, 0.1, 1.3), knots4 = c(-1.5, -0.4, 0.4, 1.5), knots5 = c(-1.6, -0.6, 0, 0.6, 1.6))
tested <- function(own, t) {
  fit <- cph(Surv(time, case) ~ rcs(reference, t) + z1 + z2 + strat(set), own, method = "breslow", x = TRUE, y = TRUE,
             eps = 1e-12, iter.max = 50, tol = 1e-13)
  one <- function(table) {
    row <- which(rownames(table) == "reference") + 0:1  # the exposure, then its Nonlinear row
    stopifnot(grepl("Nonlinear", rownames(table)[row[2]]))
    I(c(t(unclass(table)[row, c("Chi-Square", "d.f.", "P")])))
  }
  list(model = one(anova(fit, vnames = "names")), robust = one(anova(robcov(fit, own$set), vnames = "names")),
       coefficients = I(unname(coef(fit))))
}
grids <- list()
for (design in unique(persons$design)) for (k in names(knots)) {
  grids[[paste(design, k, sep = "_")]] <- tested(persons[persons$design == design, ], knots[[k]])
}
write_pins(grids, c("rms", "survival"), "persons.csv")
