# What a user of R does for one method of `biocal fit`: read, calibrate, spline, clogit.  No stacked variance, no figures.
# Usage: Rscript fit.R FILE.csv
suppressMessages(library(survival))
d <- read.csv(commandArgs(trailingOnly = TRUE)[1])
z <- grep("^z", names(d), value = TRUE)
is_reference <- !(d$study %in% unique(d$study[!is.na(d$local)]))
calibrators <- d[!is_reference & d$case == 0 & !is.na(d$local) & !is.na(d$reference), ]
lines <- lm(reformulate(c("0", "study", "study:local", z), "reference"), calibrators)
d$x <- ifelse(is_reference, d$reference, NA)
d$x[!is_reference] <- predict(lines, d[!is_reference, ])
knots <- quantile(d$x[d$case == 0], c(.05, .35, .65, .95), names = FALSE)
cube <- function(u) pmax(u, 0)^3
last <- length(knots)
spline <- function(x, j) {
  width <- knots[last] - knots[last - 1]
  (cube(x - knots[j]) - cube(x - knots[last - 1]) * (knots[last] - knots[j]) / width +
    cube(x - knots[last]) * (knots[last - 1] - knots[j]) / width) / (knots[last] - knots[1])^2
}
d$x1 <- spline(d$x, 1)
d$x2 <- spline(d$x, 2)
d$matched <- paste(d$study, d$set)
fit <- clogit(reformulate(c("x", "x1", "x2", z, "strata(matched)"), "case"), d, method = "exact")
cat(sprintf("%.17g", coef(fit)), sep = "\n")
