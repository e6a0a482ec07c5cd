"""Commands that take files of truth and of predictions into the store, and list them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ichscope.access import named
from ichscope.commands import running
from ichscope.commands.shared import ColumnOption, PercentOption, columns_of, fail

if TYPE_CHECKING:
    from ichscope.tabular.importing import Imported

_EXIT_CODES = """\b
Exit code:
  0  the file is in the store, where it may have been before
  2  wrong usage, or a file that cannot be used; nothing of it is in the store
  4  the store cannot be used
"""
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)]
NameOption = Annotated[
    str, typer.Option(metavar="TEXT", help="What to call the import; by default the name of the file.")
]

app = typer.Typer()


@app.command("import-truth", epilog=_EXIT_CODES)
def import_truth(
    file: FileArgument,
    readers: Annotated[
        bool,
        typer.Option(
            "--readers",
            help="Rows of one study that name no reader come from several readers; they do not contradict each other.",
        ),
    ] = False,
    column: ColumnOption = None,
    name: NameOption = "",
) -> None:
    """Import readers' labels into the store: a CSV with a column `study` or `sop`, or Kaggle's ID,Label.

    Each label is a column. Several readers are told apart by a column `reader`, or by columns such as R1:SDH. The file
    is imported whole or not at all. Whose truth counts (the majority, any reader, one of them) is chosen later, when
    figures are made.
    """
    from ichscope.tabular import importing

    columns = columns_of(column)
    with running.store(hint="") as store, _tables():
        _say(importing.import_truth(store, file, columns, nameless_readers=readers, name=name))


@app.command("import-predictions", epilog=_EXIT_CODES)
def import_predictions(
    file: FileArgument,
    level: Annotated[
        Literal["study", "slice"],
        typer.Option(help="What to import from JSON of `ichscope analyse`, which holds both."),
    ] = "study",
    column: ColumnOption = None,
    percent: PercentOption = False,
    name: NameOption = "",
) -> None:
    """Import the probabilities of any tool into the store, to audit it without its images.

    A CSV with a column `study`, or `sop`, or `study` and `slice`, and a column of probabilities for each label;
    `patient`, `model` and `version` are optional. JSON of `ichscope analyse` works, too. A model that the file does not
    name is called after the file.
    """
    from ichscope.tabular import importing

    columns = columns_of(column)
    with running.store(hint="") as store, _tables():
        _say(importing.import_predictions(store, file, columns, level=level, percent=percent, name=name))


@app.command()
def imports(
    remove: Annotated[int | None, typer.Option(metavar="NUMBER", help="Remove the import with this number.")] = None,
) -> None:
    """List what was imported, or remove one import."""
    with running.store(hint="") as store:
        tables = store.imported.tables()
        if remove is not None:
            if remove not in {table.id for table in tables}:
                fail(f"there is no imported file number {remove}")
            store.imported.remove(remove)
            return
    for table in tables:
        raters = ", ".join(rater.name or "one reader" for rater in table.raters)
        when = table.imported_at.strftime("%Y-%m-%d %H:%M")
        by = f", imported by {named(table.who, table.signed)}" if table.who else ""
        rows = f"{table.rows} rows by {table.level}"
        typer.echo(f"{table.id:<4}{table.kind:<12}{when}  {table.name}: {rows}; {raters}{by}")
    if not tables:
        typer.echo("Nothing was imported. `ichscope import-truth FILE` imports readers' labels.")


@contextmanager
def _tables() -> Iterator[None]:
    """Say what is wrong with a file."""
    from ichscope.tabular.table import TableError

    try:
        yield
    except TableError as error:
        fail(str(error))


def _say(imported: Imported) -> None:
    """Say what came in."""
    from ichscope.levels import rows_of
    from ichscope.tabular.values import NAMELESS

    before = "" if imported.new else " (was there already)"
    rows = f"{rows_of(imported.rows, imported.level)}, {imported.matched} of them in the store"
    typer.echo(f"Number {imported.id}{before}: {imported.name}, {rows}")
    who = "Readers" if imported.kind == "truth" else "Models"
    named = (rater if rater not in ("", NAMELESS) else "not named" for rater in imported.raters)
    typer.echo(f"{who}: {', '.join(named)}")
    typer.echo(f"Labels: {', '.join(imported.labels)}")
    for note in imported.notes:
        typer.echo(f"Note: {note}")
