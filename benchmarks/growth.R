# survival on the sets that growth.py wrote: CPU seconds, extra bytes, coefficients.
# Usage: Rscript growth.R FILE ROWS clogit|bare
suppressMessages(library(survival))
given <- commandArgs(trailingOnly = TRUE)
rows <- as.integer(given[2])
numbers <- matrix(readBin(given[1], "double", file.size(given[1]) / 8), nrow = rows)
columns <- numbers[, -(1:2)]
colnames(columns) <- paste0("x", seq_len(ncol(columns)))
d <- data.frame(set = numbers[, 1], case = numbers[, 2], columns)
rm(numbers)
# The C fitter without formula and model frame: Breslow = exact for one case a set.
fit <- if (given[3] == "bare") function(d, columns) {
  y <- Surv(rep(1, nrow(d)), d$case)
  coxph.fit(columns, y, d$set, NULL, NULL, coxph.control(), NULL, "breslow", NULL)$coefficients
} else function(d, columns) {
  coef(clogit(reformulate(c(colnames(columns), "strata(set)"), "case"), d, method = "exact"))
}
few <- 1:100
invisible(fit(d[few, ], columns[few, ]))
invisible(gc())
status <- function(name) {
  lines <- readLines("/proc/self/status")
  as.numeric(gsub("[^0-9]", "", lines[startsWith(lines, name)])) * 1024
}
known <- !inherits(try(writeLines("5", "/proc/self/clear_refs"), silent = TRUE), "try-error")
before <- if (known) status("VmRSS") else NA
beta <- NULL
cpu <- function() {
  t <- system.time(beta <<- fit(d, columns))
  t[["user.self"]] + t[["sys.self"]]
}
seconds <- cpu()
extra <- if (known) status("VmHWM") - before else NA
while (seconds[1] < 0.2 && length(seconds) < 9) seconds <- c(seconds, cpu())
cat(median(seconds), if (is.na(extra)) "NA" else sprintf("%.0f", extra), sprintf("%.17g", beta), "\n")
