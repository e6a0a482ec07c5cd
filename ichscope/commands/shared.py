"""What several commands have in common: options, exit codes, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

NONE_ANALYSED, USAGE, SOME_NOT_ANALYSED, STOPPED = 1, 2, 3, 4

Provider = Literal["auto", "cpu", "cpu-int8", "openvino", "openvino-int8", "cuda", "tensorrt"]
ModelOption = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this model; may be repeated.")]
ModelsFolderOption = Annotated[
    Path | None, typer.Option(metavar="DIR", exists=True, file_okay=False, help="Where the models are.")
]
ProviderOption = Annotated[Provider, typer.Option(help="What the models run on; auto is the fastest here.")]
PicturesOption = Annotated[
    bool, typer.Option("--pictures-as-series", help="JPG/PNG files of a folder are slices of one series.")
]


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Say what is wrong and leave."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)
