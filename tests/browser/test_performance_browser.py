"""The Performance page in a real browser: what belongs together moves together, and an error opens its study."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from ichscope import metrics
from ichscope.store import Store, volumes
from ichscope.tabular.importing import import_truth
from tests.browser.conftest import serve
from tests.support import results_builder as build
from tests.support import store_cases as cases
from tests.support.people import review

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
# Sensitivities and specificities that a threshold between 0.2 and 0.8 changes step by step.
STUDIES = [(i % 2 == 0, 0.05 + 0.022 * i + (0.2 if i % 2 == 0 else -0.1)) for i in range(40)]
DRAWN = """() => [...document.querySelectorAll(".js-plotly-plot")].map((plot) => ({
  point: plot.data.filter((one) => one.mode === "markers").map((one) => [one.x[0], one.y[0]]),
  cells: (plot.layout.annotations ?? []).map((one) => one.text),
}))"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with studies that a reader has seen."""
    home = tmp_path_factory.mktemp("performance")
    store = Store.open(f"sqlite:///{home}/ichscope.db", home)
    for i, (bleeds, p) in enumerate(STUDIES):
        p = min(max(p, 0.01), 0.99)
        study = cases.add(
            store, i, build.model(along=(0.0, p)), build.model("cerebroscan", along=(p,), labels=("any",))
        )
        review(store, study, "Ann", labels={"any": bleeds}, at=cases.MORNING)
    add_slices(store, home)
    store.close()
    return home


def add_slices(store: Store, home: Path) -> None:
    """One more study, with pictures and with truth by slice: two of five bleed, and the last one is missed."""
    data = build.series(slices=5)
    slices = tuple(replace(one, sop=f"2.{i}") for i, one in enumerate(data.slices))
    made = cases.study("by slice", build.model(along=(0.9, 0.8, 0.7, 0.1, 0.2)), slices=slices, volume=data)
    content = cases.content("by slice")
    store.results.record(made, content, volume=volumes.save(store.volumes, content, made))
    truth = home / "slices.csv"
    truth.write_text("ID,Label\n" + "".join(f"2.{i}_any,{int(i in (0, 4))}\n" for i in range(5)))
    import_truth(store, truth)


@pytest.fixture(scope="module")
def page(browser: Browser, models: Path, home: Path) -> Iterator[Page]:
    with serve(models, home) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(90_000)
        page.goto(f"{address}/performance")
        page.locator(".js-plotly-plot").nth(2).wait_for()
        yield page
        page.close()


def at(threshold: float) -> metrics.AtThreshold:
    truth, said = np.array([bleeds for bleeds, _ in STUDIES]), np.clip([p for _, p in STUDIES], 0.01, 0.99)
    return metrics.at_threshold(truth, said, threshold)


def expect_drawn(page: Page, threshold: float) -> None:
    """The points on both curves, the matrix and the table are those of the threshold."""
    wanted = at(threshold)
    c = wanted.confusion
    expect(page.locator("table.models").first).to_contain_text(f"{c.tp} of {c.tp + c.fn}")
    cells = [f"<b>{count}</b>" for count in (c.tp, c.fn, c.fp, c.tn)]
    page.wait_for_function(f"(cells) => ({DRAWN})()[2]?.cells.every((text, i) => text.startsWith(cells[i]))", arg=cells)
    roc, pr, _ = page.evaluate(DRAWN)
    assert roc["point"][0] == pytest.approx([1 - wanted.specificity.value, wanted.sensitivity.value])
    assert pr["point"][0] == pytest.approx([wanted.sensitivity.value, wanted.ppv.value])


def test_matrix_points_and_figures_move_together_with_the_threshold(page: Page) -> None:
    expect_drawn(page, 0.5)
    exact = page.get_by_label("Exact threshold")
    page.get_by_role("slider").press("PageUp")
    expect(exact).not_to_have_value("0.5")
    expect_drawn(page, float(exact.input_value()))
    exact.fill("0.3123")
    exact.press("Enter")
    expect_drawn(page, 0.3123)
    page.get_by_role("button", name="The model's own").click()
    expect_drawn(page, 0.5)


def test_figures_have_words_for_those_who_do_not_see_them(page: Page) -> None:
    expect(page.get_by_label(re.compile("Confusion matrix of Any haemorrhage: .* true positives"))).to_have_count(1)


def test_the_rows_can_be_taken_away(page: Page) -> None:
    page.get_by_role("tab", name="Data").click()
    with page.expect_download() as got:
        page.get_by_role("button", name="Rows as CSV").click()
    rows = list(csv.DictReader(io.StringIO(got.value.path().read_text())))
    assert [row["truth_any"] == "1.0" for row in sorted(rows, key=lambda row: int(row["study"]))] == [
        b for b, _ in STUDIES
    ]


def test_an_error_opens_its_study_in_the_worklist(page: Page) -> None:
    page.get_by_role("tab", name="Errors").click()
    threshold = float(page.get_by_text("the worst first").inner_text().split("at threshold ")[1].split(",")[0])
    lines = page.locator(".studies tbody tr")
    expect(lines).to_have_count(at(threshold).confusion.fn)
    worst = min((p, i) for i, (bleeds, p) in enumerate(STUDIES) if bleeds)[1]
    expect(lines.first).to_have_attribute("data-study", str(worst + 1))
    lines.first.click()
    expect(page).to_have_url(re.compile(rf"/worklist\?study={worst + 1}$"))
    page.locator(".verdict").wait_for()


def test_an_error_by_slice_opens_its_study_there(page: Page) -> None:
    page.goto(page.url.rsplit("/", 1)[0] + "/performance")
    choose(page, "Truth", "slices.csv")
    choose(page, "Level", "Slice")
    page.get_by_role("tab", name="Errors").click()
    lines = page.locator(".studies tbody tr")
    expect(lines).to_have_count(1)
    lines.first.click()
    expect(page).to_have_url(re.compile(rf"/worklist\?study={len(STUDIES) + 1}&slice=5$"))
    page.locator('.viewer[data-slice="5"]').wait_for()


def choose(page: Page, label: str, option: str) -> None:
    """Choose, and wait until the page has answered: a click meanwhile may fall on what is about to go."""
    page.get_by_role("combobox", name=re.compile(label)).first.click()
    page.get_by_role("option", name=re.compile(option)).click()
    page.wait_for_timeout(500)  # until the server has heard of it
    page.locator('.stApp[data-test-script-state="notRunning"]').wait_for()
