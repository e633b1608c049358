# A small pool of three studies, one of them a reference study; 1:2 sets.
made_up_pool <- function(seed = 1) {
  set.seed(seed)
  n <- 80
  pool <- do.call(rbind, lapply(c("A", "B", "C"), function(study) {
    rows <- expand.grid(person = 1:3, set = seq_len(n))
    truth <- rnorm(3 * n, 60, 20)
    smoking <- sample(c("never", "past", "current"), 3 * n, TRUE)
    utility <- truth / 40 + 0.5 * (smoking == "current") + -log(-log(runif(3 * n)))
    case <- ave(utility, rows$set, FUN = function(u) u == max(u)) == 1
    local <- (truth + rnorm(3 * n, 0, 8) + 30) / 0.8
    data.frame(study = study, set = rows$set, case = case, truth = truth, local = local, smoking = smoking,
               age = 50L + rows$set %% 7L, bmi = rnorm(3 * n, 27, 4))
  }))
  pool$smoking <- factor(pool$smoking, levels = c("never", "past", "current"))
  subset <- !pool$case & pool$set <= 40
  pool$reference <- ifelse(pool$study == "A" | subset, pool$truth, NA)
  pool$local[pool$study == "A"] <- NA
  pool$truth <- NULL
  pool
}

# Two fits are the same to rounding.
rounding <- 1e-10
