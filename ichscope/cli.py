"""`python -m ichscope.cli`: the command line, under the name that scripts know it by."""

from ichscope.commands.cli import app

if __name__ == "__main__":
    app()
