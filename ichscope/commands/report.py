"""`ichscope report`: how well the models do against the truth in the store, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ichscope.access import Right, current_actor
from ichscope.access.events import Action, Kind
from ichscope.commands import running
from ichscope.commands.shared import (
    NONE_ANALYSED,
    SlicesToStudyOption,
    TablesOption,
    check_targets,
    fail,
    save,
    save_all,
)

if TYPE_CHECKING:
    from ichscope.evaluation.selection import EvaluationSet, ModelSource, TruthSource
    from ichscope.reporting.report import EvaluationReport

_EXIT_CODES = """\b
Exit code:
  0  the report is written
  1  there is nothing to report: no truth, or no model with results for it
  2  wrong usage
  4  the store cannot be used
"""

app = typer.Typer()


@app.command(epilog=_EXIT_CODES)
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
    level: Annotated[Literal["study", "series", "slice"], typer.Option(help="What a row is about.")] = "study",
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
    date: Annotated[str, typer.Option(metavar="TEXT", help="The date to print on the report; now by default.")] = "",
) -> None:
    """Report how well the models do against the truth in the store, as one HTML file that needs no network.

    It holds figures, tables, the population, hashes, thresholds and versions, and the name of your account. The same
    input and --date give the same bytes. Beside the tables, --tables writes all figures as JSON.
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
        store.trail.record(Right.REPORT, Action.EXPORTED, Kind.EXPORT, "report", format="html", tables=bool(tables))
    stamp = date or datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    about = reports.About(stamp, current_actor().shown, selection=reports.in_words(selection, source))
    _write(reports.EvaluationReport(evaluation_set, about), output, tables)


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
