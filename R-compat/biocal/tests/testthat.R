library(testthat)
library(biocal)
test_check("biocal")
