import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ichscope import phantom

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
SIZE = {"width": 1280, "height": 800}
SLICES = 28
WAIT_MS = 90_000
PHANTOM = phantom.make("intraparenchymal", slices=SLICES, size=256)


def zipped(folder: str = "head") -> dict[str, object]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for i, one in enumerate(phantom.datasets(PHANTOM), 1):
            archive.writestr(f"{folder}/IM{i:04d}.dcm", phantom.to_bytes(one))
    return {"name": "study.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}


def dicom(name: str, data: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "application/dicom", "buffer": data}


def open_page(browser: Browser, server: str) -> tuple[Page, list[str]]:
    """A page, and the growing list of what passes between it and the server."""
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(WAIT_MS)
    traffic: list[str] = []

    def listen(socket) -> None:
        socket.on("framesent", lambda _: traffic.append("sent"))
        socket.on("framereceived", lambda _: traffic.append("received"))

    page.on("websocket", listen)
    page.on("pageerror", lambda error: traffic.append(f"error: {error}"))
    page.goto(server)
    page.get_by_text("Drop a study here").wait_for()
    return page, traffic


def upload(page: Page, *files: dict[str, object]) -> None:
    page.locator("input[type=file]").set_input_files(list(files))
    page.locator(".verdict").wait_for()


@pytest.fixture(scope="module")
def loaded(browser: Browser, server: str) -> Iterator[tuple[Page, list[str]]]:
    page, traffic = open_page(browser, server)
    upload(page, zipped())
    page.locator(".viewer[data-slice]").wait_for()
    page.locator(".js-plotly-plot .bars").first.wait_for()
    page.wait_for_timeout(1500)
    yield page, traffic
    page.close()


@pytest.fixture
def page(loaded: tuple[Page, list[str]]) -> Iterator[Page]:
    """The page with a result; a test fails if using the viewer made it talk to the server."""
    page, traffic = loaded
    page.locator(".viewer canvas.slice").focus()
    page.keyboard.press("r")
    page.keyboard.press("Home")
    expect_slice(page, 1)
    traffic.clear()
    yield page
    page.wait_for_timeout(200)
    assert traffic == []


def expect_slice(page: Page, number: int) -> None:
    expect(page.locator(".viewer")).to_have_attribute("data-slice", str(number))


def canvas(page: Page) -> Locator:
    return page.locator(".viewer canvas.slice")


def centre(place: Locator) -> tuple[float, float]:
    box = place.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_result_appears(page: Page) -> None:
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("FLAGGED - possible haemorrhage")
    expect(verdict).to_contain_text("Research use only - not for diagnosis")
    expect(page.get_by_text("Both models flag this series.")).to_be_visible()


def test_answer_and_viewer_fit_the_smallest_screen(page: Page) -> None:
    for part in (".verdict", ".viewer .picture", ".viewer .plot"):
        box = page.locator(part).bounding_box()
        assert box
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= SIZE["height"], part
    picture = page.locator(".viewer .picture").bounding_box()
    assert picture
    assert picture["height"] >= 380


def test_five_thumbnails_the_highest_slice_first(page: Page) -> None:
    values = [float(text) for text in page.locator(".thumb em").all_inner_texts()]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    page.locator(".thumb").first.click()
    # The thumbnail rounds to two digits what stands in the corner with three.
    same = "|".join(f"{values[0] - 0.005 + i / 1000:.3f}" for i in range(11))
    expect(page.locator(".score")).to_contain_text(re.compile(f"cranioscan any ({same})"))


@pytest.mark.parametrize(
    ("keys", "slice_number"),
    [
        (["ArrowDown"], 2),
        (["ArrowRight", "ArrowRight"], 3),
        (["ArrowDown", "ArrowUp"], 1),
        (["ArrowLeft"], 1),
        (["PageDown"], 6),
        (["PageDown", "PageUp"], 1),
        (["End"], SLICES),
        (["End", "ArrowDown"], SLICES),
        (["End", "Home"], 1),
    ],
)
def test_keys_scroll_without_the_server(page: Page, keys: list[str], slice_number: int) -> None:
    for key in keys:
        page.keyboard.press(key)
    expect_slice(page, slice_number)
    expect(page.locator(".place")).to_contain_text(f"{slice_number}/{SLICES}")
    expect(canvas(page)).to_have_attribute("aria-valuenow", str(slice_number))


def test_the_picture_changes_with_the_slice(page: Page) -> None:
    first = pixels(page)
    page.keyboard.press("PageDown")
    expect_slice(page, 6)
    assert pixels_change(page, first)


def pixels(page: Page) -> str:
    return str(canvas(page).evaluate("canvas => canvas.toDataURL()"))


def pixels_change(page: Page, before: str) -> bool:
    """Tell whether another picture is drawn within five seconds; the browser draws when it has the time."""
    for _ in range(50):
        if pixels(page) != before:
            return True
        page.wait_for_timeout(100)
    return False


def test_the_wheel_scrolls_one_slice_a_notch(page: Page) -> None:
    page.mouse.move(*centre(canvas(page)))
    for _ in range(3):
        page.mouse.wheel(0, 100)
    expect_slice(page, 4)
    page.mouse.wheel(0, -100)
    expect_slice(page, 3)


def test_a_click_on_the_chart_jumps(page: Page) -> None:
    plot = page.locator(".viewer .plot svg").bounding_box()
    assert plot
    page.mouse.click(plot["x"] + plot["width"] - 12, plot["y"] + plot["height"] / 2)
    expect_slice(page, SLICES)
    page.mouse.click(plot["x"] + 47, plot["y"] + plot["height"] / 2)
    expect_slice(page, 1)


def test_a_thumbnail_jumps(page: Page) -> None:
    thumb = page.locator(".thumb").nth(1)
    thumb.click()
    expect_slice(page, int(thumb.get_attribute("data-slice") or -1) + 1)
    expect(thumb).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize(
    ("key", "name", "window"),
    [
        ("1", "Brain", "L 40 W 80 HU"),
        ("2", "Subdural", "L 80 W 200 HU"),
        ("3", "Stroke", "L 40 W 40 HU"),
        ("4", "Bone", "L 600 W 2800 HU"),
        ("5", "Soft tissue", "L 40 W 380 HU"),
    ],
)
def test_window_keys_and_buttons(page: Page, key: str, name: str, window: str) -> None:
    page.keyboard.press(key)
    expect(page.locator(".window")).to_have_text(re.compile(window.replace(" ", r"\s+")))
    button = page.get_by_role("button", name=re.compile(f"^{name}"))
    expect(button).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("2" if key == "1" else "1")
    button.click()
    expect(page.locator(".window")).to_have_text(re.compile(window.replace(" ", r"\s+")))


def test_a_drag_changes_level_and_width_and_r_resets(page: Page) -> None:
    x, y = centre(canvas(page))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 20, steps=4)
    page.mouse.up()
    expect(page.locator(".window")).not_to_have_text(re.compile(r"L 40\s+W 80 HU"))
    page.keyboard.press("r")
    expect(page.locator(".window")).to_have_text(re.compile(r"L 40\s+W 80 HU"))


