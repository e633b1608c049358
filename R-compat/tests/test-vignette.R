# The vignette's code in a fresh R session, and its numbers against Python's.
repository <- Sys.getenv("BIOCAL_REPOSITORY")
same_numbers <- 1e-12  # relative: R codes the covariates itself, the rest is one program

test_that("the vignette's code runs start to end and prints what Python prints", {
  folder <- tempfile()
  dir.create(folder)
  code <- file.path(folder, "vignette.R")
  knitr::purl(file.path(repository, "R-compat", "biocal", "vignettes", "biocal.Rmd"), code, documentation = 0, quiet = TRUE)
  kept <- file.path(folder, "kept.json")
  cat(sprintf("\njsonlite::write_json(list(tables = fit$tables, terms = names(coef(fit))), \"%s\", digits = I(17))\n", kept),
      file = code, append = TRUE)
  library_path <- paste(.libPaths(), collapse = .Platform$path.sep)
  output <- system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(code)), stdout = TRUE, stderr = TRUE,
                    env = paste0("R_LIBS=", shQuote(library_path)))
  expect_null(attr(output, "status"), info = paste(output, collapse = "\n"))
  python <- file.path(folder, "python.json")
  script <- file.path(folder, "reference.py")
  writeLines(c(
    "import json, sys, warnings", "import biocal as bc", "from pathlib import Path",
    "warnings.simplefilter('ignore')",
    "files = sorted(Path(sys.argv[1]).glob('*.csv'))",
    "pool = bc.read_studies(files, scale_local={'Ginkgo': 2.496})",
    "fits = bc.fit(pool, method=['naive', 'full'], exposure=bc.rcs(knots=4), covariates='bmi + physical_activity',",
    "              matching='age + C(sex) + C(race) + C(month)', reference=56.25, season='month')",
    "out = {'coefficients': fits.tidy(), 'dose_response': fits.dose_response()}",
    "json.dump({name: table.to_dict('list') for name, table in out.items()}, open(sys.argv[2], 'w'))"), script)
  library_env <- biocal:::without_r(Sys.getenv("LD_LIBRARY_PATH"))
  status <- system2(Sys.getenv("BIOCAL_PYTHON"),
                    shQuote(c(script, file.path(repository, "data", "vitamin_d", "cohorts"), python)),
                    env = paste0("LD_LIBRARY_PATH=", shQuote(library_env)))
  expect_identical(status, 0L)
  theirs <- jsonlite::fromJSON(python)
  ours <- jsonlite::fromJSON(kept)$tables
  for (table in names(theirs)) for (column in names(theirs[[table]])) {
    mine <- ours[[table]][[column]]
    expected <- theirs[[table]][[column]]
    if (is.character(expected)) {
      expect_identical(mine, expected)
    } else {
      scale <- max(abs(expected))
      expect_lt(max(abs(mine - expected)) / scale, same_numbers)
    }
  }
  # what is printed: the coefficients, to the four digits that R shows
  full <- theirs$coefficients$estimate[theirs$coefficients$method == "full"]
  printed <- as.numeric(unlist(regmatches(output, gregexpr("-?[0-9]+[.][0-9]+(e-?[0-9]+)?", output))))
  for (value in full[c(1, 4, 5)]) expect_lt(min(abs(printed / value - 1)), 5e-4)
})

test_that("what R sends is what Python reads", {
  data <- data.frame(
    study = factor(c("b, \"x\"", "a", "b, \"x\"", "a"), levels = c("b, \"x\"", "a")), set = c(10L, 2L, 10L, 2L),
    case = c(TRUE, FALSE, FALSE, TRUE), reference = c(1 / 3, pi, 1e-45, 0.1 + 0.2), whole = c(1L, NA, -3L, 2147483647L),
    yes = c(TRUE, NA, FALSE, TRUE), day = as.Date(c("2001-02-03", NA, "1969-12-31", "2020-02-29")),
    text = c("\u00e9t\u00e9", "two\nlines", NA, " padded"), stringsAsFactors = FALSE)
  folder <- tempfile()
  dir.create(folder)
  biocal:::write_exact_csv(transform(data, case = as.integer(case)), file.path(folder, "data.csv"))
  writeLines(c(
    "import json, sys", "import biocal as bc", "frame = bc.read_studies(sys.argv[1]).frame",
    "out = {'hex': [float(v).hex() for v in frame['reference']],",
    "       'study': [str(v) for v in frame['study']], 'set': [str(v) for v in frame['set']],",
    "       'whole': [None if v != v else int(v) for v in frame['whole']], 'case': [int(v) for v in frame['case']],",
    "       'yes': [None if v != v else str(v) for v in frame['yes']],",
    "       'day': [None if v != v else str(v) for v in frame['day']],",
    "       'text': [None if v != v else str(v) for v in frame['text']]}",
    "json.dump(out, open(sys.argv[2], 'w'))"), file.path(folder, "read.py"))
  status <- system2(Sys.getenv("BIOCAL_PYTHON"),
                    shQuote(file.path(folder, c("read.py", "data.csv", "seen.json"))),
                    env = paste0("LD_LIBRARY_PATH=", shQuote(biocal:::without_r(Sys.getenv("LD_LIBRARY_PATH")))))
  expect_identical(status, 0L)
  seen <- jsonlite::fromJSON(file.path(folder, "seen.json"))
  expect_identical(as.numeric(seen$hex), data$reference)
  expect_identical(seen$study, as.character(data$study))
  expect_identical(seen$set, as.character(data$set))
  expect_identical(seen$case, as.integer(data$case))
  expect_identical(seen$whole, data$whole)
  expect_identical(seen$yes, ifelse(data$yes, "TRUE", "FALSE"))
  expect_identical(seen$day, as.character(data$day))
  expect_identical(seen$text, trimws(data$text))
})
