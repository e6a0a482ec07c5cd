"""Commands of the command line, by group; ichscope.cli puts them together."""
