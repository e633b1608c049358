# Times survival on the data sets that engine.py wrote. Usage: Rscript engine.R DIR
suppressMessages(library(survival))
dir <- commandArgs(trailingOnly = TRUE)[1]
cpu <- function(expr, times) {
  f <- substitute(expr); where <- parent.frame()
  median(replicate(times, { gc(FALSE); t <- system.time(eval(f, where)); t[["user.self"]] + t[["sys.self"]] }))
}
read <- function(name) read.csv(file.path(dir, paste0(name, ".csv")))
covariates <- function(d) grep("^x", names(d), value = TRUE)
exact <- function(d) clogit(reformulate(c(covariates(d), "strata(set)"), "case"), d, method = "exact")
# The C fitter without formula and model frame: sorted as coxph sorts, Breslow = exact for one case a set.
bare <- function(d) {
  y <- Surv(rep(1, nrow(d)), d$case)
  coxph.fit(as.matrix(d[covariates(d)]), y, d$set, NULL, NULL, coxph.control(), NULL, "breslow", NULL)
}
out <- list()
say <- function(name, value) cat(sprintf("%s\t%.6g\n", name, value))
pairs <- read("pairs"); say("clogit.pairs", cpu(exact(pairs), 7)); say("bare.pairs", cpu(bare(pairs), 7))
one4 <- read("one_to_four"); say("clogit.one_to_four", cpu(exact(one4), 3)); say("bare.one_to_four", cpu(bare(one4), 5))
nm <- read("many_to_many"); say("clogit.many_to_many", cpu(exact(nm), 3))
many <- read("small_pairs"); ids <- split(seq_len(nrow(many)), many$fit)
say("clogit.small_pairs", cpu(for (i in ids) exact(many[i, setdiff(names(many), "fit")]), 1))
say("bare.small_pairs", cpu(for (i in ids) bare(many[i, setdiff(names(many), "fit")]), 1))
b <- coef(exact(nm)); for (k in seq_along(b)) say(paste0("beta.many_to_many.", k), b[[k]])
b <- coef(exact(one4)); for (k in seq_along(b)) say(paste0("beta.one_to_four.", k), b[[k]])
cat("version\t", R.version.string, ", survival ", as.character(packageVersion("survival")), "\n", sep = "")
