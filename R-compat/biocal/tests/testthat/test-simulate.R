test_that("lists are written as TOML", {
  expect_identical(
    biocal:::toml_lines(list(title = "a \"b\"", seed = 1, methods = c("naive", "full"), truth = list(beta = I(-0.02)),
                             studies = list(list(name = "A"), list(name = "B", slope = 0.75)))),
    c("title = \"a \\\"b\\\"\"", "seed = 1", "methods = [\"naive\", \"full\"]", "[truth]", "beta = [-0.02]", "[[studies]]",
      "name = \"A\"", "[[studies]]", "name = \"B\"", "slope = 0.75"))
})

test_that("a small simulation runs, and the same seed gives the same numbers", {
  design <- list(
    title = "small", replicates = 20, seed = 5, methods = c("naive", "full"), exposure = list(mean = 60, sd = 20),
    truth = list(type = "linear", beta = I(-0.02)), fit = list(exposure = "linear", calibration_covariates = "none"),
    estimand = list(at = c(25, 90), reference = 55),
    studies = list(list(name = "A", sets = 60, controls = 1, laboratory = "reference"),
                   list(name = "B", sets = 60, controls = 1, laboratory = "local", intercept = 12, slope = 0.75,
                        r_squared = 0.8, calibrators = 30)))
  first <- biocal_simulate(design, quiet = TRUE)
  expect_identical(unique(first$performance$method), c("naive", "full"))
  expect_true(all(first$performance$n + first$performance$failed == 20))
  expect_equal(first$performance$truth[1], -0.02 * (first$performance$exposure[1] - 55))
  expect_identical(tidy(biocal_simulate(design, quiet = TRUE)), tidy(first))
  error <- expect_error(biocal_simulate(c(design, list(nonsense = 1))), class = "biocal_input_error")
  expect_match(conditionMessage(error), "nonsense", fixed = TRUE)
})
