from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from ichscope.imaging.images import ImageError, read_pictures
from ichscope.imaging.intake import collect
from ichscope.imaging.source import Source

RAMP = np.tile(np.linspace(0, 255, 96).round().astype(np.uint8), (80, 1))
NOISE = np.random.default_rng(0).integers(0, 256, (80, 96), np.uint8)
HU = np.rint(RAMP / 255 * 80).astype(np.int16)


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def with_alpha() -> Image.Image:
    picture = Image.fromarray(RAMP).convert("LA")
    picture.putalpha(255)
    return picture


def palette() -> Image.Image:
    picture = Image.fromarray(RAMP, "P")
    picture.putpalette([value for grey in range(256) for value in (grey, grey, grey)])
    return picture


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (lambda: encode(Image.fromarray(RAMP)), 0),
        (lambda: encode(Image.fromarray(RAMP.astype(np.uint16) * 257)), 0),
        (lambda: encode(Image.fromarray(RAMP).convert("RGB")), 0),
        (lambda: encode(Image.fromarray(RAMP).convert("RGBA")), 0),
        (lambda: encode(with_alpha()), 0),
        (lambda: encode(palette()), 0),
        (lambda: encode(Image.fromarray(RAMP), "JPEG", quality=95), 2),
        (lambda: encode(Image.fromarray(RAMP).convert("RGB"), "JPEG", quality=95), 2),
        (lambda: encode(Image.fromarray(RAMP).convert("CMYK"), "JPEG", quality=95), 3),
    ],
    ids=["8 bit", "16 bit", "colour", "colour and alpha", "grey and alpha", "palette", "JPEG", "colour JPEG", "CMYK"],
)
def test_grey_is_the_brain_window(make: Callable[[], bytes], tolerance: int) -> None:
    series = read_pictures([make()])
    assert (series.kind, series.hu.dtype, series.hu.shape) == ("picture", np.int16, (1, 80, 96))
    assert np.abs(series.hu[0] - HU).max() <= tolerance
    assert series.findings == ()
    assert series.spacing_mm is None


def test_one_bit_pictures() -> None:
    series = read_pictures([encode(Image.fromarray(RAMP > 128))])
    assert set(np.unique(series.hu)) == {0, 80}


def test_transparent_parts_are_black() -> None:
    picture = Image.fromarray(np.full((80, 96), 200, np.uint8)).convert("LA")
    picture.putalpha(Image.fromarray(np.where(RAMP > 128, 255, 0).astype(np.uint8)))
    assert set(np.unique(read_pictures([encode(picture)]).hu)) == {0, 63}


def test_exif_orientation_is_followed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    series = read_pictures([encode(Image.fromarray(RAMP), "JPEG", quality=95, exif=exif)])
    assert np.abs(series.hu[0] - np.rot90(HU, -1)).max() <= 2


@pytest.mark.parametrize(("share", "coloured"), [(0.01, False), (0.5, True)])
def test_strong_colour_is_a_warning(share: float, coloured: bool) -> None:
    pixels = np.repeat(RAMP[:, :, None], 3, axis=2)
    pixels[: int(80 * share)] = (200, 40, 40)
    findings = read_pictures([Source("a.png", data=encode(Image.fromarray(pixels)))]).findings
    assert [(one.level, one.code) for one in findings] == ([("warning", "colour")] if coloured else [])


def header_only(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header_only(60_000, 60_000), "found 60000 x 60000 pixels, expected at most 40 million"),
        (header_only(10_000, 10_000), "found (too many|10000 x 10000) pixels"),
        (header_only(8_000, 8_000), "found 8000 x 8000 pixels, expected at most 40 million"),
        (encode(Image.fromarray(NOISE))[:2000], "found a damaged or different file"),
        (encode(Image.fromarray(RAMP), "JPEG")[:400], "found a damaged or different file"),
        (b"\x89PNG\r\n\x1a\n", "found a damaged or different file"),
        (b"", "found a damaged or different file"),
        (encode(Image.fromarray(RAMP), "GIF"), "found a damaged or different file"),
        (encode(Image.fromarray(RAMP), "TIFF"), "found a damaged or different file"),
        (encode(Image.fromarray(RAMP[:20])), "found 96 x 20 pixels, expected at least 64 a side"),
    ],
)
def test_refused_with_file_found_and_expected(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=f"^scan.png: {message}"):
        read_pictures([Source("scan.png", data=data)])


def test_several_pictures_keep_their_order_and_name_what_is_left_out() -> None:
    given = [Source(f"{i}.png", data=encode(Image.fromarray(np.full((80, 96), 40 * i, np.uint8)))) for i in (1, 2, 3)]
    given.insert(1, Source("small.png", data=encode(Image.fromarray(RAMP[:70]))))
    given.append(Source("broken.png", data=b"x"))
    series = read_pictures(given)
    assert [one.file for one in series.slices] == ["1.png", "2.png", "3.png"]
    assert list(series.hu[:, 0, 0]) == [13, 25, 38]
    texts = {one.code: one.text for one in series.findings}
    assert "broken.png" in texts["unreadable-file"]
    assert "small.png (96 x 70)" in texts["mixed-series"]


def test_the_key_is_the_groups() -> None:
    given = [(f"a/{i}.png", encode(Image.fromarray(RAMP + np.uint8(i)))) for i in range(3)]
    group = collect(given, pictures_as_series=True).groups[0]
    series = read_pictures(group.sources)
    assert (series.study, series.key) == (group.study, group.key)
    assert read_pictures(group.sources[:2]).key != series.key


def test_nothing_readable() -> None:
    with pytest.raises(ImageError, match="found no pictures"):
        read_pictures([])
    with pytest.raises(ImageError, match=r"\(and 1 more like it\)"):
        read_pictures([b"x", b"y"])
