"""Decoders in processes of their own: what a file does to one of them is that file's error and nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from ichscope import phantom
from ichscope.imaging import decoding
from ichscope.imaging.decoding import Decoders, DecodingError, NoDecoderError
from ichscope.imaging.dicom import DicomError, read_series
from ichscope.imaging.images import ImageError, read_pictures
from ichscope.imaging.limits import DecodingLimits
from ichscope.imaging.source import Source
from tests import encoders

ROOT = Path(__file__).parents[2]
START = {JPEG2000Lossless: b"\xff\x4f\xff\x51"}
# Each ended the program: transfer syntax, what is looked for from the codestream's start on, which byte after it, its
# new value.
KILLERS = {
    "JPEG-LS, precision 127": (JPEGLSLossless, b"\xff\xf7", 4, 0x7F),
    "JPEG lossless, precision 127": (JPEGLosslessSV1, b"\xff\xc3", 4, 0x7F),
    "JPEG lossless, precision 18": (JPEGLosslessSV1, b"\xff\xc3", 4, 0x12),
    "JPEG baseline, precision 255": (JPEGBaseline8Bit, b"\xff\xc0", 4, 0xFF),
    "JPEG lossless, no Huffman table": (JPEGLosslessSV1, b"\xff\xc4", 0, 0x7F),
    "JPEG 2000, precision 128": (JPEG2000Lossless, b"\xff\x51", 40, 0xFF),
}


@pytest.fixture(scope="module")
def head() -> phantom.Phantom:
    return phantom.make("subdural", 1, 6, 128)


@pytest.fixture
def pool() -> Iterator[Decoders]:
    made = Decoders(DecodingLimits(seconds=1, mib=200, decoders=1))
    yield made
    made.close()


def encoded(head: phantom.Phantom, syntax: UID, place: int = 4) -> bytes:
    if syntax != JPEGBaseline8Bit:
        return encoders.encode(phantom.to_bytes(phantom.datasets(head)[place]), syntax)
    one = phantom.datasets(head, BitsAllocated=8, BitsStored=8, HighBit=7, RescaleSlope=8)[place]
    one["PixelData"].VR = "OB"
    one["PixelData"].value = ((np.clip(head.hu[place], -1024, 1015) + 1024) // 8).astype(np.uint8).tobytes()
    return encoders.encode(phantom.to_bytes(one), syntax)


def codestream(head: phantom.Phantom, syntax: UID) -> bytes:
    return next(generate_frames(dcmread(BytesIO(encoded(head, syntax))).PixelData, number_of_frames=1))


def form(syntax: UID = JPEG2000Lossless, side: int = 128) -> dict[str, object]:
    fixed = {"allocated": 16, "stored": 16, "signed": False, "by_gdcm": False}
    return {"syntax": str(syntax), "rows": side, "columns": side, **fixed}


def children(of: int) -> list[int]:
    """Numbers of the processes below one, all the way down."""
    below: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == of:
            below += [int(folder.name), *children(int(folder.name))]
    return below


def decoder_of(pool: Decoders) -> int:
    """The decoder of a pool that has one: the last that was forked from its own process."""
    return children(pool._nursery._process.pid)[-1]


@pytest.mark.parametrize("killer", KILLERS)
def test_a_file_that_ends_a_decoder_is_left_out_and_the_others_are_read(head: phantom.Phantom, killer: str) -> None:
    syntax, mark, at, value = KILLERS[killer]
    good = [encoded(head, syntax, place) for place in range(4)]
    bad = bytearray(encoded(head, syntax))
    bad[bad.index(mark, bad.rindex(START.get(syntax, b"\xff\xd8\xff"))) + at] = value
    files = [*good[:2], bytes(bad), *good[2:]]
    series = read_series([Source(f"IM{i}", data=file) for i, file in enumerate(files)])
    assert len(series.slices) == 4
    [text] = [finding.text for finding in series.findings if finding.code == "unreadable-file"]
    assert text.startswith("1 of 5 files could not be read and is left out: IM2: Pixel Data (7FE0,0010): found ")


def test_what_ends_a_decoder_is_named(head: phantom.Phantom) -> None:
    bad = bytearray(encoded(head, JPEGLSLossless))
    bad[bad.index(b"\xff\xf7", bad.rindex(b"\xff\xd8\xff")) + 4] = 0x7F
    with pytest.raises(DicomError, match="found data that ends the decoder, expected an image of 128 x 128"):
        read_series([bytes(bad)])


def test_a_decoder_that_takes_too_long_is_ended_and_replaced(head: phantom.Phantom, pool: Decoders) -> None:
    one = codestream(head, JPEG2000Lossless)
    assert pool.frames([one], **form()).result()[0].shape == (128, 128)
    with pytest.raises(DecodingError, match="data that takes more than 1 s"):
        pool.frames([one] * 2_500, **form()).result()
    assert len(pool.frames([one] * 3, **form()).result()) == 3


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL], ids=["goes on", "killed"])
def test_what_takes_long_by_the_clock_alone_is_decoded(
    head: phantom.Phantom, pool: Decoders, then: signal.Signals
) -> None:
    """As on a busy computer: the decoder gets nothing of the processor for longer than its limit."""
    one = codestream(head, RLELossless)
    expected = pool.frames([one], **form(RLELossless)).result()
    decoder = decoder_of(pool)
    os.kill(decoder, signal.SIGSTOP)
    waiting = pool.frames([one], **form(RLELossless))
    time.sleep(1.5 * pool.limits.seconds)
    assert not waiting.done()
    os.kill(decoder, then)
    np.testing.assert_array_equal(waiting.result(), expected)


def test_a_decoder_that_does_nothing_is_waited_for_no_longer_than_that(
    head: phantom.Phantom, monkeypatch: pytest.MonkeyPatch, pool: Decoders
) -> None:
    monkeypatch.setattr(decoding, "_WALL_TIMES", 2)
    one = codestream(head, RLELossless)
    expected = pool.frames([one], **form(RLELossless)).result()
    decoder = decoder_of(pool)
    os.kill(decoder, signal.SIGSTOP)
    with pytest.raises(DecodingError, match="data that takes more than 2 s"):
        pool.frames([one], **form(RLELossless)).result()
    np.testing.assert_array_equal(pool.frames([one], **form(RLELossless)).result(), expected)


def test_decoders_that_have_ended_leave_nothing(head: phantom.Phantom, pool: Decoders) -> None:
    one = codestream(head, RLELossless)
    for _ in range(3):
        pool.frames([one], **form(RLELossless)).result()
        os.kill(decoder_of(pool), signal.SIGKILL)
    pool.frames([one], **form(RLELossless)).result()
    assert len(children(pool._nursery._process.pid)) == 1


def test_a_decoder_has_so_much_memory_and_no_more() -> None:
    pool = Decoders(DecodingLimits(seconds=60, mib=200, decoders=1))
    black, png = Image.new("L", (6300, 6300)), BytesIO()
    black.save(png, "PNG")
    with pytest.raises(DecodingError, match="data that needs more than 200 MB"):
        pool.picture(png.getvalue() + bytes(16), 40_000_000, 64)
    with pytest.raises(DecodingError, match="data that needs more than 200 MB"):
        pool.picture(bytes(101 << 20), 40_000_000, 64)
    pool.close()


def test_a_decoder_that_is_ended_from_outside_costs_nothing(head: phantom.Phantom, pool: Decoders) -> None:
    one = codestream(head, RLELossless)
    expected = pool.frames([one], **form(RLELossless)).result()
    os.kill(decoder_of(pool), signal.SIGKILL)
    np.testing.assert_array_equal(pool.frames([one], **form(RLELossless)).result(), expected)
    os.kill(pool._nursery._process.pid, signal.SIGKILL)
    np.testing.assert_array_equal(pool.frames([one], **form(RLELossless)).result(), expected)


def test_a_syntax_without_a_decoder_is_named(head: phantom.Phantom, pool: Decoders) -> None:
    with pytest.raises(NoDecoderError):
        pool.frames([b"..."], **form(UID("1.2.840.10008.1.2.4.100"))).result()


def test_a_decoder_knows_no_secret_and_writes_no_file(
    head: phantom.Phantom, monkeypatch: pytest.MonkeyPatch, pool: Decoders
) -> None:
    monkeypatch.setenv("ICHSCOPE_DATABASE_URL", "postgresql://user:secret@host/name")
    pool.frames([codestream(head, RLELossless)], **form(RLELossless)).result()
    place = Path(f"/proc/{decoder_of(pool)}")
    assert b"secret" not in (place / "environ").read_bytes()
    limits = (place / "limits").read_text()
    assert all(f"{name:26}0 " in limits for name in ("Max file size", "Max core file size"))


def test_a_codestream_much_longer_than_its_image_is_not_decoded(head: phantom.Phantom) -> None:
    """RLE may go on behind the end of its image, 64 bytes for each of its own."""
    one = dcmread(BytesIO(encoded(head, RLELossless)))
    runs = b"\x81\x00" * (1 << 20)
    segments = b"".join(n.to_bytes(4, "little") for n in (2, 64, 64 + len(runs), *[0] * 13))
    one.PixelData = encapsulate([segments + runs + b"\x81\x00" * 32])
    with pytest.raises(DicomError, match="found 2097280 bytes for an image of 128 x 128, expected at most"):
        read_series([phantom.to_bytes(one)])


def test_a_picture_that_ends_in_the_middle_is_named() -> None:
    png = BytesIO()
    Image.effect_noise((128, 128), 64).save(png, "PNG")
    with pytest.raises(ImageError, match="image 1: found a damaged or different file, expected a JPEG or PNG"):
        read_pictures([png.getvalue()[:2000]])


# ---- other programs ----------------------------------------------------------------------------------------

READ = """
import os, sys, time
sys.path[:0] = [{root!r}]
from pathlib import Path
from ichscope.imaging.dicom import read_series
def read():
    return len(read_series([Path({file!r})]).slices)
