# The example of variances.md: the stacked sandwich of linear full calibration by hand, and what two of the three
# departures do to it.  Base R only.  Run in the project's folder: Rscript R-compat/variances.R
example <- function(name) {
  d <- read.csv(file.path("tests", "data", "fixtures", paste0(name, ".csv")))
  d <- transform(d, local = ifelse(is.na(local), 0, local), pair = !is.na(reference) & study > 1, column = 2 * study - 3)
  lines <- sapply(2:4, function(s) coef(lm(reference ~ local, d, subset = study == s & pair)))
  d$x <- d$reference
  calibrated <- d$study > 1
  d$x[calibrated] <- lines[1, d$study[calibrated] - 1] + lines[2, d$study[calibrated] - 1] * d$local[calibrated]
  sets <- split(d, paste(d$study, d$set))
  score <- function(b, r) { w <- exp(b * r$x); r$x[r$case == 1] - sum(w * r$x) / sum(w) }
  b <- uniroot(function(b) sum(vapply(sets, score, 0, b = b)), c(-5, 5), tol = 1e-14)$root
  bread <- matrix(0, 7, 7)
  psi <- matrix(0, length(sets), 7)  # scores by set: six calibration parameters, then b
  persons <- matrix(0, 6, 6)         # calibration scores squared person by person
  for (j in seq_along(sets)) {
    r <- sets[[j]]
    w <- exp(b * r$x) / sum(exp(b * r$x))
    case <- r$case == 1
    psi[j, 7] <- score(b, r)
    bread[7, 7] <- bread[7, 7] + sum(w * r$x^2) - sum(w * r$x)^2
    if (r$study[1] == 1) next
    i <- r$column[1] + 0:1
    for (k in 1:2) {
      change <- cbind(1, r$local)[, k]  # of the exposure, per unit of intercept or slope
      bread[7, i[k]] <- bread[7, i[k]] -
        (change[case] - sum(w * change) - b * (sum(w * r$x * change) - sum(w * r$x) * sum(w * change)))
    }
    for (m in which(r$pair)) {
      row <- c(1, r$local[m])
      own <- (r$reference[m] - r$x[m]) * row
      psi[j, i] <- psi[j, i] + own
      bread[i, i] <- bread[i, i] + row %o% row
      persons[i, i] <- persons[i, i] + own %o% own
    }
  }
  variance <- function(bread, meat) { a <- solve(bread); (a %*% meat %*% t(a))[7, 7] }
  meat <- crossprod(psi)
  first <- bread
  for (i in c(1, 3, 5)) first[i, i] <- length(sets)  # -1 in the average over sets is this in the sum
  by_person <- meat
  by_person[1:6, 1:6] <- persons
  c(b = b, stacked = variance(bread, meat), "departure 1" = variance(first, meat),
    "departure 3" = variance(bread, by_person), "1 and 3" = variance(first, by_person), "model based" = 1 / bread[7, 7])
}
print(sapply(c(pairs = "pairs", one_to_two = "one_to_two"), example), digits = 10)