@pytest.mark.parametrize("how", ["right", "shift"])
def test_right_or_shift_drag_moves_the_picture_and_leaves_the_window(page: Page, how: str) -> None:
    before = pixels(page)
    x, y = centre(canvas(page))
    page.mouse.move(x, y)
    if how == "shift":
        page.keyboard.down("Shift")
    page.mouse.down(button="right" if how == "right" else "left")
    page.mouse.move(x + 60, y + 10, steps=3)
    page.mouse.up(button="right" if how == "right" else "left")
    page.keyboard.up("Shift")
    assert pixels_change(page, before)
    expect(page.locator(".window")).to_have_text(re.compile(r"L 40\s+W 80 HU"))


def test_ctrl_and_wheel_zoom(page: Page) -> None:
    page.mouse.move(*centre(canvas(page)))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    expect(page.locator(".zoom")).not_to_have_text("100 %")
    expect_slice(page, 1)


def test_h_shows_and_hides_the_evidence_with_its_caution(page: Page) -> None:
    caution = page.locator(".notice", has_text="model evidence, not a lesion outline")
    expect(caution).to_be_visible()  # on from the start where a series is flagged
    page.locator(".thumb").first.click()
    with_heat = pixels(page)
    page.keyboard.press("h")
    expect(caution).to_be_hidden()
    assert pixels_change(page, with_heat)
    page.keyboard.press("h")
    expect(caution).to_be_visible()


