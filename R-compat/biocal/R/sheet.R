# The table that goes to the command: columns with a part, then design columns.

as_table <- function(data) {
  if (!is.data.frame(data)) {
    stop_usage(sprintf("data must be a data frame, not %s; for files use spec = or biocal_check(files)", class(data)[1]))
  }
  as.data.frame(data, stringsAsFactors = FALSE)
}

# Values of a variable of the formula, and the name its column gets.
formula_variable <- function(expression, data, where, otherwise) {
  name <- if (is.name(expression)) as.character(expression) else otherwise
  value <- tryCatch(eval(expression, data, where),
                    error = function(fault) stop_input(one_line(expression), ": ", conditionMessage(fault)))
  if (length(value) != nrow(data)) {
    stop_input(sprintf("'%s' has %d values for %d rows", one_line(expression), length(value), nrow(data)))
  }
  list(name = name, value = value)
}

# The matched set: strata(set), or strata(study, set) as survival needs it.
set_variable <- function(call, data, where, study) {
  parts <- as.list(call)[-1]
  named <- vapply(parts, one_line, "")
  parts <- if (length(parts) > 1) parts[named != study] else parts
  if (length(parts) != 1) stop_usage("strata() needs the matched set, as in strata(set) or strata(study, set)")
  formula_variable(parts[[1]], data, where, "set")
}

role_columns <- function(spoken, data, where, roles) {
  case <- formula_variable(spoken$case, data, where, "case")
  set <- set_variable(spoken$strata, data, where, roles$study)
  if (is.logical(case$value)) case$value <- as.integer(case$value)
  columns <- stats::setNames(list(case$value, set$value), c(case$name, set$name))
  for (role in names(roles)) {
    name <- roles[[role]]
    if (is.null(name)) next
    if (!is.character(name) || length(name) != 1) stop_usage(sprintf("%s must be the name of a column", role))
    if (name %in% names(data)) {
      columns[[name]] <- data[[name]]
    } else if (name != role) {
      stop_input(sprintf("there is no column '%s' in the data (argument %s)", name, role))
    }
  }
  list(columns = columns, options = c(list(case = case$name, set = set$name), roles))
}

# Design columns beside the others; a name that a role has taken is given another.
add_design <- function(columns, design, taken) {
  words <- character()
  for (name in colnames(design)) {
    written <- if (name %in% taken) paste0("covariate_", name) else name
    columns[[written]] <- design[, name]
    words[name] <- formula_word(written)
  }
  list(columns = columns, words = words)
}

# Everything the command needs for one fit: the table, formulas and the names to give back.
fit_sheet <- function(formula, data, roles, matching, calibration_covariates, options = list()) {
  data <- as_table(data)
  where <- environment(formula)
  spoken <- read_formula(formula)
  sheet <- role_columns(spoken, data, where, roles)
  taken <- names(sheet$columns)
  named <- inherits(calibration_covariates, "formula")
  parts <- list(
    covariates = design_of(spoken$covariates, data, where),
    modifier = design_of(spoken$modifiers, data, where),
    matching = design_of(one_sided_labels(matching, "matching"), data, environment(matching) %||% where),
    calibration_covariates = if (named) {
      design_of(one_sided_labels(calibration_covariates, "calibration_covariates"), data,
                environment(calibration_covariates))
    })
  words <- character()
  for (part in names(parts)) {
    if (is.null(parts[[part]])) next
    added <- add_design(sheet$columns, parts[[part]], taken)
    sheet$columns <- added$columns
    sheet$options[[part]] <- paste(added$words, collapse = " + ")
    words <- c(words, added$words)
  }
  if (!named) sheet$options$calibration_covariates <- calibration_covariates
  for (name in setdiff(mentioned_columns(options, names(data)), names(sheet$columns))) {
    sheet$columns[[name]] <- data[[name]]
  }
  list(table = structure(sheet$columns, class = "data.frame", row.names = seq_len(nrow(data))),
       options = sheet$options, names = words[!duplicated(names(words))],
       modifier = modifier_levels(spoken$modifiers, data, where))
}

# Columns that other options speak of: season = "month", by = "bmi >= 30", where = "years >= 2 and sex == 'female'".
mentioned_columns <- function(options, columns) {
  speaking <- c("season", "by", "subsite", "where", "batch", "local_flag", "reference_flag", "imputation")
  texts <- unlist(options[intersect(names(options), speaking)])
  if (!is.character(texts)) return(character())
  words <- unlist(regmatches(texts, gregexpr("[[:alpha:]._][[:alnum:]._]*", texts)))
  quoted <- vapply(columns, function(name) any(grepl(paste0("\"", name, "\""), texts, fixed = TRUE)), NA)
  columns[columns %in% c(texts, words) | quoted]
}

`%||%` <- function(a, b) if (is.null(a)) b else a

# For one categorical modifier: the columns of each level, to name curves by level.
modifier_levels <- function(modifiers, data, where) {
  if (length(modifiers) != 1) return(NULL)
  frame <- stats::model.frame(stats::reformulate(modifiers), data, na.action = stats::na.pass, drop.unused.levels = TRUE)
  values <- frame[[1]]
  if (is.numeric(values) || is.matrix(values)) return(NULL)
  # model.matrix makes factors of texts and logicals, levels sorted
  values <- if (is.factor(values)) droplevels(values) else factor(values)
  design <- design_of(modifiers, data, where)
  rows <- design[match(levels(values), as.character(values)), , drop = FALSE]
  list(variable = modifiers, labels = levels(values), columns = rows)
}
