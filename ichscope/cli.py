"""The command line. Whatever is slow to load is loaded inside the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from ichscope import __version__, results
from ichscope.labels import SUBTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table

    from ichscope.analyse import ModelResult, StudyResult
    from ichscope.inference import Detector

Provider = Literal["auto", "cpu", "openvino", "cuda"]

NONE_ANALYSED, USAGE, SOME_NOT_ANALYSED = 1, 2, 3
_EXIT_CODES = """\b
Exit code:
  0  every series was analysed, be it with reservations ("limited")
  1  none was, or there was none
  2  wrong use, or a model that cannot be loaded
  3  some were not
"""

app = typer.Typer(
    help="Signs of intracranial haemorrhage on head CT. For research and quality work, not for diagnosis.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold what a patient's file says
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        show_version()
        raise typer.Exit


@app.command(epilog=_EXIT_CODES)
def analyse(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", exists=True, help="File, folder or ZIP.")],
    model: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this model; may be repeated.")] = None,
    models_folder: Annotated[
        Path | None, typer.Option(metavar="DIR", exists=True, file_okay=False, help="Where the models are.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all, slice by slice; - is stdout.")
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write a row per series and model; - is stdout."),
    ] = None,
    pictures_as_series: Annotated[
        bool, typer.Option("--pictures-as-series", help="JPG/PNG files of a folder are slices of one series.")
    ] = False,
    provider: Annotated[Provider, typer.Option(help="What the models run on.")] = "auto",
) -> None:
    """Analyse head CT series and show the result of each.

    Writes a table to the terminal, and JSON or CSV files where asked. Files appear whole or not at all.
    """
    _check_targets(json_file, csv_file)
    detectors = _load(model, models_folder, provider)
    entries: list[Mapping[str, Any]] = []
    rows: list[Mapping[str, Any]] = []
    table = _table(detectors)
    for result in _with_progress(paths, detectors, pictures_as_series):
        # Only what will be written is kept: the pixels of one series at a time stay in memory.
        entries.append(result.to_json())
        rows.extend(results.csv_rows(result))
        table.add_row(*_row(result, list(detectors)))
    _show(table, entries, to_stderr=Path("-") in (json_file, csv_file))
    _save(json_file, results.json_text(entries))
    _save(csv_file, results.csv_text(rows))
    raise typer.Exit(_exit_code([entry["status"] for entry in entries]))


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="New or empty.")],
    bleed: Annotated[str | None, typer.Option(metavar="KIND", help=f"One of: {', '.join(SUBTYPES)}.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another number, another head.")] = 0,
    slices: Annotated[int, typer.Option(min=1, max=256)] = 32,
) -> None:
    """Write a synthetic head CT study, for trying things out."""
    if bleed is not None and bleed not in SUBTYPES:
        raise typer.BadParameter(f"{bleed!r}; expected one of {', '.join(SUBTYPES)}", param_hint="--bleed")
    if folder.is_dir() and any(folder.iterdir()):
        raise typer.BadParameter(f"{folder} is not empty", param_hint="FOLDER")
    from ichscope import phantom as synthetic

    folder.mkdir(parents=True, exist_ok=True)
    files = synthetic.write(synthetic.make(bleed, seed=seed, slices=slices), folder)
    typer.echo(f"{folder}: {len(files)} slices, {bleed or 'no'} haemorrhage, synthetic")


@app.command("providers")
def show_providers() -> None:
    """Show what the models can run on here; the first is taken by default."""
    from ichscope import providers

    for found in providers.available():
        typer.echo(f"{found.choice:<10}{found.label}")


@app.command("version")
def show_version() -> None:
    """Show the version."""
    typer.echo(f"ichscope {__version__}")


def _check_targets(*targets: Path | None) -> None:
    """Refuse before the work, not after it."""
    if targets.count(Path("-")) > 1:
        raise typer.BadParameter("only one of --json and --csv can go to stdout")
    for target in targets:
        if target is not None and (target.is_dir() or not target.resolve().parent.is_dir()):
            raise typer.BadParameter(f"{target}: expected a file in a folder that exists")


def _load(names: Sequence[str] | None, folder: Path | None, provider: Provider) -> dict[str, Detector]:
    from ichscope.analyse import load_detectors
    from ichscope.card import ModelError

    try:
        return load_detectors(folder, names, provider)
    except ModelError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(USAGE)


def _with_progress(
    paths: Sequence[Path], detectors: dict[str, Detector], pictures_as_series: bool
) -> Iterator[StudyResult]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ichscope.analyse import analyse as analyse_inputs

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Looking for series", total=None)

        def progress(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, description=_plain(text))

        yield from analyse_inputs(paths, detectors, pictures_as_series, progress)


def _table(detectors: Mapping[str, Detector]) -> Table:
    from rich.table import Table

    running = ", ".join(f"{name} {d.card.version} on {d.provider}" for name, d in detectors.items())
    table = Table(caption=f"{running}. Research use only, not for diagnosis.", caption_justify="left")
    table.add_column("Series", overflow="fold")
    table.add_column("Slices", justify="right")
    table.add_column("Status")
    for name in detectors:
        table.add_column(name)
    table.add_column("Why", overflow="fold")
    return table


def _row(result: StudyResult, names: Sequence[str]) -> list[str]:
    from rich.markup import escape

    cells = [_verdict(result.models[name]) if name in result.models else "" for name in names]
    why = "; ".join(result.reasons)
    return [escape(_plain(result.name)), str(len(result.slices)), result.status, *cells, escape(_plain(why))]


def _verdict(model: ModelResult) -> str:
    """Say `flagged 0.93: subdural`, with the kinds of bleed that are above their own thresholds."""
    score = f"{model.probability['any']:.2f}"
    if not model.flagged:
        return f"not flagged {score}"
    kinds = [k for k in SUBTYPES if model.probability.get(k, 0.0) >= model.thresholds.get(k, 2.0)]
    return f"[bold red]flagged[/] {score}" + (f": {', '.join(kinds)}" if kinds else "")


def _plain(text: str) -> str:
    """Show file names from outside without what a terminal would take as a command."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _show(table: Table, entries: Sequence[Mapping[str, Any]], to_stderr: bool) -> None:
    from rich.console import Console

    console = Console(stderr=to_stderr)
    if not entries:
        Console(stderr=True).print("Found nothing to analyse: no CT series and no JPG or PNG picture.")
        return
    console.print(table)


def _save(target: Path | None, text: str) -> None:
    if target is None:
        return
    if target == Path("-"):
        sys.stdout.write(text)
        return
    try:
        results.write(target, text)
    except OSError as error:
        _fail(f"{target}: could not be written ({error.strerror})")


def _exit_code(statuses: Sequence[str]) -> int:
    missed = statuses.count("not analysed")
    if missed == len(statuses):
        return NONE_ANALYSED
    return SOME_NOT_ANALYSED if missed else 0
