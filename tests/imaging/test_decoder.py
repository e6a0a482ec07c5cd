"""What a decoder process does, asked in this one: pixels, pictures and headers, or the reason why not."""

from __future__ import annotations

import socket
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.uid import UID, JPEG2000Lossless, RLELossless

from ichscope.imaging import decoder
from ichscope.imaging.decoding import NO_DECODER, receive, send
from ichscope.phantom import Phantom, datasets, to_bytes

_SYNTAXES = [RLELossless, JPEG2000Lossless]
_PATIENCE_S = 1000


def codestreams(head: Phantom, syntax: UID, count: int = 2) -> tuple[list[bytes], list[NDArray[np.uint16]]]:
    """Slices as one codestream each, and their stored values (rows, columns)."""
    streams, stored = [], []
    for dataset in datasets(head)[:count]:
        stored.append(dataset.pixel_array.copy())
        dataset.compress(syntax, generate_instance_uid=False)
        streams.append(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    return streams, stored


def request(head: Phantom, streams: list[bytes], syntax: str) -> dict[str, Any]:
    rows, columns = head.hu.shape[1:]
    shape = {"rows": rows, "columns": columns, "allocated": 16, "stored": 12, "signed": False}
    return {"lengths": [len(stream) for stream in streams], "syntax": syntax, **shape, "by_gdcm": False}


@pytest.mark.parametrize("syntax", _SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_codestreams_become_stored_values(head: Phantom, syntax: UID) -> None:
    streams, stored = codestreams(head, syntax)
    about, pixels = decoder.decode_frames(memoryview(b"".join(streams)), **request(head, streams, syntax))
    assert np.frombuffer(pixels, np.dtype(about["kind"])).tobytes() == np.stack(stored).tobytes()


def test_gdcm_decodes_the_same(head: Phantom) -> None:
    streams, stored = codestreams(head, JPEG2000Lossless)
    asked = request(head, streams, JPEG2000Lossless) | {"by_gdcm": True}
    _, pixels = decoder.decode_frames(memoryview(b"".join(streams)), **asked)
    assert pixels == np.stack(stored).tobytes()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.3"])
def test_what_nothing_decodes_is_said(head: Phantom, syntax: str) -> None:
    assert decoder.decode_frames(memoryview(b"1234"), **request(head, [b"1234"], syntax)) == {"error": NO_DECODER}


def as_file(picture: Image.Image, **more: Any) -> memoryview:
    buffer = BytesIO()
    picture.save(buffer, "PNG", **more)
    return memoryview(buffer.getvalue())


@pytest.mark.parametrize(
    ("mode", "value", "hu", "coloured"),
    [
        ("L", 255, 80, False),
        ("1", 1, 80, False),
        ("I;16", 65535, 80, False),
        ("RGB", (255, 255, 255), 80, False),
        ("RGBA", (255, 255, 255, 0), 0, False),
        ("RGB", (255, 0, 0), 24, True),
    ],
)
def test_a_picture_of_any_mode_becomes_a_brain_window(mode: str, value: Any, hu: int, coloured: bool) -> None:
    about, pixels = decoder.decode_picture(as_file(Image.new(mode, (40, 300), value)), 10**6, 8)
    assert about == {"width": 40, "height": 300, "coloured": coloured}
    assert set(np.frombuffer(pixels, np.int16).tolist()) == {hu}


def test_a_picture_is_turned_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn to the right
    about, _ = decoder.decode_picture(as_file(Image.new("L", (40, 30)), exif=exif), 10**6, 8)
    assert (about["width"], about["height"]) == (30, 40)


@pytest.mark.parametrize(("most", "least"), [(100, 8), (10**6, 64)])
def test_of_a_picture_that_is_too_large_or_small_only_the_size_is_told(most: int, least: int) -> None:
    told = decoder.decode_picture(as_file(Image.new("L", (40, 30))), most, least)
    assert told == {"width": 40, "height": 30}


def test_it_answers_until_the_other_side_closes(head: Phantom) -> None:
    streams, stored = codestreams(head, RLELossless, 1)
    asked: list[tuple[dict[str, Any], bytes]] = [
        ({"task": "frames", **request(head, streams, RLELossless)}, streams[0]),
        ({"task": "picture", "most": 100, "least": 8}, bytes(as_file(Image.new("L", (40, 30))))),
        ({"task": "picture", "most": 100, "least": 8}, b"no picture"),
        ({"task": "header"}, to_bytes(datasets(head)[0])),
    ]
    mine, its = socket.socketpair()
    with mine, its:
        for about, data in asked:  # little enough to wait in the socket
            send(mine, about, data)
        mine.shutdown(socket.SHUT_WR)
        decoder.answer(its, _PATIENCE_S)
        hello, frames, picture, none, header = (receive(mine, 1 << 20) for _ in range(1 + len(asked)))
    assert hello[0]["pid"] > 0
    assert frames[1] == stored[0].tobytes()
    assert picture[0]["width"] == 40
    assert none[0]["error"] == "UnidentifiedImageError"
    assert "error" not in header[0]
