"""Commands of an audit over the store: files of truth and of predictions come in, a report goes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ichscope.commands import running
from ichscope.commands.shared import (
    NONE_ANALYSED,
    ColumnOption,
    PercentOption,
    SlicesToStudyOption,
    TablesOption,
    check_targets,
    columns_of,
    fail,
    save,
    save_all,
)

if TYPE_CHECKING:
    from ichscope.evaluation.selection import EvaluationSet, ModelSource, TruthSource
    from ichscope.reporting.report import EvaluationReport
    from ichscope.tabular.importing import Imported

_EXIT_CODES = """\b
Exit code:
  0  the file is in the store, where it may have been before
  2  wrong usage, or a file that cannot be used; nothing of it is in the store
  4  the store cannot be used
"""
_REPORT_EXIT_CODES = """\b
Exit code:
  0  the report is written
  1  there is nothing to report: no truth, or no model with results for it
  2  wrong usage
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
        typer.echo(f"{table.id:<4}{table.kind:<12}{when}  {table.name}: {table.rows} rows by {table.level}; {raters}")
    if not tables:
        typer.echo("Nothing was imported. `ichscope import-truth FILE` imports readers' labels.")


@app.command(epilog=_REPORT_EXIT_CODES)
def report(
    output: Annotated[Path, typer.Option(metavar="FILE.html", help="Where to write the report; - is stdout.")],
    truth: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What counts as truth: reviews, or an imported file by number or name. Needed if there are several.",
        ),
    ] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name or name@version. May be given more than once; by default every model with results.",
        ),
    ] = None,
    level: Annotated[Literal["study", "slice"], typer.Option(help="Evaluate studies or slices.")] = "study",
    readers: Annotated[
        str,
        typer.Option(
            metavar="WHO", help="Whose truth counts: majority, any, newest (reviews only), or a reader's name."
        ),
    ] = "majority",
    slices_to_study: SlicesToStudyOption = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only studies that arrived at this time or later (UTC).")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Only studies that arrived before this time (UTC).")] = None,
    scanner: Annotated[str | None, typer.Option(help="Only studies from this scanner.")] = None,
    tables: TablesOption = None,
    by: Annotated[str, typer.Option(metavar="TEXT", help="Who made the report, to be printed on it.")] = "",
    date: Annotated[str, typer.Option(metavar="TEXT", help="The date to print on the report; now by default.")] = "",
) -> None:
    """Report how well the models do against the truth in the store, as one HTML file that needs no network.

    It holds figures, tables, the population, hashes, thresholds and versions. The same input and --date give the same
    bytes. Beside the tables, --tables writes all figures as JSON.
    """
    check_targets(output, hint="--output")
    try:
        from ichscope.reporting import report as reports
    except ImportError:
        fail("a report needs Plotly: `pip install 'ichscope[dashboard]'`")
    from ichscope.evaluation.selection import EvaluationError, Selection, load, model_sources, truth_sources
    from ichscope.store import Filter

    with running.store(hint="") as store:
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
    save(output, made.html())
    if folder is not None:
        tables = {f"{table.key}.csv": table.csv() for table in made.tables}
        save_all(folder, tables | {"figures.json": made.json()})


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
