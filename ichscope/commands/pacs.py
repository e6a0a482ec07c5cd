"""Commands on archives: which there are, whether they answer, what they hold, and the analysis of a study of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ichscope.commands import running
from ichscope.commands.batch import WorkersOption
from ichscope.commands.shared import NONE_ANALYSED, STOPPED, ModelOption, ModelsFolderOption, ProviderOption, fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ichscope.pacs.archives import Archive, FoundStudy, Query
    from ichscope.pacs.returning import Returns
    from ichscope.store import Store

app = typer.Typer(no_args_is_help=True, help="Archives (PACS): which there are, and what they hold.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="An archive of `ichscope pacs list`.")]
PatientOption = Annotated[str, typer.Option(metavar="NAME", help="Patient's name; * and ? stand for anything.")]
PatientIdOption = Annotated[str, typer.Option(metavar="ID", help="Patient ID.")]
AccessionOption = Annotated[str, typer.Option(metavar="NUMBER", help="Accession number.")]
DateOption = Annotated[str, typer.Option(metavar="DATE", help="YYYYMMDD, or a range as 20261101-20261130.")]
ModalityOption = Annotated[str, typer.Option(metavar="CODE", help="A modality that the study has.")]


@app.command("list")
def list_() -> None:
    """List the archives that are named."""
    from ichscope.pacs.servers import read_servers
    from ichscope.settings_file import SETTING, SettingsError

    try:
        servers = read_servers()
    except SettingsError as error:
        fail(str(error))
    for name, server in servers.items():
        typer.echo(f"{name}  {server.address}")
    if not servers:
        typer.echo(f"No archive is named: the file of {SETTING} names them; docs/pacs.md says how.", err=True)


@app.command()
def test(name: NameArgument) -> None:
    """Ask an archive for today's studies, to see whether it answers."""
    from datetime import date

    from ichscope.pacs.archives import Query
    from ichscope.pacs.servers import PacsError

    archive = _archive(name)
    try:
        archive.echo()
    except PacsError as error:
        fail(str(error), STOPPED)
    count = len(_search(archive, Query(date=f"{date.today():%Y%m%d}")))
    typer.echo(f"{name} answers: {count} studies with CT today")


@app.command()
def search(
    name: NameArgument,
    patient: PatientOption = "",
    patient_id: PatientIdOption = "",
    accession: AccessionOption = "",
    date: DateOption = "",
    modality: ModalityOption = "CT",
) -> None:
    """List studies of an archive."""
    from ichscope.pacs.archives import Query

    _show(_search(_archive(name), Query(patient, patient_id, accession, date, modality)))


@app.command()
def analyse(
    name: NameArgument,
    patient: PatientOption = "",
    patient_id: PatientIdOption = "",
    accession: AccessionOption = "",
    date: DateOption = "",
    every: Annotated[
        bool, typer.Option("--all", help="Analyse all studies that are found, not only a single one.")
    ] = False,
    workers: WorkersOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Fetch a study from an archive and analyse it into the store, for the worklist."""
    from ichscope.batch import begin
    from ichscope.pacs.archives import Query
    from ichscope.pacs.fetched import fetched
    from ichscope.pacs.servers import PacsError

    archive = _archive(name)
    studies = _search(archive, Query(patient, patient_id, accession, date))
    if not studies:
        fail(f"{name} has no such study", NONE_ANALYSED)
    if len(studies) > 1 and not every:
        _show(studies)
        fail(f"{len(studies)} studies were found; say more of the one that is wanted, or --all")
    setup = running.setup(model, models_folder, provider)
    with running.store() as store, running.executor(setup, workers, None) as (executor, ahead):
        try:
            with fetched(archive, studies, store.keys) as folders:
                job = begin(store, folders, "archive", f"Archive {name}")
                returns = _returns(store, archive) if archive.server.results else None
                done = running.work(store, job, executor, setup, ahead, returns.put if returns else None)
            code = running.tell(store, done)
            if returns:
                typer.echo(f"{returns.send()} sets of results sent to {name}")
            raise typer.Exit(code)
        except PacsError as error:
            fail(str(error), STOPPED)


@app.command()
def receive(
    quiet: Annotated[
        float, typer.Option(metavar="S", min=0, help="Analyse a study once no slice has come for this many seconds.")
    ] = 30.0,
    workers: WorkersOption = None,
    model: ModelOption = None,
    models_folder: ModelsFolderOption = None,
    provider: ProviderOption = "auto",
) -> None:
    """Take CT that scanners and archives send by DICOM's network protocol, and analyse it, until stopped with Ctrl+C.

    The file of settings says who may send: [dicom] and [dicom.senders].
    """
    from threading import Event

    from ichscope.batch.watch import watch
    from ichscope.commands import job_progress
    from ichscope.pacs.receiving import ReceivedInbox, Receiver, receiver_settings
    from ichscope.pacs.servers import PacsError
    from ichscope.settings_file import SettingsError

    def say(text: str) -> None:
        typer.echo(text, err=True)

    setup, stop = running.setup(model, models_folder, provider), Event()
    with (
        running.store() as store,
        running.executor(setup, workers, None) as (executor, ahead),
        running.ended_by_signals(stop.set),
        running.delivery(store, stop) as made,
    ):
        try:
            receiver = Receiver(receiver_settings(), store.keys, say)
            receiver.start()
        except (PacsError, SettingsError) as error:
            fail(str(error))
        say(f"Receiving as {receiver.settings.title} at port {receiver.port}; end with Ctrl+C")
        try:
            with job_progress.job_progress() as progress:
                inbox = ReceivedInbox(receiver, quiet)
                watch(inbox, store, executor, setup, ahead=ahead, progress=progress, say=say, stop=stop, made=made)
        finally:
            receiver.stop()


@app.command()
def send(name: NameArgument) -> None:
    """Send the results that wait for an archive, those that are due."""
    from ichscope.pacs.servers import PacsError

    with running.store(hint="") as store:
        try:
            sent = _returns(store, _archive(name)).send()
        except PacsError as error:
            fail(f"{error}; what waits is kept", STOPPED)
    typer.echo(f"{sent} sets of results sent to {name}")


@app.command()
def sent() -> None:
    """Say how many results were sent to each archive, how many wait, and why."""
    with running.store(hint="") as store:
        for post in store.outgoing.post():
            since = f" since {post.since:%Y-%m-%d %H:%M} UTC" if post.since else ""
            typer.echo(f"{post.archive}  {post.sent} sent, {post.waiting} wait{since}  {post.reason}".rstrip())


def _returns(store: Store, archive: Archive) -> Returns:
    from ichscope.pacs.returning import Returns

    return Returns(store, archive, lambda text: typer.echo(text, err=True))


def _archive(name: str) -> Archive:
    from ichscope.pacs.opening import opened
    from ichscope.settings_file import SettingsError

    try:
        return opened(name)
    except SettingsError as error:
        fail(str(error))


def _search(archive: Archive, query: Query) -> list[FoundStudy]:
    from ichscope.pacs.servers import PacsError

    try:
        return archive.studies(query)
    except PacsError as error:
        fail(str(error), STOPPED)


def _show(studies: Sequence[FoundStudy]) -> None:
    for study in studies:
        words = (study.date, study.accession, study.patient_id, study.patient_name, study.description)
        typer.echo("  ".join((*(word or "-" for word in words), f"{study.instances or '?'} images")))
    typer.echo(f"{len(studies)} studies", err=True)
