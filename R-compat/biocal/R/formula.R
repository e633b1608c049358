# A model formula and a data frame as columns that the command can use.
#
# Covariates are coded here, by model.matrix(), so that factors, their order, contrasts, transformations and
# interactions mean what they mean in R; the command gets numbers.

# Names that Python or the command's formulas have taken.
taken_names <- c("and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
                 "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
                 "not", "or", "pass", "raise", "return", "try", "while", "with", "yield", "True", "False",
                 "None", "C", "I", "Q", "Treatment", "Sum", "Poly", "Diff", "Helmert", "log", "log2", "log10",
                 "log1p", "exp", "sqrt", "abs", "center", "standardize", "scale", "rcs", "bs", "cr", "cc")

# Restricted cubic splines in formulas, for those who have not loaded rms.
spline_term <- function(x, parms = 4) {
  t <- if (length(parms) > 1) parms else stats::quantile(x, harrell_probabilities(parms), na.rm = TRUE, names = FALSE)
  columns <- rcs_columns(x, t)
  colnames(columns) <- strrep("'", seq_len(ncol(columns)) - 1)
  columns
}

# What a formula says: outcome, matched set, covariates, modifiers.
read_formula <- function(formula) {
  if (!inherits(formula, "formula") || length(formula) != 3) {
    stop_usage("a formula such as case ~ exposure + bmi + strata(set) is needed")
  }
  if ("." %in% all.names(formula)) stop_usage("'.' is not understood in the formula; name the covariates")
  described <- stats::terms(formula, specials = "strata", keep.order = TRUE)
  if (!is.null(attr(described, "offset"))) stop_usage("offset() is not available in a conditional likelihood")
  if (attr(described, "intercept") == 0) stop_usage("leave 0 and -1 out; a conditional likelihood has no intercept")
  variables <- vapply(as.list(attr(described, "variables"))[-1], one_line, "")
  strata <- attr(described, "specials")$strata
  if (length(strata) != 1) stop_usage("the formula needs one strata(), as in case ~ exposure + bmi + strata(set)")
  factors <- attr(described, "factors") > 0
  terms <- terms_of_formula(factors, variables, variables[strata])
  c(list(case = formula[[2]], strata = as.list(attr(described, "variables"))[-1][[strata]]), terms)
}

terms_of_formula <- function(factors, variables, strata) {
  labels <- colnames(factors)
  rownames(factors) <- variables
  hidden <- grepl("\\bexposure\\b", variables) & variables != "exposure" & variables != variables[1]
  if (any(hidden)) {
    stop_usage(sprintf("'%s': write exposure alone in the formula; its form is chosen by the arguments exposure, knots, probs, cuts",
                       variables[hidden][1]))
  }
  if (!"exposure" %in% variables) {
    stop_usage("the formula needs the word exposure, which stands for the (calibrated) biomarker: case ~ exposure + bmi + strata(set)")
  }
  in_strata <- factors[strata, ]
  if (any(in_strata & colSums(factors) > 1)) stop_usage("strata() can have no products with other terms")
  products <- labels[factors["exposure", ] & labels != "exposure"]
  if (any(colSums(factors[, products, drop = FALSE]) > 2)) {
    stop_usage("products of the exposure with more than one other variable are not available")
  }
  modifiers <- vapply(products, function(label) setdiff(variables[factors[, label]], "exposure"), "")
  bare <- if ("exposure" %in% labels) setdiff(modifiers, labels) else modifiers
  if (length(bare)) {
    stop_usage(sprintf("write exposure * %s: the modifier itself always enters the model beside its products", bare[1]))
  }
  list(covariates = setdiff(labels, c("exposure", products, unname(modifiers), labels[in_strata])),
       modifiers = unname(modifiers))
}

one_line <- function(expression) paste(deparse(expression, width.cutoff = 500L), collapse = " ")

# Numeric columns of terms, a row a row of data (NA where something is missing), no intercept.
design_of <- function(labels, data, where) {
  if (length(labels) == 0) return(NULL)
  formula <- stats::reformulate(labels)
  environment(formula) <- with_spline(where)
  frame <- tryCatch(
    stats::model.frame(formula, data, na.action = stats::na.pass, drop.unused.levels = TRUE),
    error = function(fault) stop_input("covariates: ", conditionMessage(fault)))
  columns <- tryCatch(
    stats::model.matrix(formula, frame),
    error = function(fault) stop_input("covariates: ", conditionMessage(fault)))
  kept <- colnames(columns) != "(Intercept)"
  if (nrow(columns) != nrow(data)) stop_input("covariates do not have a value a row of the data")
  matrix(columns[, kept], nrow(columns), dimnames = list(NULL, colnames(columns)[kept]))
}

with_spline <- function(where) {
  if (exists("rcs", envir = where, mode = "function")) return(where)
  extended <- new.env(parent = where)
  extended$rcs <- spline_term
  extended
}

# Formulas of one side, or NULL, or words that the command knows.
one_sided_labels <- function(formula, argument) {
  if (is.null(formula)) return(character())
  if (!inherits(formula, "formula") || length(formula) != 2) {
    stop_usage(sprintf("%s must be a formula such as ~ age + factor(month)", argument))
  }
  attr(stats::terms(formula, keep.order = TRUE), "term.labels")
}

# How a column is written in a formula of the command.
formula_word <- function(name) {
  plain <- grepl("^[A-Za-z_][A-Za-z0-9_]*$", name) & !name %in% taken_names
  escaped <- gsub("\"", "\\\"", gsub("\\", "\\\\", name, fixed = TRUE), fixed = TRUE)
  ifelse(plain, name, paste0("Q(\"", escaped, "\")"))
}
