"""Small files that become gigabytes are refused before; a session and a process hold so much and no more."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import JPEGLSLossless

from ichscope import phantom
from ichscope.analyse import analyse
from ichscope.imaging import limits
from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.images import ImageError, read_pictures
from ichscope.imaging.limits import Holding
from tests import encoders

ROOT = Path(__file__).parents[2]
ITEM, END_OF_ITEMS = b"\xfe\xff\x00\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.fixture(scope="module")
def plain() -> bytes:
    return phantom.to_bytes(phantom.datasets(phantom.make(None, 1, 8, 64))[4])


def air(plain: bytes) -> bytes:
    """15 frames of 2048 x 2048 as JPEG-LS of some 100 bytes each."""
    one = dcmread(BytesIO(plain))
    one.Rows = one.Columns = 2048
    one.PixelData = np.full((2048, 2048), 24, "<u2").tobytes()
    large = dcmread(BytesIO(encoders.encode(phantom.to_bytes(one), JPEGLSLossless)))
    frame = next(generate_frames(large.PixelData, number_of_frames=1))
    large.NumberOfFrames, large.PixelData, groups = 15, encapsulate([frame] * 15), [Dataset() for _ in range(15)]
    for place, group in enumerate(groups):
        group.PlanePositionSequence = Sequence([Dataset()])
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * place]
    large.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return phantom.to_bytes(large)


def items(plain: bytes) -> bytes:
    """A private sequence of a million empty items, each of eight bytes in the file and a thousand in memory."""
    at = plain.rindex(b"\xe0\x7f\x10\x00")
    return plain[:at] + b"\x29\x00\x01\x10SQ\0\0\xff\xff\xff\xff" + ITEM * (1 << 20) + END_OF_ITEMS + plain[at:]


def items_of_known_length(plain: bytes) -> bytes:
    """The same where a sequence is read only when it is asked for."""
    at, many = plain.rindex(b"\xe0\x7f\x10\x00"), ITEM * 110_000
    return plain[:at] + b"\x00\x52\x30\x92SQ\0\0" + len(many).to_bytes(4, "little") + many + plain[at:]


def elements(plain: bytes) -> bytes:
    """Two million private elements without a value."""
    at = plain.rindex(b"\xe0\x7f\x10\x00")
    groups = (group.to_bytes(2, "little") for group in range(0x0031, 0x0071, 2))
    many = b"".join(group + element.to_bytes(2, "little") + b"LO\0\0" for group in groups for element in range(1 << 16))
    return plain[:at] + many + plain[at:]


def deflated(plain: bytes) -> bytes:
    """128 MiB of zeros as 128 KiB."""
    start, size = 144 + int.from_bytes(plain[140:144], "little"), 1 << 27
    zeros = b"\x29\x00\x01\x10OB\0\0" + size.to_bytes(4, "little") + bytes(size)
    return encoders.deflate(plain, plain[start:] + zeros)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (air, "found 120 MiB of voxels in .* bytes, expected at most 100 times as many"),
        (items, "found more than 100000 items of sequences, expected fewer"),
        (items_of_known_length, "found more than 100000 items, expected fewer|of sequences, expected fewer"),
        (elements, "found data that (needs more than 64 MB|takes more than 1 s) in its header"),
        (deflated, "found more than 64 MiB when inflated, expected a CT image"),
    ],
)
def test_small_files_that_become_large(
    plain: bytes, make: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    """Each in a process of its own, which has some 150 MiB when it has read anything."""
    (tmp_path / "bad.dcm").write_bytes(make(plain))
    text = "import sys; from pathlib import Path; from ichscope.imaging.dicom import *\n"
    text += "try: read_series([Path(sys.argv[1])])\nexcept DicomError as error: print(error)\n"
    text += "print([line for line in open('/proc/self/status') if 'VmHWM' in line][0].split()[1])"
    command = [sys.executable, "-c", text, str(tmp_path / "bad.dcm")]
    tight = {"ICHSCOPE_DECODE_SECONDS": "1", "ICHSCOPE_DECODE_MB": "64", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=tight, timeout=300)
    said, peak = done.stdout.splitlines()
    assert done.stderr == ""
    assert re.search(message, said)
    assert int(peak) < 512 << 10


def test_a_blank_picture_beyond_measure_is_not_decoded() -> None:
    png = BytesIO()
    Image.new("L", (6300, 6300)).save(png, "PNG")
    with pytest.raises(ImageError, match=r"found 6300 x 6300 pixels, expected at most 33 million in \d+ bytes"):
        read_pictures([png.getvalue()])


def test_a_series_has_so_many_voxels_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [phantom.to_bytes(one) for one in phantom.datasets(phantom.make(None, 1, 6, 512))]
    monkeypatch.setenv("ICHSCOPE_SERIES_MB", "2")
    with pytest.raises(DicomError, match=r"image \d and the files before it: found 2 MiB of voxels, expected at"):
        read_series(files)


def test_a_session_holds_so_much_and_frees_it_at_once(plain: bytes) -> None:
    heads = [phantom.datasets(phantom.make(None, seed, 6, 64)) for seed in range(3)]
    inputs = [(f"{place}/{i}", phantom.to_bytes(one)) for place, head in enumerate(heads) for i, one in enumerate(head)]
    holding = Holding(1)
    kept = list(analyse(inputs, {}, holding=holding))
    assert all(study.speaks.volume for study in kept)
    assert not holding.refusal
    holding.take(volume := np.zeros((1, 1024, 512), np.int16))
    refused = list(analyse(inputs, {}, holding=holding))
    assert len(refused) == len(kept)
    assert all("found more than 1 MiB of voxels at once, expected" in study.speaks.reasons[0] for study in refused)
    del volume, kept
    assert not holding.refusal


def test_all_sessions_of_a_process_hold_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Holding(100), Holding(100)
    first.take(volume := np.zeros((2, 1024, 512), np.int16))
    assert not second.refusal
    monkeypatch.setattr(limits, "process_mib", lambda: 1)
    assert "the studies of all users take the memory that there is for them (1 MiB)" in second.refusal
    del volume
    assert not second.refusal
