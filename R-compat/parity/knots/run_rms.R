# Pin rms's default knots.  Run in this folder: Rscript run_rms.R
suppressMessages({ library(rms) })
source("../write_pins.R")
values <- read.csv("values.csv")
grids <- lapply(split(values$value, factor(values$sample, unique(values$sample))), function(x) {
  setNames(lapply(3:7, function(k) I(attr(rcs(x, k), "parms"))), paste0("knots", 3:7))
})
write_pins(grids, c("rms", "Hmisc"), "values.csv")
