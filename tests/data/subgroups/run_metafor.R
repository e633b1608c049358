# Heterogeneity between independent subgroups by metafor: QM of the moderator, fixed effects.
# Rscript run_metafor.R > pins.json
suppressMessages(library(metafor))
yi <- c(0.41, 0.12, -0.05)
sei <- c(0.11, 0.17, 0.23)
fit <- rma(yi, sei = sei, mods = ~ factor(1:3), method = "FE")
cat(sprintf('{"r": "%s", "metafor": "%s", "log_or": [0.41, 0.12, -0.05], "std_error": [0.11, 0.17, 0.23],\n "qm": %.17g, "df": %d, "p": %.17g}\n',
  getRversion(), packageVersion("metafor"), fit$QM, fit$m, fit$QMp))
