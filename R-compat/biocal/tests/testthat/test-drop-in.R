# The pool with the columns of the published programs.
old_columns <- function() {
  pool <- made_up_pool()
  data.frame(S = match(pool$study, c("A", "B", "C")), strata = pool$set, Y = as.integer(pool$case), W = pool$local,
             X = ifelse(is.na(pool$reference), 999, pool$reference), bmi = pool$bmi, old = pool$age > 53,
             H = ifelse(pool$study == "A", 2, ifelse(is.na(pool$reference), 0, 1)))
}
call_old <- function(f, data, ...) f(data, "X", "S", "H", "W", "Y", "strata", 3, 1, ...)

test_that("values and their names are those published", {
  data <- old_columns()
  value <- call_old(fc_df, data, c(.1, .5, .9), covar = "bmi")
  expect_identical(dim(value), c(1L, 6L))
  expect_identical(colnames(value), c("point estimate of beta_fx1", "point estimate of beta_fx2", "Estimated RR_fx1",
                                      "Estimated RR_fx2", "Estimated variance of beta_fx1", "Estimated variance of beta_fx2"))
  expect_equal(value[1, 3:4], exp(value[1, 1:2]), ignore_attr = TRUE)
  linear <- call_old(fc_df_linear, data)
  expect_identical(colnames(linear), c("Point estimate of betax", "Estimated RR", "Estimated variance of betahatx"))
  expect_s3_class(attr(linear, "fit"), "biocal_fit")
  modified <- call_old(fc_df_xv, data, V = "bmi")
  expect_identical(colnames(modified), c("betax", "bmi", "RRx", "RRbmi", "Varx", "Varbmi"))
})

test_that("the basis has no divisor", {
  value <- call_old(int_df_no_cov, old_columns(), c(.1, .5, .9))
  fit <- attr(value, "fit")
  knots <- fit$methods$internalized$knots
  expect_equal(value[[1, 2]], coef(fit)[["exposure'"]] / (knots[3] - knots[1])^2)
  expect_equal(value[[1, 6]], vcov(fit)[2, 2] / (knots[3] - knots[1])^4)
})

test_that("functions with and without covariates agree where there are none", {
  data <- old_columns()
  p <- c(.05, .35, .65, .95)
  expect_identical(call_old(fc_df, data, p)[1, ], call_old(fc_df_no_cov, data, p)[1, ])
  expect_identical(call_old(int_df, data, p, covar = NA)[1, ], call_old(int_df_no_cov, data, p)[1, ])
})

test_that("fc_df is the linear function under the option", {
  data <- old_columns()
  old <- options(biocal.fc_df = "linear")
  on.exit(options(old))
  expect_identical(call_old(fc_df, data, "bmi")[1, ], call_old(fc_df_linear, data, "bmi")[1, ])
})

test_that("data that contradict nstud, nref or H are refused", {
  data <- old_columns()
  expect_error(fc_df_linear(data, "X", "S", "H", "W", "Y", "strata", 4, 1), "nstud is 4", class = "biocal_input_error")
  expect_error(fc_df_linear(data, "X", "S", "H", "W", "Y", "strata", 3, 2), "H = ", class = "biocal_input_error")
  expect_error(fc_df_linear(data, "x", "S", "H", "W", "Y", "strata", 3, 1), "no column 'x'", class = "biocal_input_error")
})
