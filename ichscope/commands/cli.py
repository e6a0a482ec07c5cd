"""The command line. Whatever is slow to load is loaded inside the command that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ichscope import __version__
from ichscope.access import by_default, operator
from ichscope.commands import (
    accounts,
    audit,
    batch,
    deidentify,
    dicom_objects,
    dicom_reviews,
    escalate,
    fhir_files,
    hl7,
    imports,
    monitor,
    pacs,
    upkeep,
)
from ichscope.commands import report as report_command
from ichscope.commands.shared import (
    NONE_ANALYSED,
    SOME_NOT_ANALYSED,
    STDOUT,
    AllSeriesOption,
    ColumnOption,
    JsonOption,
    ModelOption,
    ModelsFolderOption,
    PathsArgument,
    PercentOption,
    PicturesOption,
    ProviderOption,
    SlicesToStudyOption,
    check_targets,
    columns_of,
    fail,
    saved,
    speak_any_text,
)
from ichscope.imaging.findings import Status
from ichscope.labels import SUBTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ichscope.imaging.intake import Group
    from ichscope.models.detector import Detector
    from ichscope.results import StudyResult

_EXIT_CODES = """\b
Exit code:
  0  every study was analysed, some perhaps with reservations ("limited")
  1  no study was analysed, or there was none
  2  wrong usage, or a model that cannot be loaded
  3  some studies were not analysed
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
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    speak_any_text()
    by_default(operator)
    if version:
        show_version()
        raise typer.Exit


@app.command(epilog=_EXIT_CODES)
def analyse(
    paths: PathsArgument,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    json_file: JsonOption = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write a row for each series and model; - is stdout."),
    ] = None,
    dicom_folder: Annotated[
        Path | None,
        typer.Option(
            "--dicom", metavar="FOLDER", file_okay=False, help="Write DICOM objects, to a subfolder for each study."
        ),
    ] = None,
    fhir_folder: Annotated[
        Path | None,
        typer.Option("--fhir", metavar="FOLDER", file_okay=False, help="Write FHIR R4 resources, a file a study."),
    ] = None,
    pictures_as_series: PicturesOption = False,
    all_series: AllSeriesOption = False,
    provider: ProviderOption = "auto",
) -> None:
    """Analyse head CT studies and show the result of each.

    Of a study with several series the one that speaks for it is analysed; the others are listed.

    Writes a table to the terminal, and JSON, CSV or DICOM files where asked. Files appear whole or not at all.
    """
    check_targets(json_file, csv_file)
    if dicom_folder:
        dicom_objects.ready(dicom_folder)
    if fhir_folder:
        fhir_files.ready(fhir_folder)
    detectors = _load(model, models_folder, provider)
    from ichscope import results
    from ichscope.analyse import analyse as analyse_inputs
    from ichscope.commands import terminal

    entries: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    statuses: list[str] = []
    table = terminal.ResultTable(detectors)
    writers: list[dicom_objects.Writer | fhir_files.Writer] = []
    writers += [dicom_objects.Writer(dicom_folder, table.say)] if dicom_folder else []
    writers += [fhir_files.Writer(fhir_folder, table.say)] if fhir_folder else []

    def beside(study: StudyResult, groups: Sequence[Group]) -> None:
        for writer in writers:
            writer(study, groups)

    with terminal.progress() as progress:
        for study in analyse_inputs(
            paths, detectors, pictures_as_series, progress, all_series, table.say, beside=beside
        ):
            # Only what will be written is kept: the pixels of one study at a time stay in memory.
            entries.extend(study.to_json())
            rows.extend(row for result in study.series for row in results.csv_rows(result))
            statuses.append(study.status)
            table.add(study)
    texts = ((csv_file, results.csv_text(rows)), (json_file, results.json_text(entries)))
    problems = [saved(target, text) for target, text in texts]
    problems += [problem for writer in writers for problem in writer.problems]
    table.show(to_stderr=STDOUT in (json_file, csv_file))
    if any(problems):
        fail("\n".join(filter(None, problems)))
    raise typer.Exit(_exit_code(statuses))


