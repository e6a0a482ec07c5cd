"""Pictures as the web has them, made from phantoms: cropped, framed, photographed; and what is no head CT."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ichscope.imaging.images import read_pictures
from ichscope.imaging.picture_gate import from_json, gate, gate_input, scores, to_json
from ichscope.imaging.picture_heads import find_heads
from ichscope.imaging.picture_regions import Region, regions
from ichscope.imaging.preprocess import head_box
from ichscope.imaging.quality import assess, status
from ichscope.imaging.source import Source
from ichscope.phantom import make, make_chest

Grey = NDArray[np.float32]
Dress = Callable[[Grey], Grey]


@pytest.fixture(scope="module")
def slices() -> list[Grey]:
    """Slices through brain of three heads, grey 0..1 in a brain window."""
    heads = (
        make(bleed, seed, slices=24, size=256).hu
        for bleed, seed in ((None, 1), ("subdural", 2), ("intraparenchymal", 3))
    )
    return [np.clip(image / np.float32(80), 0, 1).astype(np.float32) for hu in heads for image in hu[6:18:3]]


def tight(grey: Grey) -> Region:
    rows, columns = (np.flatnonzero((grey > 0.3).sum(axis=axis) > 5) for axis in (1, 0))
    return Region(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def cropped(grey: Grey) -> Grey:
    return np.ascontiguousarray(grey[tight(grey).cut])


def cut_into(grey: Grey) -> Grey:
    return np.ascontiguousarray(cropped(grey)[4:-4, 4:-4])


def margins(value: float) -> Dress:
    return lambda grey: np.pad(cropped(grey), ((40, 10), (25, 60)), constant_values=value).astype(np.float32)


def lettered(grey: Grey) -> Grey:
    image = Image.fromarray((grey * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.text((4, 4), "R   SE 3 IM 12   kV 120", fill=255)
    draw.text((4, 240), "W 80 L 40", fill=255)
    draw.line([120, 90, 150, 110], fill=255, width=3)
    lettered = np.asarray(image, np.float32) / 255
    lettered[40:200, 246:254] = np.linspace(1, 0, 160, dtype=np.float32)[:, None]
    return lettered


def viewer(theme: float) -> Dress:
    def dress(grey: Grey) -> Grey:
        page = np.full((400, 520), theme, np.float32)
        page[:30:6] = 1 - theme
        for row in range(60, 380, 25):
            page[row : row + 10, 8:70] = 0.5
        page[80 : 80 + 256, 150 : 150 + 256] = lettered(grey)
        return page

    return dress


def photographed(grey: Grey) -> Grey:
    room = np.full((330, 360), 0.45, np.float32)
    room[30:300, 40:310] = 0.1
    room[37:293, 47:303] = grey
    askew = Image.fromarray(room).rotate(3, Image.Resampling.BILINEAR, fillcolor=0.45)
    uneven = np.linspace(0.85, 1.0, 360, dtype=np.float32)
    return (0.12 + 0.78 * np.asarray(askew) * uneven).astype(np.float32)


DRESSES: dict[str, Dress] = {
    "as it is": lambda grey: grey,
    "cropped to the edge": cropped,
    "cropped into the skull": cut_into,
    "white margins": margins(1.0),
    "grey margins": margins(0.55),
    "black margins": margins(0.0),
    "letters and a colour bar": lettered,
    "a dark viewer": viewer(0.15),
    "a light viewer": viewer(0.9),
    "a photograph of a monitor": photographed,
}


def encoded(grey: Grey, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((np.clip(grey, 0, 1) * 255).astype(np.uint8)).save(
        buffer, kind, **({"quality": 70} if kind == "JPEG" else {})
    )
    return buffer.getvalue()


@pytest.mark.parametrize("dress", DRESSES)
def test_a_head_is_accepted_in_every_dress(slices: list[Grey], dress: str) -> None:
    refused = [
        number
        for number, grey in enumerate(slices)
        if status(assess(read_pictures([encoded(DRESSES[dress](grey))]))) != "limited"
    ]
    assert not refused


@pytest.mark.parametrize("dress", ["white margins", "grey margins", "a light viewer", "a dark viewer"])
def test_what_is_around_the_head_does_not_shrink_it(slices: list[Grey], dress: str) -> None:
    for grey in slices[::4]:
        series = read_pictures([Source("web.png", data=encoded(DRESSES[dress](grey), "PNG"))])
        head = tight(grey)
        wanted = 1.12 * max(head.bottom - head.top, head.right - head.left)
        assert head_box(series.hu).height == pytest.approx(wanted, rel=0.12)


def test_what_was_taken_away_is_said(slices: list[Grey]) -> None:
    series = read_pictures([Source("web.png", data=encoded(margins(1.0)(slices[0]), "PNG"))])
    assert [(finding.level, finding.code) for finding in series.findings] == [("warning", "picture-frame")]
    assert "web.png (" in series.findings[0].text
    assert "from column 2" in series.findings[0].text


def test_a_picture_with_nothing_around_the_head_stays_as_it_is(slices: list[Grey]) -> None:
    for grey in slices:
        series = read_pictures([encoded(grey, "PNG")])
        assert series.findings == ()
        assert np.array_equal(series.hu[0], np.rint((grey * 255).astype(np.uint8) / np.float32(255) * 80))


def test_a_photographed_monitor_gets_its_black_and_white_back(slices: list[Grey]) -> None:
    for grey in slices[::3]:
        as_shown = (0.15 + 0.65 * grey).astype(np.float32)
        series = read_pictures([Source("monitor.png", data=encoded(as_shown, "PNG"))])
        assert [(finding.level, finding.code) for finding in series.findings] == [("warning", "picture-contrast")]
        assert "monitor.png (black at 15%, white at 80%)" in series.findings[0].text
        assert np.abs(series.hu[0] - 80 * grey).max() <= 2


def test_what_is_no_head_keeps_its_contrast() -> None:
    page = (0.2 + 0.5 * document()).astype(np.float32)
    series = read_pictures([encoded(page, "PNG")])
    assert series.findings == ()
    assert series.hu.min() >= 15


def film(tiles: list[Grey], across: int, gap: int, value: float = 0.0, words: int = 0) -> Grey:
    """256 x 256 tiles in rows, a gap around and words below each."""
    down, side = -(-len(tiles) // across), 256
    page = Image.new("L", (across * (side + gap) + gap, down * (side + gap + words) + gap), round(value * 255))
    draw = ImageDraw.Draw(page)
    for number, tile in enumerate(tiles):
        left, top = gap + number % across * (side + gap), gap + number // across * (side + gap + words)
        page.paste(Image.fromarray((tile * 255).astype(np.uint8)), (left, top))
        if words:
            draw.text((left + 90, top + side), f"({number + 1})", fill=255 if value < 0.5 else 0, font_size=0.8 * words)
    return np.asarray(page, np.float32) / 255


@pytest.mark.parametrize(
    ("gap", "value", "words"), [(0, 0.0, 0), (6, 0.0, 0), (30, 1.0, 0), (0, 0.0, 30), (30, 1.0, 30), (30, 0.3, 0)]
)
@pytest.mark.parametrize(("down", "across"), [(1, 2), (2, 1), (2, 2), (3, 4), (4, 5), (6, 6)])
def test_several_heads_are_refused_with_that_reason(
    slices: list[Grey], down: int, across: int, gap: int, value: float, words: int
) -> None:
    tiles = [slices[number % len(slices)] for number in range(down * across)]
    findings = assess(read_pictures([encoded(film(tiles, across, gap, value, words))]))
    assert (findings[0].level, findings[0].code) == ("not analysable", "several-heads")
    assert "several slices side by side" in findings[0].text


@pytest.mark.parametrize(("number", "across", "gap"), [(2, 2, 0), (2, 1, 10), (6, 3, 6), (12, 4, 0)])
def test_heads_side_by_side_are_counted(slices: list[Grey], number: int, across: int, gap: int) -> None:
    findings = assess(read_pictures([encoded(film(slices[:number], across, gap))]))
    assert f"({number} found)" in findings[0].text


def test_cropped_heads_side_by_side_are_several(slices: list[Grey]) -> None:
    tiles = [np.asarray(Image.fromarray(cropped(grey)).resize((256, 256))) for grey in slices]
    findings = assess(read_pictures([encoded(film(tiles, 4, 0))]))
    assert findings[0].code == "several-heads"


def test_thumbnails_beside_a_slice_are_no_film(slices: list[Grey]) -> None:
    page = np.full((256, 340), 0.1, np.float32)
    page[:, 80:336] = slices[0]
    for number, grey in enumerate(slices[:3]):
        page[4 + 70 * number : 68 + 70 * number, 8:72] = np.asarray(Image.fromarray(grey).resize((64, 64)))
    assert status(assess(read_pictures([encoded(page)]))) == "limited"


def document() -> Grey:
    image = Image.new("L", (300, 400), 250)
    for row in range(20, 380, 14):
        ImageDraw.Draw(image).text((15, row), "lorem ipsum dolor sit amet, consectetur", fill=20)
    return np.asarray(image, np.float32) / 255


def chart() -> Grey:
    image = Image.new("L", (320, 240), 255)
    draw = ImageDraw.Draw(image)
    for place in range(8):
        draw.rectangle([20 + 35 * place, 200 - 20 * place, 45 + 35 * place, 220], fill=30 * place)
    return np.asarray(image, np.float32) / 255


def face() -> Grey:
    image = Image.new("L", (240, 300), 120)
    draw = ImageDraw.Draw(image)
    draw.ellipse([50, 40, 190, 260], fill=200)
    draw.chord([45, 30, 195, 150], 180, 360, fill=40)
    for left in (80, 130):
        draw.ellipse([left, 120, left + 30, 135], fill=240)
        draw.ellipse([left + 9, 121, left + 21, 134], fill=20)
    draw.ellipse([95, 200, 145, 215], fill=90)
    return np.asarray(image, np.float32) / 255


def texture(grain: float) -> Grey:
    y, x = np.mgrid[0:1:200j, 0:1:200j]
    noise = np.random.default_rng(0).random((200, 200))
    return (0.5 + 0.3 * np.sin(grain * x + 5 * np.sin(6 * y)) * np.cos(grain * y) + 0.2 * (noise - 0.5)).astype(
        np.float32
    )


def chest(level: float, width: float) -> Grey:
    hu = make_chest(0, slices=8, size=192).hu[4]
    return np.clip((hu - level + width / 2) / width, 0, 1).astype(np.float32)


def chest_radiograph() -> Grey:
    shadow = np.clip(make_chest(0, slices=24, size=128).hu.astype(np.float32) + 1000, 0, None).sum(axis=1)[::-1]
    picture = Image.fromarray(shadow / shadow.max()).resize((256, 256))
    return np.asarray(picture, np.float32)


def mri(seed: int, fluid: float) -> Grey:
    """A phantom's slice as MRI shows it: skull dark, scalp bright."""
    hu = make(None, seed, slices=24, size=256).hu[12].astype(np.float32)
    grey = np.interp(
        hu, [-1000, -300, -120, -60, -10, 0, 12, 25, 40, 90, 150], [0, 0, 0.9, 0.9, 0.3, fluid, fluid, 0.7, 0.4, 0.3, 0]
    )
    return np.clip(grey, 0, 1).astype(np.float32)


