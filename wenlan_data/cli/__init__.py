"""The command line, one file per command. It parses options, calls the package and prints."""
