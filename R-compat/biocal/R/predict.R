# Log odds ratios against a reference exposure.

predict.biocal_fit <- function(object, newdata = NULL, reference = NULL, type = c("log_or", "or"), se.fit = FALSE,
                               interval = c("none", "confidence"), level = 0.95, method = NULL, ...) {
  type <- match.arg(type)
  interval <- match.arg(interval)
  method <- chosen_method(object, method)
  points <- new_points(object, newdata)
  contrast <- exposure_contrast(object, method, points, reference)
  terms <- object$methods[[method]]$terms
  log_or <- drop(contrast %*% coef(object, method)[terms])
  std_error <- sqrt(pmax(rowSums((contrast %*% vcov(object, method)) * contrast), 0))
  scale <- if (type == "or") exp else identity
  if (interval == "confidence") {
    half <- stats::qnorm(1 - (1 - level) / 2) * std_error
    fit <- scale(cbind(fit = log_or, lwr = log_or - half, upr = log_or + half))
  } else {
    fit <- scale(unname(log_or))
  }
  # the standard error is that of the log odds ratio, for either type
  if (se.fit) list(fit = fit, se.fit = unname(std_error)) else fit
}

new_points <- function(object, newdata) {
  if (is.null(newdata)) {
    rows <- rows_of(object, "dose_response", names(object$methods)[1])
    if (!is.numeric(rows$exposure)) stop_usage("give the exposures to predict for")
    newdata <- unique(rows$exposure)
  }
  if (is.numeric(newdata)) newdata <- data.frame(exposure = newdata)
  if (!is.data.frame(newdata) || !is.numeric(newdata$exposure)) {
    stop_usage("newdata must be exposures, or a data frame with a numeric column exposure")
  }
  newdata
}

exposure_contrast <- function(object, method, points, reference) {
  terms <- object$methods[[method]]$terms
  exposure_terms <- grepl("^exposure('*|\\[.*\\))$", terms)
  if (is.null(reference)) reference <- reference_of(object)
  if (length(reference) != 1) stop_usage("reference must be one exposure")
  basis <- exposure_basis(object, method, terms[exposure_terms])
  columns <- basis(points$exposure)
  at_reference <- basis(reference)[1, ]
  change <- columns - rep(at_reference, each = nrow(columns))
  contrast <- matrix(0, nrow(points), length(terms), dimnames = list(NULL, terms))
  contrast[, exposure_terms] <- change
  products <- grep(":", terms, fixed = TRUE, value = TRUE)
  products <- products[startsWith(products, paste0(terms[1], ":"))]
  for (modifier in substring(products, nchar(terms[1]) + 2)) {
    value <- modifier_value(object, points, modifier)
    contrast[, paste0(terms[exposure_terms], ":", modifier)] <- change * value
  }
  contrast
}

# A value inside the reference category, or the reference exposure.
reference_of <- function(object) {
  if (object$options$exposure != "categories") return(object$record$model$exposure_reference)
  category <- object$tables$dose_response$reference_exposure[1]
  limits <- as.numeric(strsplit(gsub("[][()]", "", category), ",")[[1]])
  if (is.finite(limits[1])) limits[1] else limits[2] - max(1, abs(limits[2]))
}

exposure_basis <- function(object, method, names) {
  knots <- object$methods[[method]]$knots
  if (is.numeric(knots)) return(function(x) rcs_columns(x, knots))
  if (identical(names, "exposure")) return(function(x) matrix(x))
  limits <- strsplit(gsub("^exposure\\[|\\)$", "", names), ", ")
  if (any(grepl("^exposure\\(", names))) stop_usage("these categories cannot be predicted for")
  low <- vapply(limits, function(pair) as.numeric(pair[1]), 0)
  high <- vapply(limits, function(pair) as.numeric(pair[2]), 0)
  function(x) matrix(+(outer(x, low, ">=") & outer(x, high, "<")), nrow = length(x))
}

# The value of one modifier column at each point: given as it is, or as a level of a factor.
modifier_value <- function(object, points, column) {
  levels <- object$modifier
  if (!is.null(levels) && !is.null(points[[levels$variable]])) {
    row <- match(as.character(points[[levels$variable]]), levels$labels)
    if (anyNA(row)) {
      stop_usage(sprintf("%s has the levels %s", levels$variable, paste(levels$labels, collapse = ", ")))
    }
    return(levels$columns[row, column])
  }
  value <- points[[column]]
  if (!is.numeric(value)) {
    stop_usage(sprintf("the curve depends on %s: newdata needs that column beside exposure",
                       if (is.null(levels)) column else levels$variable))
  }
  value
}
