# The drop-in functions, sourced as an old script would, against answers made by independent programs.
repository <- Sys.getenv("BIOCAL_REPOSITORY")
drop_in <- new.env(parent = globalenv())
sys.source(file.path(repository, "R-compat", "biocal", "R", "drop_in.R"), drop_in)

coefficients_agree <- 1e-8  # as asked of the package itself
variances_agree <- 1e-6

fixture <- function(name) {
  folder <- file.path(repository, "tests", "data", "fixtures")
  data <- read.csv(file.path(folder, paste0(name, ".csv")))
  names(data)[1:5] <- c("S", "strata", "Y", "W", "X")
  data$H <- ifelse(data$S == 1, 2, ifelse(is.na(data$X), 0, 1))
  list(data = data, answers = jsonlite::fromJSON(file.path(folder, paste0(name, ".json"))))
}

# Exposure of a method, calibrated by lm().
own_exposure <- function(data, internalized) {
  calibrated <- data$W
  for (s in 2:4) {
    line <- coef(lm(X ~ W, data, subset = S == s & H == 1))
    calibrated[data$S == s] <- line[1] + line[2] * data$W[data$S == s]
  }
  ifelse(data$H == 2 | (internalized & data$H == 1), data$X, calibrated)
}

# Probabilities at which the type-7 quantiles of x are t.
probabilities_at <- function(x, t) {
  x <- sort(x)
  k <- findInterval(t, x)
  (k - 1 + (t - x[k]) / (x[k + 1] - x[k])) / (length(x) - 1)
}

for (name in c("pairs", "one_to_two")) for (method in c("full", "internalized")) {
  test_that(paste("splines of", method, "calibration have the answers of fixture", name), {
    given <- fixture(name)
    knots <- given$answers$knots
    p <- probabilities_at(own_exposure(given$data, method == "internalized"), knots)
    covar <- if (length(given$answers$covariates)) given$answers$covariates else NA
    f <- if (method == "full") drop_in$fc_df else drop_in$int_df
    value <- suppressWarnings(f(given$data, "X", "S", "H", "W", "Y", "strata", 4, 1, p, covar = covar))
    k <- length(knots) - 1
    divisor <- c(1, rep((knots[k + 1] - knots[1])^2, k - 1))
    answer <- given$answers$spline[[method]]
    expect_lt(max(abs(value[1, 1:k] / (answer$beta[1:k] / divisor) - 1)), coefficients_agree)
    expect_lt(max(abs(value[1, 2 * k + 1:k] / (diag(answer$cov)[1:k] / divisor^2) - 1)), variances_agree)
    expect_equal(unname(value[1, k + 1:k]), unname(exp(value[1, 1:k])))
    no_cov <- if (method == "full") drop_in$fc_df_no_cov else drop_in$int_df_no_cov
    plain <- suppressWarnings(no_cov(given$data, "X", "S", "H", "W", "Y", "strata", 4, 1, p))
    if (anyNA(covar)) expect_identical(plain[1, ], value[1, ]) else expect_false(isTRUE(all.equal(plain[1, ], value[1, ])))
  })
}

for (name in c("pairs", "one_to_two")) {
  test_that(paste("the linear functions have the answers of fixture", name), {
    given <- fixture(name)
    covar <- if (length(given$answers$covariates)) given$answers$covariates else NA
    answer <- given$answers$linear$full
    value <- suppressWarnings(drop_in$fc_df_linear(given$data, "X", "S", "H", "W", "Y", "strata", 4, 1, covar))
    expect_lt(abs(value[[1]] / answer$beta[1] - 1), coefficients_agree)
    expect_lt(abs(value[[3]] / as.matrix(answer$cov)[1, 1] - 1), variances_agree)
    old <- options(biocal.fc_df = "linear")
    on.exit(options(old))
    expect_identical(suppressWarnings(drop_in$fc_df(given$data, "X", "S", "H", "W", "Y", "strata", 4, 1, covar))[1, ], value[1, ])
  })
}

test_that("biocal_fit() has the answers of the fixtures, calibration with covariates included", {
  given <- fixture("one_to_two")
  for (method in c("naive", "internalized", "full", "induced")) for (block in c("spline", "spline_calibration_with_covariates")) {
    answer <- given$answers[[block]][[method]]
    fit <- biocal_fit(Y ~ exposure + z1 + z2 + strata(strata), given$data, study = "S", local = "W", reference = "X",
                      method = method, knots = given$answers$knots, quiet = TRUE,
                      calibration_covariates = if (block == "spline") "none" else "outcome")
    expect_lt(max(abs(coef(fit) / answer$beta - 1)), if (method == "induced") 1e-7 else coefficients_agree)
    expect_lt(max(abs(vcov(fit) / answer$cov - 1)), if (method == "induced") 1e-5 else variances_agree)
    expect_lt(max(abs(vcov(fit, corrected = FALSE) / answer$cov_uncorrected - 1)), variances_agree)
  }
})
