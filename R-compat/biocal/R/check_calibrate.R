# biocal_check(), biocal_calibrate() and biocal_example().

# A data frame, files, or a spec, as the words and the folder of a run.
given_data <- function(data, spec, case = NULL) {
  if (is.null(data) == is.null(spec)) stop_usage("give data (a data frame or file names) or spec = \"analysis.toml\"")
  if (!is.null(spec)) return(list(words = paste0("--spec=", spec), folder = getwd()))
  if (is.character(data)) return(list(words = data, folder = getwd()))
  folder <- tempfile("biocal-")
  dir.create(folder)
  data <- as_table(data)
  case <- case %||% "case"
  if (is.logical(data[[case]])) data[[case]] <- as.integer(data[[case]])
  write_exact_csv(data, file.path(folder, "data.csv"))
  list(words = "data.csv", folder = folder, remove = folder, table = data)
}

biocal_check <- function(data = NULL, ..., spec = NULL) {
  given <- given_data(data, spec, list(...)$case)
  on.exit(unlink(given$remove, recursive = TRUE))
  run <- run_biocal(c("check", given$words, option_words(list(...))), given$folder)
  if (!is.null(given$table)) {
    run$stdout <- rows_for_lines(run$stdout, given$table)
    run$stderr <- rows_for_lines(run$stderr, given$table)
  }
  if (run$status != 0) stop_failed_run(run)
  lines <- grep("^(warning|note): ", run$stderr, value = TRUE)
  structure(list(text = run$stdout, problems = data.frame(level = sub(": .*$", "", lines),
                                                          message = sub("^[a-z]+: ", "", lines))),
            class = "biocal_check")
}

print.biocal_check <- function(x, ...) {
  cat(x$text, sep = "\n")
  if (nrow(x$problems)) cat("", paste0(x$problems$level, ": ", x$problems$message), sep = "\n")
  invisible(x)
}

biocal_calibrate <- function(data = NULL, calibration_covariates = NULL, ..., spec = NULL, out = NULL,
                             force = FALSE, quiet = FALSE) {
  if (inherits(calibration_covariates, "formula")) {
    if (!is.data.frame(data)) stop_usage("with files or a spec, calibration_covariates is a text such as \"bmi + C(month)\"")
    coded <- coded_calibration(data, calibration_covariates)
    data <- coded$data
    calibration_covariates <- coded$words
  }
  given <- given_data(data, spec, list(...)$case)
  results <- result_folder(out)
  on.exit(unlink(c(given$remove, if (is.null(out)) results), recursive = TRUE))
  options <- c(list(calibration_covariates = paste(calibration_covariates, collapse = " + ")), list(...))
  if (is.null(calibration_covariates)) options$calibration_covariates <- NULL
  run <- run_biocal(c("calibrate", given$words, option_words(options), paste0("--out=", results), if (force) "--force"),
                    given$folder)
  run <- renamed_run(run, as_names(calibration_covariates))
  if (!is.null(given$table)) run$stderr <- rows_for_lines(run$stderr, given$table)
  if (run$status != 0) stop_failed_run(run)
  tell_run(run, quiet)
  covariates <- file.path(results, "calibration_covariates.csv")
  covariates <- if (file.exists(covariates)) read_exact_csv(covariates)
  if (!is.null(covariates)) covariates$term <- given_names(covariates$term, as_names(calibration_covariates))
  structure(list(calibration = read_exact_csv(file.path(results, "calibration.csv")), covariates = covariates,
                 text = run$stdout, out = out, call = match.call()), class = "biocal_calibration")
}

as_names <- function(words) if (is.null(names(words))) character() else words

coded_calibration <- function(data, formula) {
  data <- as_table(data)
  design <- design_of(one_sided_labels(formula, "calibration_covariates"), data, environment(formula))
  # a numeric covariate is there already under its own name
  fresh <- design[, !colnames(design) %in% names(data), drop = FALSE]
  words <- stats::setNames(formula_word(colnames(design)), colnames(design))
  list(data = cbind(data, as.data.frame(fresh, optional = TRUE)), words = words)
}

print.biocal_calibration <- function(x, ...) {
  cat(x$text, sep = "\n")
  invisible(x)
}

coef.biocal_calibration <- function(object, ...) {
  as.matrix(data.frame(intercept = object$calibration$intercept, slope = object$calibration$slope,
                       row.names = object$calibration$study))
}

biocal_example <- function(name, dir = ".") {
  target <- result_folder(file.path(dir, name))
  run <- run_biocal(c("example", name, target))
  if (run$status != 0) stop_failed_run(run)
  target
}
