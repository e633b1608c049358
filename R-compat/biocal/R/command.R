# Finding and running the command.

oldest_command <- "0.1.0"
checked <- new.env(parent = emptyenv())

how_to_install <- paste(
  "Install it with `pip install biocal` (Python 3.11 or newer), or say where it is:",
  "options(biocal.command = \"/path/to/biocal\") or the environment variable BIOCAL_COMMAND.")

biocal_command <- function() {
  places <- list("option biocal.command" = getOption("biocal.command"),
                 "environment variable BIOCAL_COMMAND" = Sys.getenv("BIOCAL_COMMAND"))
  for (place in names(places)) {
    value <- places[[place]]
    if (is.null(value) || !nzchar(value[1])) next
    found <- if (file.exists(value[1])) value[1] else Sys.which(value[1])
    if (!nzchar(found) || dir.exists(found)) {
      stop_biocal(sprintf("the %s names '%s', which is no program. %s", place, value[1], how_to_install),
                  "biocal_command_missing")
    }
    return(normalizePath(found, winslash = "/"))
  }
  found <- Sys.which("biocal")
  if (!nzchar(found)) {
    stop_biocal(paste("the biocal command was not found on the PATH.", how_to_install), "biocal_command_missing")
  }
  normalizePath(found, winslash = "/")
}

biocal_version <- function() {
  command <- biocal_command()
  stamp <- paste(command, as.numeric(file.mtime(command)))
  if (is.null(checked[[stamp]])) {
    run <- start_command(command, "--version")
    line <- grep("^biocal [0-9]+(\\.[0-9]+)+", run$stdout, value = TRUE)
    if (run$status != 0 || length(line) == 0) {
      stop_biocal(sprintf("'%s' does not answer like biocal (asked for --version it said: %s). %s", command,
                          paste(c(run$stdout, run$stderr), collapse = " "), how_to_install),
                  "biocal_command_missing")
    }
    checked[[stamp]] <- sub("^biocal ([0-9.]+[0-9]).*$", "\\1", line[1])
  }
  package_version(checked[[stamp]])
}

require_version <- function() {
  version <- biocal_version()
  if (version < oldest_command) {
    stop_biocal(sprintf("biocal %s at '%s' is too old; %s or newer is needed: pip install --upgrade biocal",
                        version, biocal_command(), oldest_command), "biocal_version_error")
  }
}

# Run the command in a folder; the caller looks at the status.
run_biocal <- function(arguments, folder = getwd()) {
  require_version()
  command <- biocal_command()
  old <- setwd(folder)
  on.exit(setwd(old))
  start_command(command, arguments)
}

start_command <- function(command, arguments) {
  streams <- c(stdout = tempfile("biocal-out-"), stderr = tempfile("biocal-err-"))
  on.exit(unlink(streams))
  # UTF-8 in every locale, and a fixed width so that tables look the same everywhere
  old <- Sys.getenv(c("PYTHONUTF8", "PYTHONIOENCODING", "COLUMNS", "NO_COLOR", "LD_LIBRARY_PATH"), NA)
  Sys.setenv(PYTHONUTF8 = "1", PYTHONIOENCODING = "utf-8", COLUMNS = "100", NO_COLOR = "1")
  if (!is.na(old[["LD_LIBRARY_PATH"]])) Sys.setenv(LD_LIBRARY_PATH = without_r(old[["LD_LIBRARY_PATH"]]))
  on.exit(restore_environment(old), add = TRUE)
  type <- if (.Platform$OS.type == "windows") "cmd" else "sh"
  status <- suppressWarnings(
    system2(command, shQuote(enc2utf8(arguments), type), stdout = streams[["stdout"]],
            stderr = streams[["stderr"]], stdin = ""))
  run <- lapply(streams, read_utf8)
  if (status %in% c(126L, 127L)) {
    stop_biocal(sprintf("'%s' cannot be run (%s). %s", command, paste(run$stderr, collapse = " "),
                        how_to_install), "biocal_command_missing")
  }
  list(status = as.integer(status), stdout = run$stdout, stderr = run$stderr)
}

# R puts its own and the system's folders before those that a program finds by itself.  A Python with its own
# shared library would load the system's instead, and fail far from here.
without_r <- function(library_path) {
  folders <- strsplit(library_path, ":", fixed = TRUE)[[1]]
  ours <- startsWith(folders, R.home()) | grepl("^/(usr/)?(local/)?lib(64)?(/[a-z0-9_]+-linux-gnu)?/?$", folders) |
    grepl("/(jvm|java)", folders)
  paste(folders[nzchar(folders) & !ours], collapse = ":")
}

restore_environment <- function(old) {
  known <- !is.na(old)
  if (any(known)) do.call(Sys.setenv, as.list(old[known]))
  Sys.unsetenv(names(old)[!known])
}

read_utf8 <- function(path) {
  if (!file.exists(path)) return(character())
  readLines(path, warn = FALSE, encoding = "UTF-8")
}
