"""The command that writes CT without its patients."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

import typer

from ichscope.commands.shared import (
    NONE_ANALYSED,
    SOME_NOT_ANALYSED,
    STOPPED,
    PathsArgument,
    fail,
    make_folder,
)
from ichscope.home import as_the_user_wants

_KEY_BYTES = 32

app = typer.Typer()


@app.command()
def deidentify(
    paths: PathsArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", file_okay=False, help="A new or empty folder.")],
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Use the key in this file, which is made if it is not there; else one that is forgotten.",
        ),
    ] = None,
    store_key: Annotated[bool, typer.Option("--store-key", help="Use a key made of the store's.")] = False,
    keep_device: Annotated[
        bool, typer.Option("--keep-device", help="Keep serial number, station and software of the scanner.")
    ] = False,
    burned_in: Annotated[
        Literal["refuse", "keep"], typer.Option(help="What is done with images that may have words in their pixels.")
    ] = "refuse",
) -> None:
    """Write the CT images of files, folders and ZIP archives without their patients.

    By the Basic Application Level Confidentiality Profile of DICOM PS3.15; dates are moved, age, sex, size and weight
    kept. Faces and words in the pixels stay: see docs/deidentify.md.
    """
    if key and store_key:
        raise typer.BadParameter("expected --key or --store-key, found both", param_hint="--key")
    if out.is_dir() and any(out.iterdir()):
        raise typer.BadParameter(f"{out} is not empty", param_hint="OUT")
    secret = _key_of(key, store_key)
    make_folder(out)
    from ichscope.deidentify.files import deidentify as write_files
    from ichscope.deidentify.rewriting import Deidentifier

    written, left_out, reasons = set(), 0, []
    try:
        for outcome in write_files(paths, out, Deidentifier(secret, keep_device), burned_in):
            left_out += outcome.stray
            if outcome.reason:
                reasons.append(outcome.reason)
                typer.echo(f"Not written: {outcome.reason}", err=True)
            if outcome.path:
                written.add(outcome.path)
    except OSError as error:
        fail(f"{out}: could not be written ({error.strerror}); what is there is whole", STOPPED)
    patients = {path.relative_to(out).parts[0] for path in written}
    typer.echo(f"{len(written)} images of {len(patients)} patients in {out}; {len(reasons)} not written")
    if left_out:
        typer.echo(f"{left_out} other files are no DICOM images, and were left out", err=True)
    typer.echo("Faces, and words that are part of the pixels, are not removed.", err=True)
    raise typer.Exit(NONE_ANALYSED if not written else SOME_NOT_ANALYSED if reasons else 0)


def _key_of(file: Path | None, of_store: bool) -> bytes:
    """The key of this run."""
    from ichscope.home import home, read_key

    try:
        if of_store:
            if (known := read_key(home())) is None:
                fail(f"{home()} has no key: expected a store")
            return known
        if file is None:
            return secrets.token_bytes(_KEY_BYTES)
        if not file.exists():
            _make_key(file)
        known = bytes.fromhex(file.read_text(encoding="ascii"))
    except OSError as error:
        fail(f"{file or home()}: the key cannot be had ({error.strerror})")
    except ValueError:
        fail(f"{file or home()}: found no key, expected {2 * _KEY_BYTES} hexadecimal digits")
    if len(known) != _KEY_BYTES:
        fail(f"{file}: found a key of {len(known)} bytes, expected {_KEY_BYTES}")
    return known


def _make_key(file: Path) -> None:
    from ichscope.atomic import replacing

    with as_the_user_wants(), replacing(file) as part:
        part.touch(mode=0o600)
        part.write_text(secrets.token_hex(_KEY_BYTES) + "\n", encoding="ascii")
