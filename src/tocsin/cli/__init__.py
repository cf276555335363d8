"""The command line: one file per command. Modules with a leading underscore use the standard library alone."""
