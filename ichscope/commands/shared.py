"""What several commands have in common: options, exit codes, files they write, and how they end."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from ichscope.atomic import write_text
from ichscope.home import as_the_user_wants
from ichscope.texts import writable

NONE_ANALYSED, USAGE, SOME_NOT_ANALYSED, STOPPED = 1, 2, 3, 4
STDOUT = Path("-")


def _known_provider(choice: str) -> str:
    """Refuse a name that no provider has; what runs models is loaded only where another than `auto` is asked for."""
    if choice != "auto":
        from ichscope.models import providers

        if choice not in providers.choices():
            names = ", ".join(providers.choices())
            raise typer.BadParameter(f"expected one of {names}, found {choice!r}")
    return choice


PathsArgument = Annotated[
    list[Path], typer.Argument(metavar="PATH", exists=True, help="A file, a folder or a ZIP archive.")
]
ClockOption = Annotated[
    bool, typer.Option("--clock-is-right", help="You have looked at it, and go on where lines contradict it.")
]
ModelOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Run only this model. May be given more than once.")
]
ModelsFolderOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", exists=True, file_okay=False, help="Load the models from this folder."),
]
ProviderOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        callback=_known_provider,
        help="What to run the models on, by its name in `ichscope providers`; auto takes the fastest on this machine.",
    ),
]
PicturesOption = Annotated[
    bool,
    typer.Option("--pictures-as-series", help="Treat the JPG and PNG files of a folder as the slices of one series."),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON; - is stdout.")
]
TablesOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", file_okay=False, help="Write each table as a CSV file to this folder.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="THEIRS=OURS",
        help="What a column of the file means, such as scan_id=study or Blut=any. May be given more than once.",
    ),
]
PercentOption = Annotated[bool, typer.Option("--percent", help="The file gives probabilities from 0 to 100.")]
SlicesToStudyOption = Annotated[
    Literal["max", "top-k", "noisy-or"] | None,
    typer.Option(
        metavar="RULE",
        help="How slices are combined into a study: max, top-k (the mean of the 3 highest) or noisy-or.",
    ),
]


AllSeriesOption = Annotated[
    bool,
    typer.Option("--all-series", help="Run the models on every series of a study, not only on one."),
]


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Say what is wrong and leave."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)


def columns_of(pairs: list[str] | None) -> dict[str, str]:
    """Their name of a column -> ours, from options such as `scan_id=study`."""
    columns = {}
    for text in pairs or ():
        theirs, equals, ours = text.partition("=")
        if not (theirs and equals and ours):
            raise typer.BadParameter(f"{text!r}; expected THEIRS=OURS", param_hint="--column")
        columns[theirs.strip()] = ours.strip()
    return columns


def check_targets(*targets: Path | None, hint: str | None = None) -> None:
    """Refuse files that cannot be written before the work, not after it."""
    if targets.count(STDOUT) > 1:
        raise typer.BadParameter("only one of --json and --csv can go to stdout")
    for target in targets:
        if target not in (None, STDOUT) and (target.is_dir() or not target.resolve().parent.is_dir()):
            raise typer.BadParameter(f"{target}: expected a file in a folder that exists", param_hint=hint)


def speak_any_text() -> None:
    """Let a terminal whose encoding cannot say a letter show its number in place of it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def save(target: Path | None, text: str) -> None:
    """Write a text to a file, whole or not at all, or to stdout; to nowhere if no file was asked for."""
    if problem := saved(target, text):
        fail(problem)


def saved(target: Path | None, text: str) -> str:
    """Do as `save`, and give what is wrong, "" if nothing: after long work one file that fails must not cost others."""
    if target == STDOUT:
        _to_stdout(text)
    elif target is not None:
        try:
            with as_the_user_wants():
                write_text(target, text)
        except OSError as error:
            return f"{target}: could not be written ({error.strerror})"
    return ""


def make_folder(folder: Path) -> None:
    """Make a folder that the user has named, before the work and not after it; end with what to do where that fails."""
    try:
        with as_the_user_wants():
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{folder}: could not be created ({error.strerror})")


def _to_stdout(text: str) -> None:
    """Write UTF-8 whatever the terminal's encoding is: a program reads it."""
    sys.stdout.flush()
    sys.stdout.buffer.write(writable(text).encode())
    sys.stdout.buffer.flush()


def save_all(folder: Path | None, texts: Mapping[str, str]) -> None:
    """Write texts by file name to a folder, which is made if need be; to nowhere if no folder was asked for."""
    if folder is None:
        return
    try:
        with as_the_user_wants():
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{folder}: could not be created ({error.strerror})")
    problems = [saved(folder / name, text) for name, text in texts.items()]
    if any(problems):
        fail("\n".join(filter(None, problems)))
