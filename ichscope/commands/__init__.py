"""Commands of the command line, by group; ichscope.commands.cli puts them together."""
