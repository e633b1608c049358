# One replicate's three spline fits by survival::clogit. Usage: Rscript simulate.R FILE.csv
suppressMessages(library(survival))
d <- read.csv(commandArgs(trailingOnly = TRUE)[1])
fit <- function(x) clogit(reformulate(c(paste0(x, c("1", "2")), "strata(set)"), "case"), d, method = "exact")
seconds <- replicate(5, {
  gc(FALSE); t <- system.time(for (x in c("naive", "internalized", "full")) fit(x)); t[["user.self"]] + t[["sys.self"]]
})
cat(median(seconds), "\n")
