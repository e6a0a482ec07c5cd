"""Commands of an audit over the store: files of truth and of predictions come in, a report goes out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ichscope.commands.shared import NONE_ANALYSED, STOPPED, fail

if TYPE_CHECKING:
    from ichscope.evaluation.selection import EvaluationSet, ModelSource, TruthSource
    from ichscope.reporting.report import EvaluationReport
    from ichscope.store import Store
    from ichscope.tabular.importing import Imported

_EXIT_CODES = """\b
Exit code:
  0  the file is in the store, be it now or since before
  2  wrong use, or a file that cannot be used: nothing of it is in the store
  4  the store cannot be used
"""
_REPORT_EXIT_CODES = """\b
Exit code:
  0  the report is written
  1  there is nothing to report: no truth, or no model that says anything of it
  2  wrong use
  4  the store cannot be used
"""
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(metavar="THEIRS=OURS", help="What a column is, as scan_id=study or Blut=any; may be repeated."),
]
PercentOption = Annotated[bool, typer.Option("--percent", help="Probabilities are from 0 to 100.")]
NameOption = Annotated[str, typer.Option(metavar="TEXT", help="What to call it; the file's name if not given.")]

app = typer.Typer()


@app.command("import-truth", epilog=_EXIT_CODES)
def import_truth(
    file: FileArgument,
    readers: Annotated[
        bool,
        typer.Option(
            "--readers", help="Rows of the same study that name no reader are several readers', not a contradiction."
        ),
    ] = False,
    column: ColumnOption = None,
    name: NameOption = "",
) -> None:
    """Take readers' labels into the store: a CSV with a column `study` or `sop`, or Kaggle's ID,Label.

    Labels are columns by name; several readers are rows with a column `reader`, or columns as R1:SDH. The file comes
    in whole or not at all. Whose truth counts (most readers, any, one of them) is chosen when figures are made.
    """
    from ichscope.tabular import importing

    columns = columns_of(column)
    with _store() as store, _tables():
        _say(importing.import_truth(store, file, columns, nameless_readers=readers, name=name))


@app.command("import-predictions", epilog=_EXIT_CODES)
def import_predictions(
    file: FileArgument,
    level: Annotated[
        Literal["study", "slice"], typer.Option(help="What to take from JSON of `ichscope analyse`, which has both.")
    ] = "study",
    column: ColumnOption = None,
    percent: PercentOption = False,
    name: NameOption = "",
) -> None:
    """Take any tool's probabilities into the store, to audit it without its images.

    A CSV with a column `study`, or `sop`, or `study` and `slice`; probabilities as columns by label; if wanted,
    `patient`, `model` and `version`. Or JSON of `ichscope analyse`. A model that the file does not name has the
    file's name.
    """
    from ichscope.tabular import importing

    columns = columns_of(column)
    with _store() as store, _tables():
        _say(importing.import_predictions(store, file, columns, level=level, percent=percent, name=name))


@app.command()
def imports(
    remove: Annotated[int | None, typer.Option(metavar="NUMBER", help="Remove this one.")] = None,
) -> None:
    """Show what was imported, or remove one of it."""
    with _store() as store:
        tables = store.imported.tables()
        if remove is not None:
            if remove not in {table.id for table in tables}:
                fail(f"there is no imported file number {remove}")
            store.imported.remove(remove)
            return
    for table in tables:
        raters = ", ".join(rater.name or "one reader" for rater in table.raters)
        when = table.imported_at.strftime("%Y-%m-%d %H:%M")
        typer.echo(f"{table.id:<4}{table.kind:<12}{when}  {table.name}: {table.rows} rows by {table.level}; {raters}")
    if not tables:
        typer.echo("Nothing was imported. `ichscope import-truth FILE` takes readers' labels in.")


@app.command(epilog=_REPORT_EXIT_CODES)
def report(
    output: Annotated[Path, typer.Option(metavar="FILE.html", help="The report; - is stdout.")],
    truth: Annotated[
        str, typer.Option(metavar="NAME", help="reviews, or number or name of an imported file; needed if several.")
    ] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Name or name@version; may be repeated; all that say something, if not given."
        ),
    ] = None,
    level: Annotated[Literal["study", "slice"], typer.Option(help="What a figure is about.")] = "study",
    readers: Annotated[
        str, typer.Option(metavar="WHO", help="Whose truth counts: majority, any, newest (of reviews), or a name.")
    ] = "majority",
    slices_to_study: Annotated[
        Literal["max", "top-k", "noisy-or"] | None,
        typer.Option(metavar="RULE", help="Make studies of slices: max, top-k (mean of the 3 highest), noisy-or."),
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Only studies that arrived from then on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only studies that arrived before (UTC).")] = None,
    scanner: Annotated[str | None, typer.Option(help="Only studies of this scanner.")] = None,
    tables: Annotated[
        Path | None, typer.Option(metavar="FOLDER", file_okay=False, help="Write each table as CSV, and all as JSON.")
    ] = None,
    by: Annotated[str, typer.Option(metavar="TEXT", help="Who made the report.")] = "",
    date: Annotated[str, typer.Option(metavar="TEXT", help="The date that it bears; now, if not given.")] = "",
) -> None:
    """Write how good the models are, on the truth in the store, as one HTML file that needs no network.

    Figures, tables, population, hashes, thresholds and versions. The same input and --date give the same bytes.
    """
    if output != Path("-") and (output.is_dir() or not output.resolve().parent.is_dir()):
        raise typer.BadParameter(f"{output}: expected a file in a folder that exists", param_hint="--output")
    try:
        from ichscope.reporting import report as reports
    except ImportError:
        fail("a report needs Plotly: `pip install 'ichscope[dashboard]'`")
    from ichscope.evaluation.selection import EvaluationError, Selection, load, model_sources, truth_sources
    from ichscope.store import Filter

    with _store() as store:
        source = _chosen_truth(truth_sources(store), truth)
        available = model_sources(store)
        models = _chosen_models(available, model) if model else _able(available, level, slices_to_study)
        period = [moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None for moment in (since, until)]
        filter = Filter(since=period[0], until=period[1], scanner=scanner)
        selection = Selection(source.key, models, level, readers, slices_to_study, filter)
        try:
            evaluation_set = load(store, selection)
        except EvaluationError as error:
            fail(str(error))
    if not model:
        evaluation_set = _with_words(evaluation_set)
    if not evaluation_set.models:
        fail("no model says anything of the studies with truth", NONE_ANALYSED)
    stamp = date or datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = reports.EvaluationReport(
        evaluation_set, reports.About(stamp, by, selection=reports.in_words(selection, source))
    )
    _write(made, output, tables)


def _write(made: EvaluationReport, output: Path, folder: Path | None) -> None:
    from ichscope import results

    if output == Path("-"):
        sys.stdout.write(made.html())
    files = {} if output == Path("-") else {output: made.html()}
    if folder is not None:
        files |= {folder / f"{table.key}.csv": table.csv() for table in made.tables}
        files[folder / "figures.json"] = made.json()
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            results.write(path, text)
    except OSError as error:
        fail(f"a file could not be written ({error.strerror})")


def _chosen_truth(sources: Sequence[TruthSource], wanted: str) -> TruthSource:
    if not sources:
        fail(
            "the store has no truth; review studies, or import labels with `ichscope import-truth FILE`", NONE_ANALYSED
        )
    fits = [
        source
        for source in sources
        if not wanted or wanted in (source.key, source.key.removeprefix("import:"), source.name)
    ]
    if len(fits) == 1:
        return fits[0]
    names = ", ".join(f"{source.key.removeprefix('import:')} ({source.name})" for source in sources)
    fail(f"--truth: found {len(fits)} that fit {wanted!r}, expected one of {names}")


def _chosen_models(sources: Sequence[ModelSource], wanted: Sequence[str]) -> tuple[str, ...]:
    chosen: list[str] = []
    for name in wanted:
        fits = [
            source.key for source in sources if name in (source.key, source.name, f"{source.name}@{source.version}")
        ]
        if not fits:
            names = ", ".join(source.key for source in sources)
            fail(f"--model: found none called {name!r}, expected one of {names or 'none, for the store has none'}")
        chosen += fits
    return tuple(dict.fromkeys(chosen))


def _able(sources: Sequence[ModelSource], level: str, rule: str | None) -> tuple[str, ...]:
    """Those that can speak at this level: imported files know either studies or slices."""
    by_slice = level == "slice" or rule is not None
    own = {source.key for source in sources if source.key.startswith("model:")}
    return tuple(
        source.key for source in sources if source.has_slices == by_slice or (source.key in own and not by_slice)
    )


def _with_words(evaluation_set: EvaluationSet) -> EvaluationSet:
    """Only the models that say anything of the rows."""
    speaking = {
        key: model
        for key, model in evaluation_set.models.items()
        if evaluation_set.missing[key] < len(evaluation_set.keys)
    }
    return replace(evaluation_set, models=speaking, missing={key: evaluation_set.missing[key] for key in speaking})


def columns_of(pairs: Sequence[str] | None) -> dict[str, str]:
    """Their name of a column -> ours, from options as `scan_id=study`."""
    columns = {}
    for text in pairs or ():
        theirs, equals, ours = text.partition("=")
        if not (theirs and equals and ours):
            raise typer.BadParameter(f"{text!r}; expected THEIRS=OURS", param_hint="--column")
        columns[theirs.strip()] = ours.strip()
    return columns


@contextmanager
def _store() -> Iterator[Store]:
    """Open the store; where it fails, the command says so and ends."""
    from ichscope.store import Store, StoreError

    try:
        opened = Store.open()
        try:
            yield opened
        finally:
            opened.close()
    except StoreError as error:
        fail(str(error), STOPPED)


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
    from ichscope.tabular.values import NAMELESS

    unit = "studies" if imported.level == "study" else "slices"
    before = "" if imported.new else " (was there already)"
    rows = f"{imported.rows} {unit}, {imported.matched} of them in the store"
    typer.echo(f"Number {imported.id}{before}: {imported.name}, {rows}")
    who = "Readers" if imported.kind == "truth" else "Models"
    named = (rater if rater not in ("", NAMELESS) else "not named" for rater in imported.raters)
    typer.echo(f"{who}: {', '.join(named)}")
    typer.echo(f"Labels: {', '.join(imported.labels)}")
    for note in imported.notes:
        typer.echo(f"Note: {note}")
