"""The command line: one file a subcommand; results to stdout or a folder, messages to stderr."""
