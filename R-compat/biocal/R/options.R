# R arguments as the words of the command line.

# Options that are repeated rather than joined by commas.
repeatable <- c("method", "reference_study", "local_study", "by", "subsite")
# Those of them that are a number a study: c(Ginkgo = 2.496).
by_study <- c("scale_local", "detection_limit", "reference_detection_limit")

option_words <- function(options) {
  if (length(options) == 0) return(character())
  if (is.null(names(options)) || any(!nzchar(names(options)))) {
    stop_usage("further options need names, as in bootstrap = 200")
  }
  unlist(Map(words_of_option, names(options), options), use.names = FALSE)
}

words_of_option <- function(name, value) {
  if (is.null(value) || identical(value, FALSE)) return(character())
  option <- paste0("--", gsub("[._]", "-", name))
  if (identical(value, TRUE)) return(option)
  if (is.factor(value)) value <- as.character(value)
  if (!is.numeric(value) && !is.character(value)) {
    stop_usage(sprintf("%s must be numbers or texts, not %s", name, class(value)[1]))
  }
  if (length(value) == 0 || anyNA(value)) stop_usage(sprintf("%s has missing values or none", name))
  words <- if (is.numeric(value)) number_words(value) else enc2utf8(value)
  # --option=value, so that a value may begin with a minus
  if (name %in% by_study) return(paste0(option, "=", names(value), "=", words))
  if (name %in% repeatable) return(paste0(option, "=", words))
  if (is.character(value) && length(value) > 1) stop_usage(sprintf("%s takes one text, not %d", name, length(value)))
  paste0(option, "=", paste(words, collapse = ","))
}

# `knots = 4` is how many, `knots = c(30, 50, 70)` which.
knot_options <- function(knots, probs) {
  if (!is.null(knots) && !is.null(probs)) stop_usage("give knots or probs, not both")
  if (is.null(knots)) return(list(knot_probs = probs))
  if (!is.numeric(knots)) stop_usage("knots must be a number of knots, or the knots themselves")
  if (length(knots) == 1) list(knots = knots) else list(knot_values = knots)
}

# The place of a result that the caller wants to keep, or a folder that goes away.
result_folder <- function(out) {
  if (is.null(out)) return(tempfile("biocal-results-"))
  file.path(normalizePath(dirname(out), winslash = "/", mustWork = FALSE), basename(out))
}
