# Pin the columns of Hmisc::rcspline.eval.  Run in this folder: Rscript run_rcspline.R
suppressMessages(library(Hmisc))
source("../write_pins.R")
given <- read.csv("points.csv")
x <- given$x[!is.na(given$x)]
grids <- list()
for (k in 3:7) {
  knots <- given[[paste0("knots", k)]][seq_len(k)]
  columns <- lapply(0:2, function(norm) t(unclass(rcspline.eval(x, knots, norm = norm, inclx = TRUE))[, seq_len(k - 1)]))
  grids[[paste0("knots", k)]] <- setNames(columns, paste0("norm", 0:2))
}
write_pins(grids, "Hmisc", "points.csv")