"""


def script(body: str, file: Path) -> list[str]:
    return [sys.executable, "-c", READ.format(root=str(ROOT), file=str(file)) + body]


@pytest.fixture
def compressed(head: phantom.Phantom, tmp_path: Path) -> Path:
    path = tmp_path / "IM1"
    path.write_bytes(encoded(head, JPEG2000Lossless))
    return path


def test_decoders_end_with_a_program_that_is_killed(compressed: Path) -> None:
    body = "print(read(), flush=True); time.sleep(60)"
    with subprocess.Popen(script(body, compressed), stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"1\n"
        below = children(program.pid)
        assert len(below) >= 2
        program.kill()
        program.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{number}").exists() for number in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [number for number in below if Path(f"/proc/{number}").exists()]


def test_a_program_that_has_decoded_ends_by_itself_without_a_word(compressed: Path) -> None:
    done = subprocess.run(script("print(read())", compressed), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_fork_and_a_daemon_have_decoders_of_their_own(compressed: Path) -> None:
    body = """
import multiprocessing
def again(answers): answers.put(read())
print(read())
context = multiprocessing.get_context("fork")
answers = context.Queue()
daemon = context.Process(target=again, args=(answers,), daemon=True)
daemon.start()
print(answers.get(timeout=50))
daemon.join(50)
"""
    done = subprocess.run(script(body, compressed), capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n1\n", "")


def test_nothing_is_started_for_pixels_that_are_not_compressed(head: phantom.Phantom, tmp_path: Path) -> None:
    path = tmp_path / "IM1"
    path.write_bytes(phantom.to_bytes(phantom.datasets(head)[0]))
    body = "print(read(), len(open(f'/proc/self/task/{os.getpid()}/children').read()))"
    done = subprocess.run(script(body, path), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", "0"], "")
