# biocal_fit() and the object it gives.

biocal_fit <- function(formula, data, study = "study", local = "local", reference = "reference", person = NULL,
                       method = NULL, exposure = NULL, knots = NULL, probs = NULL, matching = NULL,
                       calibration_covariates = NULL, ref = NULL, at = NULL, level = NULL, ..., spec = NULL,
                       out = NULL, force = FALSE, quiet = FALSE) {
  options <- c(list(method = method, exposure = exposure), knot_options(knots, probs),
               list(ref = ref, at = at, level = level), list(...))
  if (is.null(spec)) {
    if (missing(formula) || missing(data)) stop_usage("give a formula and data, or spec = \"analysis.toml\"")
    roles <- list(study = study, local = local, reference = reference, person = person)
    sheet <- fit_sheet(formula, data, roles, matching, calibration_covariates, list(...))
    folder <- tempfile("biocal-")
    dir.create(folder)
    on.exit(unlink(folder, recursive = TRUE))
    write_exact_csv(sheet$table, file.path(folder, "data.csv"))
    source <- "data.csv"
  } else {
    roles <- list(study = if (!missing(study)) study, local = if (!missing(local)) local,
                  reference = if (!missing(reference)) reference, person = person)
    sheet <- spec_sheet(missing(formula) && missing(data), matching, calibration_covariates, roles)
    folder <- getwd()
    source <- paste0("--spec=", spec)
  }
  results <- result_folder(out)
  if (is.null(out)) on.exit(unlink(results, recursive = TRUE), add = TRUE)
  words <- c("fit", source, option_words(c(sheet$options, options)), paste0("--out=", results), if (force) "--force")
  run <- renamed_run(run_biocal(words, folder), sheet$names)
  if (is.null(spec)) run$stderr <- rows_for_lines(run$stderr, sheet$table)
  if (run$status != 0) stop_failed_run(run)
  tell_run(run, quiet)
  record <- read_record(file.path(results, "fit.json"))
  new_fit(record, run$stdout, sheet, call = match.call(),
          formula = if (missing(formula)) NULL else formula, out = out)
}

spec_sheet <- function(alone, matching, calibration_covariates, roles) {
  if (!alone) stop_usage("give a formula and data, or spec, not both; the spec names files and covariates")
  for (one in list(matching, calibration_covariates)) {
    if (inherits(one, "formula")) stop_usage("with spec, formulas are texts in the command's own words, as in \"age + C(month)\"")
  }
  list(options = c(roles, list(matching = matching, calibration_covariates = calibration_covariates)),
       names = character())
}

# Columns with odd names are quoted for the command; in what it says they get their names back.
renamed_run <- function(run, names) {
  run$stdout <- given_names(run$stdout, names)
  run$stderr <- given_names(run$stderr, names)
  run
}

given_names <- function(text, names) {
  for (name in names(names)[names != names(names)]) {
    # in tables the name keeps the width of its column
    padded <- formatC(name, width = -nchar(names[[name]]))
    text <- gsub(paste0(names[[name]], "  "), paste0(padded, "  "), text, fixed = TRUE)
    text <- gsub(names[[name]], name, text, fixed = TRUE)
    if (startsWith(names[[name]], "covariate_")) next
    plain <- gsub("^Q\\(\"|\"\\)$", "", names[[name]])  # messages quote the column itself
    text <- gsub(paste0("'", plain, "'"), paste0("'", name, "'"), text, fixed = TRUE)
  }
  text
}

new_fit <- function(record, text, sheet, call, formula, out) {
  tables <- lapply(record$tables, as.data.frame)
  for (part in c("coefficients", "covariance", "studies", "bootstrap", "calibration_covariates")) {
    for (column in intersect(c("term", "row", "column"), names(tables[[part]]))) {
      tables[[part]][[column]] <- given_names(tables[[part]][[column]], sheet$names)
    }
  }
  if (!is.null(tables$dose_response$modifier)) {
    tables$dose_response$modifier <- named_levels(tables$dose_response$modifier, sheet$modifier, sheet$names)
  }
  methods <- lapply(record$methods, function(one) {
    one$terms <- given_names(one$terms, sheet$names)
    for (part in c("covariance", "covariance_uncorrected")) {
      if (is.null(one[[part]])) next
      one[[part]] <- matrix(as.numeric(one[[part]]), length(one$terms), dimnames = list(one$terms, one$terms))
    }
    one$estimate <- NULL
    one
  })
  fit <- list(call = call, formula = formula, methods = methods, tables = tables, counts = record$counts,
              options = record$options, record = record, modifier = sheet$modifier, text = text, out = out,
              version = record$biocal)
  fit <- structure(fit, class = "biocal_fit")
  for (failed in names(record$failures)) {
    warn_biocal(sprintf("method %s failed and is left out: %s", failed, record$failures[[failed]]))
  }
  fit
}

# "sexmale = 1" becomes "sex = male" when the modifier is a factor.
named_levels <- function(labels, modifier, names) {
  labels <- given_names(labels, names)
  if (is.null(modifier)) return(labels)
  patterns <- apply(modifier$columns, 1, function(row) paste(sprintf("%g", row), collapse = ", "))
  found <- match(sub("^.* = ", "", labels), patterns)
  if (anyNA(found)) return(labels)
  paste(modifier$variable, "=", modifier$labels[found])
}

# The method that coef() and the rest speak of when none is named: full, if it was fitted, else the first.
chosen_method <- function(object, method) {
  known <- names(object$methods)
  if (is.null(method)) return(if ("full" %in% known) "full" else known[1])
  if (!is.character(method) || length(method) != 1 || !method %in% known) {
    stop_usage(sprintf("method '%s' was not fitted; there %s %s", paste(method, collapse = ", "),
                       if (length(known) == 1) "is" else "are", paste(known, collapse = ", ")))
  }
  method
}

rows_of <- function(object, table, method) {
  rows <- object$tables[[table]]
  rows[rows$method == method, , drop = FALSE]
}
