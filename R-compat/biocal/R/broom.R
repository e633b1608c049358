# tidy() and glance() with broom's columns.  The generics here stand in where broom is not loaded; where it
# is, its own find these methods.

tidy <- function(x, ...) UseMethod("tidy")
glance <- function(x, ...) UseMethod("glance")

tidy.default <- function(x, ...) other_generic("tidy")(x, ...)
glance.default <- function(x, ...) other_generic("glance")(x, ...)

other_generic <- function(name) {
  if (!requireNamespace("generics", quietly = TRUE)) stop(sprintf("no method of %s() for this object", name), call. = FALSE)
  getExportedValue("generics", name)
}

tidy.biocal_fit <- function(x, conf.int = FALSE, conf.level = 0.95, exponentiate = FALSE, method = names(x$methods),
                            ...) {
  parts <- lapply(method, function(one) {
    rows <- rows_of(x, "coefficients", chosen_method(x, one))
    tidied <- data.frame(method = rows$method, term = rows$term, estimate = rows$estimate,
                         std.error = rows$std_error, statistic = rows$statistic, p.value = rows$p_value)
    if (conf.int) tidied[c("conf.low", "conf.high")] <- unname(as.data.frame(confint(x, level = conf.level, method = one)))
    tidied
  })
  tidied <- do.call(rbind, parts)
  row.names(tidied) <- NULL
  if (exponentiate) {
    scaled <- intersect(c("estimate", "conf.low", "conf.high"), names(tidied))
    tidied[scaled] <- lapply(tidied[scaled], exp)
  }
  tidied
}

glance.biocal_fit <- function(x, method = names(x$methods), ...) {
  parts <- lapply(method, function(one) {
    loglik <- logLik(x, one)
    overall <- rows_of(x, "tests", one)
    overall <- overall[overall$test == "overall", ]
    data.frame(method = one, statistic.wald = overall$statistic[1], df = overall$df[1], p.value.wald = overall$p_value[1],
               logLik = as.numeric(loglik), AIC = stats::AIC(loglik), BIC = stats::BIC(loglik), nobs = nobs(x),
               nevent = x$counts$cases, n.sets = x$counts$sets, n.studies = x$counts$studies)
  })
  glanced <- do.call(rbind, parts)
  row.names(glanced) <- NULL
  glanced
}

tidy.biocal_calibration <- function(x, ...) x$calibration
