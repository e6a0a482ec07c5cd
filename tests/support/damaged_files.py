"""Damaged files by number, and what becomes of each that is read as the program reads it.

Each is one of a few whole ones (DICOM in every transfer syntax that is read, classic and Enhanced) with some bytes
changed, cut out, doubled or cut off. DICOM, ZIPs and pictures go through `analyse`, tables through `evaluate`. A
process of its own reads them; where it dies the next one goes on behind the file that it died of.
"""

from __future__ import annotations

import csv
import json
import logging
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence as Items
from pydicom.uid import JPEGBaseline8Bit

from ichscope import phantom
from ichscope.analyse import analyse
from ichscope.evaluation.evaluate import evaluate
from ichscope.phantom import Phantom
from ichscope.tabular.table import TableError
from tests import encoders

HANG_S = 10
KINDS = ("dicom", "zips", "pictures", "tables")
# Values that sizes, counts and markers are compared with.
_EXTREMES = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0xFE)
_HEADS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\xe0\x7f\x10\x00", b"IHDR", b"PK\x01\x02", b"\x28\x00")


# ---- whole files -------------------------------------------------------------------------------------------


@cache
def _head() -> Phantom:
    return phantom.make("subdural", 1, 8, 64)


@cache
def whole(kind: str) -> tuple[bytes, ...]:
    """Files of a kind that are read without a complaint."""
    return tuple({"dicom": _dicom, "zips": _zips, "pictures": _pictures, "tables": _tables}[kind]())


def _dicom() -> list[bytes]:
    plain = phantom.to_bytes(phantom.datasets(_head())[4])
    eight = phantom.datasets(_head(), BitsAllocated=8, BitsStored=8, HighBit=7, RescaleSlope=8)[4]
    eight["PixelData"].VR = "OB"
    eight["PixelData"].value = ((np.clip(_head().hu[4], -1024, 1015) + 1024) // 8).astype(np.uint8).tobytes()
    files = [encoders.encode(plain, syntax) for syntax in (*encoders.LOSSLESS, *encoders.LOSSY)]
    return [*files, encoders.encode(phantom.to_bytes(eight), JPEGBaseline8Bit), _enhanced(plain)]


def _enhanced(plain: bytes) -> bytes:
    one = dcmread(BytesIO(plain))
    groups = [Dataset() for _ in range(3)]
    for place, group in enumerate(groups):
        group.PlanePositionSequence = Items([Dataset()])
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * place]
    one.NumberOfFrames, one.PixelData = 3, one.PixelData * 3
    one.PerFrameFunctionalGroupsSequence = Items(groups)
    return phantom.to_bytes(one)


def _zips() -> list[bytes]:
    files = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(buffer := BytesIO(), "w", method) as archive:
            for number, one in enumerate(phantom.datasets(phantom.make(None, 1, 3, 32))):
                archive.writestr(f"study/{number}.dcm", phantom.to_bytes(one))
        files.append(buffer.getvalue())
    return files