def test_the_value_under_the_cursor_is_the_one_in_the_file(page: Page) -> None:
    page.mouse.move(*centre(canvas(page)))
    text = page.locator(".cursor").inner_text()
    match = re.match(r"(-?\d+) HU\s+x (\d+), y (\d+) \(", text)
    assert match, text
    value, column, row = map(int, match.groups())
    assert value == PHANTOM.hu[0, row, column]


def test_sides_are_named(page: Page) -> None:
    places = {side: centre(page.locator(f"[data-side={side}]")) for side in ("right", "left", "front", "back")}
    assert [page.locator(f"[data-side={side}]").inner_text() for side in places] == ["R", "L", "A", "P"]
    assert places["right"][0] < places["left"][0]
    assert places["front"][1] < places["back"][1]


def test_every_control_is_reached_by_keyboard(page: Page) -> None:
    names = page.locator(".viewer").evaluate(
        "root => [...root.querySelectorAll('button, input, select, canvas.slice')]"
        ".filter(node => node.offsetParent && node.tabIndex < 0).map(node => node.className)"
    )
    assert names == []


def test_nothing_of_the_study_is_stored_in_the_browser(page: Page) -> None:
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    for word in ("IM0001", "head", "study.zip", "HU"):
        assert word not in stored


def test_a_broken_file_beside_a_good_study(browser: Browser, server: str) -> None:
    page, traffic = open_page(browser, server)
    upload(page, zipped(), dicom("empty.dcm", b""), dicom("<img src=x onerror=alert(1)>.dcm", b"just text " * 50))
    rows = page.get_by_role("radio")
    expect(rows).to_have_count(3)
    expect(page.locator(".verdict")).to_contain_text("FLAGGED")
    page.get_by_text("empty.dcm").first.click()
    expect(page.locator(".verdict")).to_contain_text("NOT ANALYSED")
    body = page.locator("body").inner_text()
    assert "Traceback" not in body
    assert "<img src=x onerror=alert(1)>.dcm" in body
    assert not [event for event in traffic if event.startswith("error")]
    page.close()


@pytest.mark.parametrize("how", ["files", "folder"])
def test_many_files_at_once_are_one_whole_series(browser: Browser, server: str, tmp_path: Path, how: str) -> None:
    page, _ = open_page(browser, server)
    paths = phantom.write(PHANTOM, tmp_path / "head")
    if how == "folder":
        page.get_by_text("Folder", exact=True).click()
        page.locator("input[type=file][webkitdirectory]").set_input_files(tmp_path / "head")
    else:
        page.locator("input[type=file]").set_input_files(paths)
    page.locator(".verdict").wait_for()
    expect(page.locator(".place")).to_contain_text(f"/{SLICES}")
    expect(page.get_by_role("radio")).to_have_count(0)
    page.close()


def test_another_series_takes_its_place_in_the_viewer(browser: Browser, server: str) -> None:
    page, _ = open_page(browser, server)
    chest = phantom.make_chest(1, 3, 128)
    files = phantom.datasets(chest, SeriesInstanceUID="1.2.3.4", StudyInstanceUID="1.2.3", PatientID="other")
    upload(page, zipped(), *(dicom(f"chest{i}.dcm", phantom.to_bytes(one)) for i, one in enumerate(files)))
    expect(page.locator(".place")).to_contain_text(f"/{SLICES}")
    page.get_by_role("radio").nth(1).locator("xpath=ancestor::label").click()
    expect(page.locator(".place")).to_contain_text("/3")
    expect(page.locator(".viewer .chart")).to_be_hidden()
    expect(page.locator(".thumbs")).to_be_hidden()
    page.close()
