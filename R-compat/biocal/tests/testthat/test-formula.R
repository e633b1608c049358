fit_quietly <- function(...) biocal_fit(..., exposure = "linear", method = "full", quiet = TRUE)

test_that("factors are coded by R, in R's order and with R's names", {
  fit <- fit_quietly(case ~ exposure + smoking + poly(bmi, 2) + strata(set), made_up_pool())
  expect_identical(names(coef(fit)), c("exposure", "smokingpast", "smokingcurrent", "poly(bmi, 2)1", "poly(bmi, 2)2"))
  own <- transform(made_up_pool(), past = as.integer(smoking == "past"), current = as.integer(smoking == "current"))
  by_hand <- fit_quietly(case ~ exposure + past + current + poly(bmi, 2) + strata(set), own)
  expect_equal(unname(coef(fit)), unname(coef(by_hand)), tolerance = rounding)
})

test_that("the summary tells columns by the names they have in R", {
  text <- fit_quietly(case ~ exposure + factor(smoking) + strata(set), made_up_pool())$text
  expect_match(text, "factor(smoking)past", fixed = TRUE, all = FALSE)
  expect_false(any(grepl("Q(", text, fixed = TRUE)))
})

test_that("splines of covariates are those of rms", {
  pool <- made_up_pool()
  ours <- fit_quietly(case ~ exposure + rcs(bmi, 4) + strata(set), pool)
  expect_identical(names(coef(ours))[-1], c("rcs(bmi, 4)", "rcs(bmi, 4)'", "rcs(bmi, 4)''"))
  expect_equal(dim(biocal:::rcs_columns(c(1, 9), c(2, 3, 5))), c(2L, 2L))
})

test_that("the outcome may be logical, 0 and 1, or an expression", {
  pool <- made_up_pool()
  as_logical <- fit_quietly(case ~ exposure + strata(set), pool)
  pool$status <- ifelse(pool$case, "cancer", "none")
  as_words <- fit_quietly(status == "cancer" ~ exposure + strata(set), pool)
  expect_identical(coef(as_logical), coef(as_words))
})

test_that("strata(study, set) is the set within the study", {
  pool <- made_up_pool()
  expect_identical(coef(fit_quietly(case ~ exposure + strata(study, set), pool)),
                   coef(fit_quietly(case ~ exposure + strata(set), pool)))
})

test_that("columns may have other names, also odd ones", {
  pool <- made_up_pool()
  plain <- fit_quietly(case ~ exposure + bmi + strata(set), pool)
  names(pool) <- c("cohort", "matched set", "case", "serum (local)", "smoking", "age", "body \"mass\" index", "gold")
  odd <- fit_quietly(case ~ exposure + `body "mass" index` + strata(`matched set`), pool, study = "cohort",
                     local = "serum (local)", reference = "gold")
  expect_identical(unname(coef(odd)), unname(coef(plain)))
  expect_identical(names(coef(odd))[2], "`body \"mass\" index`")
})

test_that("row order does not matter, nor do factors for ids", {
  pool <- made_up_pool()
  shuffled <- pool[sample(nrow(pool)), ]
  shuffled$study <- factor(shuffled$study)
  shuffled$set <- as.character(shuffled$set)
  expect_equal(coef(fit_quietly(case ~ exposure + bmi + strata(set), shuffled)),
               coef(fit_quietly(case ~ exposure + bmi + strata(set), pool)), tolerance = rounding)
})

test_that("what cannot be meant is told before anything runs", {
  pool <- made_up_pool()
  refused <- function(formula, words) {
    expect_error(biocal_fit(formula, pool), words, fixed = TRUE, class = "biocal_usage_error")
  }
  refused(case ~ bmi + strata(set), "the word exposure")
  refused(case ~ exposure + bmi, "one strata()")
  refused(case ~ rcs(exposure, 4) + strata(set), "write exposure alone")
  refused(case ~ exposure:smoking + strata(set), "write exposure * smoking")
  refused(case ~ . + strata(set), "name the covariates")
  refused(case ~ exposure + strata(set) - 1, "no intercept")
  expect_error(biocal_fit(case ~ exposure + strata(set), pool, local = "assay"), "no column 'assay'",
               class = "biocal_input_error")
  expect_error(biocal_fit(case ~ exposure + weight + strata(set), pool), "weight", class = "biocal_input_error")
})