OTHERS: dict[str, Callable[[], Grey]] = {
    "document": document,
    "chart": chart,
    "face": face,
    "coarse texture": lambda: texture(12),
    "fine texture": lambda: texture(70),
    "gradient": lambda: np.tile(np.linspace(0, 1, 200, dtype=np.float32), (200, 1)),
    "chest, soft-tissue window": lambda: chest(40, 400),
    "chest, lung window": lambda: chest(-550, 1600),
    "chest, brain window": lambda: chest(40, 80),
    "chest radiograph": chest_radiograph,
    "MRI, dark fluid": lambda: mri(4, 0.05),
    "MRI, bright fluid": lambda: mri(5, 0.95),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("dress", ["as it is", "grey margins"])
def test_what_is_no_head_ct_is_refused(kind: str, dress: str) -> None:
    grey = OTHERS[kind]()
    picture = grey if dress == "as it is" else np.pad(grey, 30, constant_values=0.5)
    found = assess(read_pictures([encoded(picture)]))
    assert (status(found), found[0].code) == ("not analysed", "not-head")


def test_regions_find_the_panel_and_the_head_in_it() -> None:
    page = np.ones((300, 400), np.float32)
    page[50:250, 100:300] = 0
    page[100:200, 150:250] = 0.5
    found = regions(page)
    for wanted in (Region(50, 100, 250, 300), Region(100, 150, 200, 250)):
        assert max(region.likeness(wanted) for region in found) > 0.9


@pytest.mark.parametrize("shape", [(64, 64), (64, 3000), (3000, 64), (1, 64), (700, 500)])
def test_any_shape_is_looked_at(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).random(shape).astype(np.float32)
    assert find_heads(noise).reason


def test_the_gate_is_small_and_says_the_same_after_writing() -> None:
    known = replace(gate(), threshold=3.5)
    again = from_json(to_json(known))
    crops = np.random.default_rng(2).random((5, 48, 48, 2)).astype(np.float32)
    assert len(to_json(known)) < 200_000
    assert again.threshold == 3.5
    assert np.array_equal(scores(crops, again), scores(crops, known))


def test_the_gate_sees_the_picture_at_any_aspect() -> None:
    seen = gate_input(np.full((200, 100), 0.6, np.float32))
    assert seen[:, :11].max() == 0
    assert seen[2:-2, 14:-14, 0] == pytest.approx(0.6, abs=0.01)
