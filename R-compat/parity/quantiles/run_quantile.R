# Pin R's quantiles of all nine types.  Run in this folder: Rscript run_quantile.R
source("../write_pins.R")
values <- read.csv("../knots/values.csv")
probs <- c(.01, .025, .05, .1, .1833, .275, .35, .5, .65, .725, .8167, .9, .95, .975, .99)
grids <- lapply(split(values$value, factor(values$sample, unique(values$sample))), function(x) {
  setNames(lapply(1:9, function(type) I(quantile(x, probs, type = type, names = FALSE))), paste0("type", 1:9))
})
write.csv(data.frame(probability = sprintf("%.17g", probs)), "probabilities.csv", row.names = FALSE, quote = FALSE)
file.copy("../knots/values.csv", "values.csv", overwrite = TRUE)
write_pins(grids, character(), c("values.csv", "probabilities.csv"))