@app.command()
def evaluate(
    truth: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="CSV with one row per study or slice and one column per label, or Kaggle's ID,Label."
        ),
    ],
    predictions: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV from any tool, or JSON or CSV from `ichscope analyse`.")
    ],
    level: Annotated[
        Literal["study", "series", "slice"] | None,
        typer.Option(help="What one row stands for; by default as in the truth."),
    ] = None,
    readers: Annotated[
        Literal["majority", "any"] | None,
        typer.Option(
            help="What counts as positive where readers differ: what the majority says, or what any of them says."
        ),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Evaluate only this label. May be given more than once.")
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(metavar="P", help="Report this threshold. May be given more than once.")
    ] = None,
    sensitivity: Annotated[
        list[float],
        typer.Option(
            metavar="P", min=0, max=1, help="Report the threshold with this sensitivity. May be given more than once."
        ),
    ] = [0.9, 0.95],  # noqa: B006 - typer's way to give a default with several values
    specificity: Annotated[
        list[float] | None,
        typer.Option(
            metavar="P", min=0, max=1, help="Report the threshold with this specificity. May be given more than once."
        ),
    ] = None,
    slices_to_study: SlicesToStudyOption = None,
    column: ColumnOption = None,
    percent: PercentOption = False,
    json_file: JsonOption = None,
) -> None:
    """Compare predictions with the truth: AUC, average precision, calibration and operating points, with intervals.

    Needs no images and no models: both inputs are tables. Every label found in both is evaluated.
    """
    check_targets(json_file)
    from ichscope.commands import show_evaluation
    from ichscope.evaluation.evaluate import evaluate as evaluate_files
    from ichscope.evaluation.evaluate import to_json_text
    from ichscope.evaluation.label_metrics import WantedPoints
    from ichscope.evaluation.pairing import Reading
    from ichscope.tabular.table import TableError

    reading = Reading(level, readers, tuple(label or ()), slices_to_study, columns_of(column), percent)
    wanted = WantedPoints(tuple(threshold or ()), tuple(sensitivity), tuple(specificity or ()))
    try:
        evaluation = evaluate_files(truth, predictions, reading, wanted)
    except TableError as error:
        fail(str(error))
    problem = saved(json_file, to_json_text(evaluation))  # first: a terminal that is closed must not cost the file
    show_evaluation.show(evaluation, to_stderr=json_file == STDOUT)
    if problem:
        fail(problem)


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="A new or empty folder.")],
    bleed: Annotated[
        str | None, typer.Option(metavar="SUBTYPE", help=f"Haemorrhage to add: {', '.join(SUBTYPES)}.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Each number gives a different head.")] = 0,
    slices: Annotated[int, typer.Option(min=1, max=256, help="How many slices to write.")] = 32,
) -> None:
    """Write a synthetic head CT study to try things out with."""
    if bleed is not None and bleed not in SUBTYPES:
        raise typer.BadParameter(f"{bleed!r}; expected one of {', '.join(SUBTYPES)}", param_hint="--bleed")
    if folder.is_dir() and any(folder.iterdir()):
        raise typer.BadParameter(f"{folder} is not empty", param_hint="FOLDER")
    from ichscope import phantom as synthetic

    folder.mkdir(parents=True, exist_ok=True)
    files = synthetic.write(synthetic.make(bleed, seed=seed, slices=slices), folder)
    typer.echo(f"{folder}: {len(files)} slices, {bleed or 'no'} haemorrhage, synthetic")


app.add_typer(batch.app)
app.add_typer(monitor.app)
app.add_typer(imports.app)
app.add_typer(report_command.app)
app.add_typer(dicom_reviews.app)
app.add_typer(accounts.users, name="users")
app.add_typer(accounts.tokens, name="tokens")
app.add_typer(upkeep.app)
app.add_typer(accounts.folders, name="folders")
app.add_typer(audit.app, name="audit")
app.add_typer(pacs.app, name="pacs")
app.add_typer(hl7.app, name="hl7")
app.add_typer(escalate.app)
app.add_typer(deidentify.app)


@app.command("providers")
def show_providers(
    models_folder: ModelsFolderOption = None,
    again: Annotated[bool, typer.Option("--again", help="Measure again, even if the choice is known.")] = False,
) -> None:
    """Show what the models can run on here, what was measured, and what was chosen and why."""
    from ichscope.commands import show_providers as texts
    from ichscope.models import providers
    from ichscope.models.autotuning import choose
    from ichscope.models.card import ModelError
    from ichscope.models.registry import encoder_groups

    try:
        for names, folders in encoder_groups(models_folder).items():
            lines = texts.verdict_lines(names, choose(folders, again))
            typer.echo("\n".join(lines) + "\n")
    except (ModelError, providers.ProviderError) as error:
        fail(str(error))
    typer.echo("To be had by --provider, the usually fastest first:")
    for provider in (*providers.for_int8(), *providers.available()):
        where = ", where a model has 8-bit weights" if provider.needs_int8 else ""
        typer.echo(f"{provider.choice:<15}{provider.label}{where}")
    for choice, why in providers.missing().items():
        typer.echo(f"{choice:<15}not here: {why}")


@app.command("version")
def show_version() -> None:
    """Show the version."""
    typer.echo(f"ichscope {__version__}")


def _load(names: Sequence[str] | None, folder: Path | None, provider: str) -> Mapping[str, Detector]:
    from ichscope.models.card import ModelError
    from ichscope.models.registry import REGISTRY

    try:
        return REGISTRY.get(folder, names, provider).detectors
    except ModelError as error:
        fail(str(error))


def _exit_code(statuses: Sequence[str]) -> int:
    missed = statuses.count(Status.NOT_ANALYSED)
    if missed == len(statuses):
        return NONE_ANALYSED
    return SOME_NOT_ANALYSED if missed else 0


if __name__ == "__main__":
    app()