def _pictures() -> list[bytes]:
    grey = Image.fromarray((np.clip(_head().hu[4], 0, 80) * 3).astype(np.uint8)).resize((96, 96))
    files = []
    for mode, form, options in (
        ("L", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("P", "PNG", {}),
        ("I;16", "PNG", {}),
        ("L", "JPEG", {}),
        ("RGB", "JPEG", {"progressive": True}),
    ):
        picture = grey if mode != "I;16" else Image.fromarray(np.asarray(grey).astype(np.uint16) * 256)
        (picture if mode == "I;16" else grey.convert(mode)).save(buffer := BytesIO(), form, **options)
        files.append(buffer.getvalue())
    return files


def _tables() -> list[bytes]:
    rows = [("study", "patient", "any", "subdural")]
    rows += [(f"S{number}", f"P{number // 2}", str(number % 2), str(number % 3 // 2)) for number in range(24)]
    comma, semicolon = BytesIO(), BytesIO()
    for buffer, sign in ((comma, ","), (semicolon, ";")):
        lines: list[str] = []
        csv.writer(_Lines(lines), delimiter=sign).writerows(rows)
        buffer.write("".join(lines).encode())
    wide = b"ID,Label\r\n" + b"".join(b"ID_%d_any,%d\r\n" % (number, number % 2) for number in range(24))
    return [comma.getvalue(), semicolon.getvalue(), b"\xef\xbb\xbf" + comma.getvalue(), wide]


class _Lines:
    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append


# ---- damaged files -----------------------------------------------------------------------------------------


def damaged(kind: str, number: int) -> bytes:
    """The file of a number: always the same."""
    rng = np.random.default_rng((number, *kind.encode()))
    files = whole(kind)
    data = bytearray(files[number % len(files)])
    for _ in range(int(rng.integers(1, 6))):
        _damage(data, files, rng)
    return bytes(data)


def _damage(data: bytearray, files: Sequence[bytes], rng: np.random.Generator) -> None:
    at = _place(data, rng)
    match int(rng.integers(0, 12)):
        case 0:
            del data[at:]
        case 1:
            del data[at : at + int(rng.integers(1, 64))]
        case 2:
            data[at:at] = rng.bytes(int(rng.integers(1, 16)))
        case 3:
            data[at:at] = data[at : at + int(rng.integers(1, 256))]
        case 4:
            other = files[int(rng.integers(len(files)))]
            start = int(rng.integers(len(other)))
            data[at : at + 64] = other[start : start + 64]
        case 5:
            data[at : at + 4] = int(rng.integers(0, 1 << 32)).to_bytes(4, "little")
        case 6 | 7 | 8:
            data[at : at + 1] = bytes([_EXTREMES[int(rng.integers(len(_EXTREMES)))]])
        case _:
            data[at : at + 1] = rng.bytes(1)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """Anywhere, or, as often, in what decoders believe: a header, a codestream's beginning, the end."""
    if not data or rng.random() < 0.3:
        return int(rng.integers(len(data) + 1))
    heads = [place for mark in _HEADS if (place := data.rfind(mark)) >= 0]
    start = int(rng.choice([0, max(0, len(data) - 64), *heads]))
    return min(len(data), start + int(rng.integers(0, 96)))


# ---- reading -----------------------------------------------------------------------------------------------


def read(kind: str, data: bytes, folder: Path) -> str:
    """Read a file as the program does; gives what became of it."""
    if kind == "tables":
        (folder / "truth.csv").write_bytes(data)
        (folder / "tool.csv").write_text("study,any\n" + "".join(f"S{i},{i / 24}\n" for i in range(24)))
        try:
            evaluate(folder / "truth.csv", folder / "tool.csv")
        except TableError as error:
            return "unexpected" if "unexpected" in str(error) else "refused"
        return "read"
    name = {"dicom": "study/IM1.dcm", "zips": "study.zip", "pictures": "picture.png"}[kind]
    results = [result for study in analyse([(name, data)], {}) for result in study.series]
    if any("unexpected" in reason for result in results for reason in result.reasons):
        return "unexpected"
    return "read" if any(result.volume for result in results) else "refused"


def read_some(kind: str, first: int, last: int, tell: Callable[[dict[str, Any]], object]) -> None:
    """Read the files of these numbers, and tell after each what became of it."""
    ended = _Ended()
    logger = logging.getLogger("ichscope")
    logger.setLevel(logging.INFO)
    logger.addHandler(ended)
    logger.propagate = False
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, last):
            data = damaged(kind, number)
            ended.decoders, ended.places, began = 0, [], time.process_time()
            started = time.monotonic()
            try:
                what = read(kind, data, Path(folder))
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                what = f"unhandled {type(error).__name__}"
            seconds = time.process_time() - began
            wall = time.monotonic() - started
            about = {"number": number, "what": what, "seconds": seconds, "wall": wall, "peak": peak_mib()}
            tell(about | {"decoders": ended.decoders, "places": ended.places})


class _Ended(logging.Handler):
    """Counts decoders that have ended, and keeps where in the code errors came from that nobody foresaw."""

    decoders = 0
    places: list[str]

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.decoders += text == "a decoder has ended"
        if record.levelno >= logging.ERROR:
            self.places.append(text)


def peak_mib() -> int:
    """The most memory that this process has had since it began its program."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10


def run(kind: str, count: int, first: int = 0) -> dict[str, Any]:
    """Have so many files of a kind read; gives what was found."""
    found: dict[str, Any] = {"files": 0, "deaths": [], "hangs": [], "unhandled": [], "unexpected": Counter()}
    found |= {"read": 0, "refused": 0, "decoders ended": 0, "longest s": 0.0, "peak MiB": 0}
    number, last = first, first + count
    while number < last:
        command = [sys.executable, "-W", "ignore", "-m", "tests.support.damaged_files", kind, str(number), str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            for line in reader.stdout:
                _count(found, json.loads(line))
                number += 1
        if number < last:
            found["deaths"].append({"number": number, "exit": reader.returncode})
            number += 1
            found["files"] += 1
    return found


def _count(found: dict[str, Any], about: dict[str, Any]) -> None:
    what = about["what"]
    found["files"] += 1
    found["decoders ended"] += about["decoders"]
    found["longest s"] = max(found["longest s"], round(about["seconds"], 2))
    found["peak MiB"] = max(found["peak MiB"], about["peak"])
    found["unexpected"].update(about["places"])
    # Of the wall's seconds others may have taken some: both must be over.
    if about["seconds"] > HANG_S or about["wall"] > 6 * HANG_S:
        found["hangs"].append(about["number"])
    if what in ("read", "refused"):
        found[what] += 1
    elif what != "unexpected":
        found["unhandled"].append([about["number"], what])


if __name__ == "__main__":
    kind, first, last = sys.argv[1:]
    read_some(kind, int(first), int(last), lambda about: print(json.dumps(about), flush=True))  # noqa: T201 - this is its answer
