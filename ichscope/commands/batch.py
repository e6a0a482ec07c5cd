"""Commands on many studies, which go to and from the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichscope.commands import running
from ichscope.commands.shared import (
    SOME_NOT_ANALYSED,
    ClockOption,
    ModelOption,
    ModelsFolderOption,
    PathsArgument,
    PicturesOption,
    ProviderOption,
    fail,
)

if TYPE_CHECKING:
    from ichscope.batch.discovery import Fetch
    from ichscope.pacs.arriving import ArchiveInbox
    from ichscope.store import Store

_EXIT_CODES = """\b
Exit code:
  0  every study was analysed, some perhaps with reservations ("limited"), now or earlier
  1  no study was analysed, or there was none
  2  wrong usage, or a model that cannot be loaded
  3  some studies were not analysed
  4  stopped: the disk is full, or the database or the workers are gone; run the same command again to go on
"""
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, metavar="N", help="Studies to work on at a time; by default as many as the cores allow."
    ),
]
DaskOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Use a Dask cluster, such as tcp://host:8786, instead of threads.")
]

app = typer.Typer()


@app.command(epilog=_EXIT_CODES)
def batch(
    paths: PathsArgument,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    pictures_as_series: PicturesOption = False,
    provider: ProviderOption = "auto",
) -> None:
    """Analyse many studies into the store, for the worklist.

    What the store already has is skipped. It may be stopped at any moment: the same command does what is missing.
    """
    from ichscope.batch import begin

    setup = running.setup(model, models_folder, provider)
    with running.store() as store, running.executor(setup, workers, dask) as (executor, ahead):
        job = begin(store, paths, pictures_as_series=pictures_as_series)
        running.finish(store, running.work(store, job, executor, setup, ahead))


@app.command()
def watch(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", exists=True, file_okay=False, help="The folder to watch.")
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive", "--dicomweb", metavar="NAME", help="Watch an archive of `ichscope pacs list`, not a folder."
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(metavar="N", min=0, help="Of an archive, look at studies of today and N days before.")
    ] = 2,
    quiet: Annotated[
        float, typer.Option(metavar="S", min=0, help="Analyse a study once nothing has changed for this many seconds.")
    ] = 30.0,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Analyse what arrives in a folder, or head CT that arrives in an archive, until stopped with Ctrl+C.

    Of a folder, a subfolder or a ZIP archive is taken as a whole, other files by study, each once it has stopped
    changing. Of an archive, a study is taken when it has had no new slice for a while, and anew if some come later.
    """
    from threading import Event

    from ichscope.batch.watch import Arrivals, Inbox
    from ichscope.batch.watch import watch as watch_place
    from ichscope.commands import job_progress
    from ichscope.settings_file import SettingsError

    if (folder is None) == (archive is None):
        fail("expected a FOLDER or --archive NAME, one of them")
    arrivals: Arrivals
    try:
        arrivals = Inbox(folder, quiet) if folder else _archive(archive or "", quiet, days)
    except SettingsError as error:
        fail(str(error))
    setup, stop = running.setup(model, models_folder, provider), Event()

    def say(text: str) -> None:
        typer.echo(text, err=True)

    with (
        running.store() as store,
        running.executor(setup, workers, dask) as (executor, ahead),
        running.ended_by_signals(stop.set),
        running.delivery(store, stop, archive or "") as made,
    ):
        say(f"Watching {folder or archive}; end with Ctrl+C")
        with job_progress.job_progress() as progress:
            watch_place(
                *(arrivals, store, executor, setup),
                ahead=ahead,
                progress=progress,
                say=say,
                stop=stop,
                made=made,
            )


def _archive(name: str, quiet_s: float, days: int) -> ArchiveInbox:
    from ichscope.pacs.arriving import ArchiveInbox
    from ichscope.pacs.opening import opened

    return ArchiveInbox(opened(name), quiet_s, days)


@app.command(epilog=_EXIT_CODES)
def rescore(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", exists=True, help="Files of studies whose volumes are not kept in the store."
        ),
    ] = None,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Run the current models on studies that are in the store already.

    Without PATH these are the studies whose volumes are kept; with PATH, those of its studies that the store has.
    """
    from ichscope.batch import begin, begin_rescore

    setup = running.setup(model, models_folder, provider)
    with running.store() as store, running.executor(setup, workers, dask) as (executor, ahead):
        job = begin(store, paths, "rescore", options={"known only": True}) if paths else begin_rescore(store, setup)
        done = running.work(store, job, executor, setup, ahead)
        if not done.total:
            typer.echo("Nothing to do: no study whose volume is kept waits for these models.")
            return
        running.finish(store, done)


@app.command(epilog=_EXIT_CODES)
def retry(
    job: Annotated[
        int | None, typer.Argument(metavar="[JOB]", help="The number of the job; by default all jobs.")
    ] = None,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Try again what failed, and finish what an interrupted program left undone."""
    setup = running.setup(model, models_folder, provider)
    with running.store() as store, running.executor(setup, workers, dask) as (executor, ahead):
        chosen = [store.jobs.get(job)] if job is not None else store.jobs.recent(limit=1000)
        numbers = [job.id for job in reversed(chosen) if job.failed or job.pending or job.running]
        if not numbers:
            typer.echo("Nothing to do: no series has failed or is left.")
            return
        codes = set()
        for number in numbers:
            store.jobs.retry(number)
            with _fetch(store, number) as fetch:
                codes.add(running.tell(store, running.work(store, number, executor, setup, ahead, fetch=fetch)))
        raise typer.Exit(codes.pop() if len(codes) == 1 else SOME_NOT_ANALYSED)


@contextmanager
def _fetch(store: Store, job: int) -> Iterator[Fetch | None]:
    """Give what fetches the studies of a job, where they are in an archive."""
    if not store.jobs.get(job).options.get("archive"):
        yield None
        return
    from tempfile import TemporaryDirectory
    from threading import Event

    from ichscope.home import home, make
    from ichscope.pacs.fetched import Fetcher

    with TemporaryDirectory(dir=make(home() / "archive")) as folder:
        yield Fetcher(store, job, Path(folder), Event())


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(metavar="TIME", help="Age, such as 30d, 12h or 8w.")],
    clock_is_right: ClockOption = False,
) -> None:
    """Remove volumes of that age or older. Results and reviews stay; without its volume a study cannot be viewed.

    Nothing is removed where the clock may be wrong: a line of the audit trail is of a later time, or none was written
    for 31 days.
    """
    age = _age(older_than)
    with running.store(hint="") as store:
        typer.echo(f"{store.results.prune(age, clock_is_right=clock_is_right)} volumes removed")


@app.command()
def demo(
    studies: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many; by default as many as the page makes.")
    ] = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Fill the store with eight weeks of synthetic studies and readers' labels, to see what the pages show."""
    from ichscope.batch import demo as demonstration
    from ichscope.commands import job_progress

    setup = running.setup(model, models_folder, provider)
    with running.store() as store, running.executor(setup, None, None) as (executor, _):
        with job_progress.job_progress() as progress:
            count = studies or demonstration.STUDIES
            done = demonstration.make(store, executor, setup, count, progress=progress)
        running.finish(store, done)


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([hdw])", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r}; expected a number and h, d or w, as 30d", param_hint="--older-than")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
