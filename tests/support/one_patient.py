"""A patient whose every identifier can be looked for, and the search for them in whatever a day's work leaves."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ichscope import phantom
from ichscope.phantom import Phantom

NAME, BORN, ACCESSION = "ZZTOP^TEST", "19010203", "ZZACC1901"
PASSPHRASE = "purple tractor lamp 9"
UID = "1.2.826.0.1.3680043.9.1901"
_GZIP = b"\x1f\x8b"
FOLDER = f"{NAME} {BORN}"
_IDENTIFIERS = {
    "PatientName": NAME,
    "PatientID": "ZZID1901",
    "PatientBirthDate": BORN,
    "AccessionNumber": ACCESSION,
    "InstitutionName": "ZZINST",
    "FrameOfReferenceUID": f"{UID}.7",
}
NEEDLES = ("ZZTOP", "ZZID1901", BORN, "1901-02-03", ACCESSION, "ZZINST", UID)


def slices(head: Phantom, study: int) -> dict[str, bytes]:
    """DICOM files of this patient, by path; files and folders are named after the patient, too."""
    uids = {"StudyInstanceUID": f"{UID}.{study}", "SeriesInstanceUID": f"{UID}.{study}.1"}
    files = {}
    for number, one in enumerate(phantom.datasets(head, **_IDENTIFIERS, **uids), 1):
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{study}.1.{number}"
        files[f"{FOLDER}/{ACCESSION} {study}/{NAME} {number}.dcm"] = phantom.to_bytes(one)
    return files


def zipped(files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


class Day:
    """The places of a day's work; `kept` is all that is searched afterwards."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.home, self.models, self.inbox = folder / "home", models, folder / "inbox"
        self.out, self.temporary, self.profile = folder / "out", folder / "temporary", folder / "profile"
        for place in (self.home, self.inbox, self.out, self.temporary):
            place.mkdir()
        self.kept = (self.home, self.out, self.temporary, self.profile)

    def command(self, *words: object, before: str = "", code: int = 0, home: Path | None = None) -> None:
        """Run a command, whose output is kept as well.

        home : another one
        """
        done = self.start(*words, before=before, home=home).wait()
        assert done == code, (self.out / f"{words[0]}.txt").read_text()

    def back_up(self) -> None:
        """Make a backup, and put it back where it can be read."""
        self.command("backup", self.out / "backup")
        self.command("restore", self.out / "backup", home=self.out / "restored")

    def start(self, *words: object, before: str = "", home: Path | None = None) -> subprocess.Popen[bytes]:
        program = f"{before}\nfrom ichscope.commands.cli import app; app()"
        environment = os.environ | self.variables() | {"ICHSCOPE_HOME": str(home or self.home)}
        environment |= {"ICHSCOPE_MODELS": str(self.models), "ICHSCOPE_BACKUP_PASSPHRASE": PASSPHRASE}
        with (self.out / f"{words[0]}.txt").open("ab") as output:
            command = [sys.executable, "-c", program, *map(str, words)]
            return subprocess.Popen(command, env=environment, stdout=output, stderr=output)

    def variables(self) -> dict[str, str]:
        return {"TMPDIR": str(self.temporary), "ICHSCOPE_LOG": "json"}


def traces(*places: Path) -> list[str]:
    """Where below these places something of the patient stands: in files, packed or not, and in names."""
    return [f"{needle} in {path}" for place in places for path, data in _all(place) for needle in _found(path, data)]


def _all(place: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        data = path.read_bytes() if path.is_file() else b""
        yield (path.relative_to(place) if path != place else Path(path.name)), data
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from ((path.relative_to(place) / name, archive.read(name)) for name in archive.namelist())
        if data.startswith(_GZIP):
            yield path.relative_to(place), gzip.decompress(data)


def _found(path: Path, data: bytes) -> list[str]:
    texts = (data, str(path).encode())
    return [
        needle
        for needle in NEEDLES
        if any(needle.encode(coding) in text for text in texts for coding in ("utf-8", "utf-16-le"))
    ]
