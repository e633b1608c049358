test_that("a command that is not there is told with how to install it", {
  old <- options(biocal.command = "/nowhere/biocal")
  on.exit(options(old))
  error <- expect_error(biocal_version(), class = "biocal_command_missing")
  expect_match(conditionMessage(error), "pip install biocal", fixed = TRUE)
  expect_match(conditionMessage(error), "option biocal.command", fixed = TRUE)
})

test_that("the option wins over the environment, the environment over the PATH", {
  real <- biocal_command()
  old <- options(biocal.command = real)
  kept <- Sys.getenv("BIOCAL_COMMAND", NA)
  Sys.setenv(BIOCAL_COMMAND = "/nowhere/else")
  on.exit({
    options(old)
    if (is.na(kept)) Sys.unsetenv("BIOCAL_COMMAND") else Sys.setenv(BIOCAL_COMMAND = kept)
  })
  expect_identical(biocal_command(), real)
  options(biocal.command = NULL)
  expect_error(biocal_command(), "BIOCAL_COMMAND", class = "biocal_command_missing")
})

test_that("a program that is not biocal, or an old one, is told", {
  skip_on_os("windows")  # shell scripts
  fake <- function(says) {
    path <- tempfile()
    writeLines(c("#!/bin/sh", says), path)
    Sys.chmod(path, "755")
    path
  }
  old <- options(biocal.command = fake("echo hello"))
  on.exit(options(old))
  expect_error(biocal_version(), "does not answer like biocal", class = "biocal_command_missing")
  options(biocal.command = fake("echo biocal 0.0.9"))
  expect_error(biocal_check(made_up_pool()), "0.0.9.*too old", class = "biocal_version_error")
})

test_that("exit codes become conditions with the command's message", {
  pool <- made_up_pool()
  wrong <- transform(pool, case = ifelse(case, "yes", "no"))
  error <- expect_error(biocal_fit(case ~ exposure + strata(set), wrong), class = "biocal_input_error")
  expect_s3_class(error, "biocal_error")
  expect_match(conditionMessage(error), "row 1: column 'case': 'no', but case must be 1 or 0", fixed = TRUE)
  expect_identical(error$exit_code, 3L)
  expect_match(conditionMessage(error), "(the last in row 720)", fixed = TRUE)
  error <- expect_error(biocal_fit(case ~ exposure + strata(set), pool, nonsense = 1), class = "biocal_usage_error")
  expect_match(conditionMessage(error), "No such option: --nonsense", fixed = TRUE)
  pool$sure <- as.integer(pool$case)
  error <- expect_error(biocal_fit(case ~ exposure + sure + strata(set), pool, method = "full"), class = "biocal_fit_error")
  expect_match(conditionMessage(error), "sure", fixed = TRUE)
})

test_that("rows are not counted where a cell holds a line break", {
  words <- "data.csv:7: column 'set': one matched set is dropped"
  expect_identical(biocal:::rows_for_lines(words, data.frame(study = "A")),
                   "row 6: column 'set': one matched set is dropped")
  expect_identical(biocal:::rows_for_lines(words, data.frame(study = factor("A\nB"))), words)
})

test_that("warnings of the command are warnings of R, and quiet keeps them back", {
  pool <- made_up_pool()
  pool$bmi[1:4] <- NA
  pool$local[400] <- -1
  warned <- character()
  withCallingHandlers(biocal_fit(case ~ exposure + bmi + strata(set), pool, method = "full"),
                      biocal_warning = function(w) {
                        warned <<- c(warned, conditionMessage(w))
                        invokeRestart("muffleWarning")
                      })
  expect_match(warned, "negative values, used as they are", fixed = TRUE, all = FALSE)
  expect_silent(biocal_fit(case ~ exposure + bmi + strata(set), pool, method = "full", quiet = TRUE))
})
