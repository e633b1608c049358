hard_numbers <- c(0.1, 1 / 3, pi, 1e-300, 5e-324, .Machine$double.xmax, -2.5, 123456789012345678, 1 + 2^-52,
                  2^53 + 2, 0.1 + 0.2, 1e22, 1e23, -0)

test_that("doubles go out and come back to the last bit", {
  set.seed(7)
  numbers <- c(hard_numbers, runif(2000) * 10^sample(-30:30, 2000, TRUE))
  expect_identical(biocal:::exact_numbers(biocal:::number_words(numbers)), numbers)
})

test_that("numbers are written with as few digits as read back exactly", {
  expect_identical(biocal:::number_words(c(0.1, 1, 2.5, 1 / 3)), c("0.1", "1", "2.5", "0.3333333333333333"))
})

test_that("a data frame of every type is written as it is", {
  data <- data.frame(text = c("a,b", "say \"so\"", NA), whole = c(1L, NA, -3L), number = c(1 / 3, NA, 1e-300),
                     yes = c(TRUE, NA, FALSE), day = as.Date(c("2001-02-03", NA, "1969-12-31")),
                     level = factor(c("past", NA, "never"), levels = c("never", "past")), stringsAsFactors = FALSE)
  path <- tempfile()
  biocal:::write_exact_csv(data, path)
  expect_identical(readLines(path), c(
    "\"text\",\"whole\",\"number\",\"yes\",\"day\",\"level\"",
    "\"a,b\",1,0.3333333333333333,TRUE,2001-02-03,\"past\"",
    "\"say \"\"so\"\"\",,,,,", ",-3,1e-300,FALSE,1969-12-31,\"never\""))
  back <- biocal:::read_exact_csv(path)
  expect_identical(back$number[1:3], c(1 / 3, NA, 1e-300))
})

test_that("text that would be read as missing is refused with its place", {
  data <- data.frame(study = c("Malawi", "NA"), stringsAsFactors = FALSE)
  error <- expect_error(biocal:::write_exact_csv(data, tempfile()), class = "biocal_input_error")
  expect_match(conditionMessage(error), "column 'study', row 2: the text 'NA'", fixed = TRUE)
})

test_that("columns that are no cells are refused by name", {
  data <- data.frame(set = 1:2)
  data$nested <- list(1, 2)
  expect_error(biocal:::write_exact_csv(data, tempfile()), "column 'nested' is of class list", class = "biocal_input_error")
})

test_that("the command sees what R sent", {
  pool <- made_up_pool()
  plain <- biocal_check(pool)
  texts <- transform(pool, case = as.integer(case), study = paste0("st\u00fcdy, ", study), set = paste("set", set), smoking = as.character(smoking))
  expect_match(biocal_check(texts)$text, "st\u00fcdy, A", fixed = TRUE, all = FALSE)
  expect_match(plain$text, "matched sets by cases:controls: 1:2 (240)", fixed = TRUE, all = FALSE)
})
