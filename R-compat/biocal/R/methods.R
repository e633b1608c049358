# What R expects of a fitted model.

coef.biocal_fit <- function(object, method = NULL, ...) {
  rows <- rows_of(object, "coefficients", chosen_method(object, method))
  stats::setNames(rows$estimate, rows$term)
}

vcov.biocal_fit <- function(object, method = NULL, corrected = TRUE, ...) {
  object$methods[[chosen_method(object, method)]][[if (corrected) "covariance" else "covariance_uncorrected"]]
}

confint.biocal_fit <- function(object, parm, level = 0.95, method = NULL, ...) {
  estimate <- coef(object, method)
  std_error <- sqrt(diag(vcov(object, method)))
  tails <- c((1 - level) / 2, 1 - (1 - level) / 2)
  limits <- estimate + outer(std_error, stats::qnorm(tails))
  dimnames(limits) <- list(names(estimate), paste(format(100 * tails, trim = TRUE, digits = 3), "%"))
  if (missing(parm)) limits else limits[parm, , drop = FALSE]
}

logLik.biocal_fit <- function(object, method = NULL, ...) {
  method <- chosen_method(object, method)
  value <- object$methods[[method]]$loglik
  if (is.null(value) || is.na(value)) value <- NA_real_  # two-stage has no likelihood of its own
  structure(value, df = length(object$methods[[method]]$terms), nobs = nobs(object), class = "logLik")
}

nobs.biocal_fit <- function(object, ...) object$counts$cases + object$counts$controls

formula.biocal_fit <- function(x, ...) x$formula

print.biocal_fit <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  count <- function(n) format(n, big.mark = ",")
  cat("biocal fit\n\nCall:\n", paste(deparse(x$call), collapse = "\n"), "\n\n", sep = "")
  for (method in names(x$methods)) {
    cat(method, ", ", x$methods[[method]]$curve, "\n", sep = "")
    stats::printCoefmat(coefficient_matrix(x, method)[, 1:4, drop = FALSE], digits = digits, signif.stars = FALSE)
    cat("standard errors: ", x$methods[[method]]$standard_errors, "\n\n", sep = "")
  }
  cat(sprintf("%s %s, %s sets, %s cases, %s controls\n", count(x$counts$studies),
              if (x$counts$studies == 1) "study" else "studies", count(x$counts$sets),
              count(x$counts$cases), count(x$counts$controls)))
  invisible(x)
}

coefficient_matrix <- function(object, method) {
  rows <- rows_of(object, "coefficients", method)
  columns <- cbind(rows$estimate, rows$std_error, rows$statistic, rows$p_value, rows$std_error_uncorrected)
  names <- c("log OR", "Std. Error", "z value", "Pr(>|z|)", "Std. Error uncorrected")
  dimnames(columns) <- list(rows$term, names[seq_len(ncol(columns))])
  columns
}

summary.biocal_fit <- function(object, method = NULL, ...) {
  method <- chosen_method(object, method)
  structure(list(text = object$text, method = method, coefficients = coefficient_matrix(object, method),
                 tests = rows_of(object, "tests", method), counts = object$counts),
            class = "summary.biocal_fit")
}

print.summary.biocal_fit <- function(x, ...) {
  cat(x$text, sep = "\n")
  invisible(x)
}
