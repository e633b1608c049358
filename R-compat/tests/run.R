# The R package against the fixtures and against Python, and the vignette's code in a fresh R session.
# Run by test_r.sh, which sets BIOCAL_REPOSITORY, BIOCAL_PYTHON and BIOCAL_COMMAND.
library(testthat)
library(biocal)
result <- test_dir(file.path(Sys.getenv("BIOCAL_REPOSITORY"), "R-compat", "tests"), stop_on_failure = TRUE,
                   reporter = "summary")
skipped <- sum(as.data.frame(result)$skipped)
if (nrow(as.data.frame(result)) == 0 || skipped > 0) stop("tests were skipped, or there were none")
