pool <- made_up_pool()
fit <- biocal_fit(case ~ exposure + bmi + strata(set), pool, knots = 4, matching = ~ age, quiet = TRUE)

test_that("accessors give full calibration unless told otherwise", {
  expect_identical(names(fit$methods), c("naive", "full"))
  expect_identical(names(coef(fit)), c("exposure", "exposure'", "exposure''", "bmi"))
  expect_false(isTRUE(all.equal(coef(fit), coef(fit, "naive"))))
  expect_identical(dim(vcov(fit)), c(4L, 4L))
  expect_identical(rownames(vcov(fit)), names(coef(fit)))
  expect_error(coef(fit, "induced"), "was not fitted", class = "biocal_usage_error")
})

test_that("intervals, log-likelihood and counts are R's", {
  se <- sqrt(diag(vcov(fit)))
  expect_equal(unname(confint(fit, level = 0.9)[, 2]), unname(coef(fit) + qnorm(0.95) * se))
  expect_identical(rownames(confint(fit, "bmi")), "bmi")
  loglik <- logLik(fit)
  expect_s3_class(loglik, "logLik")
  expect_identical(attr(loglik, "df"), 4L)
  expect_equal(AIC(fit), -2 * as.numeric(loglik) + 8)
  expect_identical(nobs(fit), 720L)
})

test_that("the corrected standard errors are those of the coefficient table", {
  rows <- fit$tables$coefficients
  rows <- rows[rows$method == "full", ]
  expect_equal(unname(sqrt(diag(vcov(fit)))), rows$std_error, tolerance = 1e-14)
  expect_equal(unname(sqrt(diag(vcov(fit, corrected = FALSE)))), rows$std_error_uncorrected, tolerance = 1e-14)
})

test_that("predict() repeats the command's curve", {
  curve <- fit$tables$dose_response
  curve <- curve[curve$method == "full", ]
  predicted <- predict(fit, curve$exposure, se.fit = TRUE)
  expect_equal(predicted$fit, curve$log_or, tolerance = 1e-11)
  expect_equal(predicted$se.fit, curve$std_error, tolerance = 1e-11)
  limits <- predict(fit, curve$exposure, type = "or", interval = "confidence")
  expect_equal(unname(limits), unname(as.matrix(curve[c("or", "or_low", "or_high")])), tolerance = 1e-10)
  at_reference <- predict(fit, 55, reference = 55, interval = "confidence")
  expect_identical(unname(at_reference[1, ]), c(0, 0, 0))
})

test_that("predict() turns round when the reference does", {
  expect_equal(predict(fit, 30, reference = 70), -predict(fit, 70, reference = 30))
})

test_that("linear, categories and modifiers can be predicted for", {
  linear <- biocal_fit(case ~ exposure * smoking + strata(set), pool, method = "full", exposure = "linear", quiet = TRUE)
  levels <- data.frame(exposure = 70, smoking = c("never", "past", "current"))
  b <- coef(linear)
  expect_equal(predict(linear, levels, reference = 60),
               unname(10 * (b["exposure"] + c(0, b["exposure:smokingpast"], b["exposure:smokingcurrent"]))))
  expect_error(predict(linear, 70), "newdata needs that column", class = "biocal_usage_error")
  expect_identical(unique(linear$tables$dose_response$modifier),
                   paste("smoking =", c("never", "past", "current")))
  cut <- biocal_fit(case ~ exposure + strata(set), pool, method = "full", exposure = "categories", cuts = c(50, 70),
                    quiet = TRUE)
  table <- cut$tables$dose_response
  expect_equal(predict(cut, c(10, 50, 69.9, 70, 200)), table$log_or[c(1, 2, 2, 3, 3)])
})

test_that("tidy() and glance() have broom's columns", {
  tidied <- tidy(fit, conf.int = TRUE, exponentiate = TRUE)
  expect_identical(names(tidied), c("method", "term", "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"))
  expect_identical(nrow(tidied), 8L)
  expect_equal(tidied$estimate[5:8], unname(exp(coef(fit))))
  glanced <- glance(fit)
  expect_identical(glanced$method, c("naive", "full"))
  expect_equal(glanced$AIC[2], AIC(fit))
})

test_that("print, summary and plot show it", {
  expect_output(print(fit), "log OR")
  shown <- summary(fit)
  expect_output(print(shown), "full calibration")
  expect_identical(colnames(coef(shown))[1:2], c("log OR", "Std. Error"))
  path <- tempfile(fileext = ".pdf")
  grDevices::pdf(path)
  drawn <- plot(fit)
  grDevices::dev.off()
  expect_gt(file.size(path), 1000)
  expect_identical(unique(drawn$method), c("naive", "full"))
})

test_that("with every value from the reference laboratory the fit is survival's clogit", {
  women <- datasets::infert
  women$study <- "infert"
  ours <- biocal_fit(case ~ exposure + induced + strata(stratum), women, reference = "spontaneous", exposure = "linear",
                     method = "full", ref = 0, quiet = TRUE)
  Surv <- survival::Surv
  strata <- survival::strata
  theirs <- survival::coxph(Surv(rep(1, 248), case) ~ spontaneous + induced + strata(stratum), women, method = "exact")
  expect_equal(unname(coef(ours)), unname(coef(theirs)), tolerance = 1e-7)
  expect_equal(unname(vcov(ours, corrected = FALSE)), unname(vcov(theirs)), tolerance = 1e-6)
  expect_equal(as.numeric(logLik(ours)), theirs$loglik[2], tolerance = 1e-10)
})

test_that("results can be kept, and are not overwritten unasked", {
  out <- tempfile()
  biocal_fit(case ~ exposure + strata(set), pool, out = out, quiet = TRUE)
  expect_true(file.exists(file.path(out, "fit.json")))
  expect_error(biocal_fit(case ~ exposure + strata(set), pool, out = out, quiet = TRUE), class = "biocal_input_error")
  expect_s3_class(biocal_fit(case ~ exposure + strata(set), pool, out = out, force = TRUE, quiet = TRUE), "biocal_fit")
})

test_that("calibration lines come as a data frame", {
  lines <- biocal_calibrate(pool, ~ smoking, quiet = TRUE)
  expect_identical(lines$calibration$kind, c("reference", "local", "local"))
  expect_identical(lines$covariates$term, c("smokingpast", "smokingcurrent"))
  plain <- biocal_calibrate(pool, quiet = TRUE)
  by_hand <- lm(reference ~ local, pool, subset = study == "B")
  expect_equal(unname(coef(plain)["B", ]), unname(coef(by_hand)), tolerance = rounding)
})
