# Make the .rds files of tests/study/test_r_files.py.  Run in this folder: Rscript make_rds.R
d <- read.csv("../fixtures/one_to_two.csv")
d <- d[d$set <= 20, ]
d$case <- d$case == 1
d$set <- as.integer(d$set)
d$smoking <- factor(c("never", "past", "current")[1 + seq_len(nrow(d)) %% 3], levels = c("never", "past", "current"))
d$drawn <- as.Date("2001-02-03") + seq_len(nrow(d))
d$drawn[2] <- NA
d$child <- seq_len(nrow(d))
d$child[3] <- NA
d$left_handed <- rep(c(TRUE, FALSE, NA), length.out = nrow(d))
d$site <- c("r\u00e9gion, one", "two")[1 + seq_len(nrow(d)) %% 2]
saveRDS(d, "pool.rds", version = 2)
write.csv(transform(d, local = sprintf("%a", local), reference = sprintf("%a", reference)), "pool.csv",
          row.names = FALSE, fileEncoding = "UTF-8")
saveRDS(list(d, 1), "list.rds")
saveRDS(1:3, "vector.rds")
saveRDS(d[0, ], "no_rows.rds")
d$nested <- as.list(seq_len(nrow(d)))
saveRDS(d, "list_column.rds")
