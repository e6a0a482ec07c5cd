import gc
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from dashboard import uploads as page_uploads
from ichscope import phantom
from ichscope.imaging.limits import Holding
from tests.support import tiny_model

ROOT = Path(__file__).parents[2]
APP = str(ROOT / "dashboard/router.py")
BLEED = "intraparenchymal"


def uploads(bleed: str | None = BLEED, folder: str = "head", **tags: object) -> list[tuple[str, bytes, str]]:
    return as_uploads(phantom.make(bleed, slices=8, size=128), folder, **tags)


def as_uploads(body: phantom.Phantom, folder: str, **tags: object) -> list[tuple[str, bytes, str]]:
    made = phantom.datasets(body, **tags)
    return [(f"{folder}/IM{i}.dcm", phantom.to_bytes(one), "application/dicom") for i, one in enumerate(made)]


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(tmp_path / "models", name)
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("ICHSCOPE_IMPORT", raising=False)
    return tmp_path / "models"


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_file(APP, default_timeout=60).run()


def words(app: AppTest) -> str:
    """Everything that the page says, one string."""
    assert not app.exception
    texts = [
        one.value for kind in ("title", "header", "subheader", "markdown", "caption", "text") for one in app.get(kind)
    ]
    boxes = [one.value for kind in (app.error, app.warning) for one in kind]
    return "\n".join([*texts, *boxes, *(one.proto.body for one in app.get("html"))])


def check(app: AppTest, files: list[tuple[str, bytes, str]]) -> AppTest:
    app.file_uploader[0].set_value(files)
    return app.run()


def test_an_empty_page_says_what_to_do_next(app: AppTest) -> None:
    text = words(app)
    for expected in ("Drop a study here", "Or try a synthetic study", "not for diagnosis", "200 MB a file", "ZIP"):
        assert expected in text
    assert [button.label for button in app.button if "synthetic" in button.label] == [
        "Normal (synthetic)",
        "Subdural bleed (synthetic)",
        "Intraparenchymal bleed (synthetic)",
    ]


def test_an_uploaded_study_gives_a_headline_with_model_threshold_and_operating_point(app: AppTest) -> None:
    text = words(check(app, uploads()))
    for expected in ("FLAGGED - possible haemorrhage", "cranioscan", "cerebroscan", "threshold 0.500", "Youden"):
        assert expected in text
    assert "Research use only - not for diagnosis" in text
    assert "Both models flag this series." in text


def test_an_upload_is_let_go_of_when_it_has_been_read(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[str] = []
    monkeypatch.setattr(page_uploads, "free", freed.extend)
    check(app, uploads())
    assert len(set(freed)) == 8
    next(button for button in app.button if button.label == "New study").click()
    assert "Drop a study here" in words(app.run())
    assert app.file_uploader[0].value == []


def test_an_upload_without_a_result_stays(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[str] = []
    monkeypatch.setattr(page_uploads, "free", freed.extend)
    assert "No CT series or picture was found" in words(check(app, [("notes.txt", b"text", "text/plain")]))
    assert freed == []


def raise_threshold(model: Path) -> None:
    """Make a model that never flags."""
    card = json.loads((model / "card.json").read_text())
    card["thresholds"] = dict.fromkeys(card["thresholds"], 1.0)
    (model / "card.json").write_text(json.dumps(card))


def test_below_the_threshold_is_not_flagged_and_not_called_normal(models: Path) -> None:
    for model in models.iterdir():
        raise_threshold(model)
    text = words(check(AppTest.from_file(APP, default_timeout=60).run(), uploads()))
    assert "FLAGGED" not in text
    assert "Not flagged" in text
    assert "does not rule out a haemorrhage" in text


def test_models_that_disagree_still_flag_and_ask_for_care(models: Path) -> None:
    raise_threshold(models / "cerebroscan")
    text = words(check(AppTest.from_file(APP, default_timeout=60).run(), uploads()))
    assert "FLAGGED - possible haemorrhage" in text
    assert text.count("The models disagree: read with care.") == 2  # in the headline and beside the numbers


def test_a_zip_is_read(app: AppTest) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data, _ in uploads():
            archive.writestr(name, data)
    assert "FLAGGED" in words(check(app, [("study.zip", packed.getvalue(), "application/zip")]))


@pytest.mark.parametrize(
    ("name", "data"),
    [("empty.dcm", b""), ("letter.dcm", b"Dear colleague, " * 40), ("zeros.dcm", bytes(5000))],
)
def test_a_broken_file_is_a_row_of_its_own_beside_the_good_study(app: AppTest, name: str, data: bytes) -> None:
    check(app, [*uploads(), (name, data, "application/dicom")])
    (rows,) = app.radio
    assert [option.split("**")[1] for option in rows.options] == ["FLAGGED", "NOT ANALYSED"]
    rows.set_value(1)
    text = words(app.run())
    assert "NOT ANALYSED" in text
    assert name.replace(".", r"\.") in text


def test_a_slice_cut_short_limits_its_series_and_says_why(app: AppTest) -> None:
    *others, (name, data, kind) = uploads()
    text = words(check(app, [*others, (name, data[:4000], kind)]))
    assert 'class="limited">LIMITED' in text
    assert "Limited: 1 of 8 files could not be read" in text
    assert name in text


def test_a_chest_gets_no_probability(app: AppTest) -> None:
    text = words(check(app, as_uploads(phantom.make_chest(1, 8, 128), "chest", BodyPartExamined="CHEST")))
    assert "NOT ANALYSED" in text
    assert "CHEST" in text
    assert not app.get("plotly_chart")


def test_two_series_are_two_results_the_flagged_one_first(app: AppTest) -> None:
    chest = phantom.make_chest(1, 8, 128)
    other = as_uploads(chest, "chest", SeriesInstanceUID="1.2.3.4", StudyInstanceUID="1.2.3", PatientID="other")
    check(app, [*other, *uploads()])
    (rows,) = app.radio
    assert rows.options == ["**FLAGGED**  head", "**NOT ANALYSED**  chest"]


def test_names_from_outside_are_shown_as_they_are(app: AppTest) -> None:
    check(app, [*uploads(), ("![x](y.png) <b>.dcm", b"", "application/dicom")])
    assert r"\!\[x\]\(y\.png\) \<b\>\.dcm" in app.radio[0].options[1]


def pictures() -> list[tuple[str, bytes, str]]:
    """Slices of a phantom as grey PNG in a brain window."""
    files = []
    for i, hu in enumerate(phantom.make(BLEED, slices=8, size=128).hu):
        grey = io.BytesIO()
        Image.fromarray((np.clip(hu / 80, 0, 1) * 255).astype(np.uint8)).save(grey, "PNG")
        files.append((f"head/{i}.png", grey.getvalue(), "image/png"))
    return files


def test_pictures_are_limited_and_can_become_one_series(app: AppTest) -> None:
    text = words(check(app, pictures()))
    assert len(app.radio[0].options) == 8
    assert 'class="limited">LIMITED' in text
    next(button for button in app.button if button.label == "Read the pictures as one series").click()
    text = words(app.run())
    assert not app.radio
    assert "head, 8 slices" in text
    assert 'class="limited">LIMITED' in text


def test_the_choice_to_read_pictures_as_one_series_holds_from_the_start(app: AppTest) -> None:
    app.checkbox[0].check().run()
    assert "head, 8 slices" in words(check(app, pictures()))


def test_new_study_forgets_the_result(app: AppTest) -> None:
    check(app, uploads())
    next(button for button in app.button if button.label == "New study").click()
    text = words(app.run())
    assert "Drop a study here" in text
    assert "results" not in app.session_state


def test_a_sample_is_marked_as_synthetic(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    next(button for button in app.button if button.label.startswith("Subdural")).click()
    text = words(app.run())
    assert "Synthetic study, no patient." in text
    assert r"synthetic\-subdural" in text


def test_files_without_a_picture_get_a_message(app: AppTest) -> None:
    text = words(check(app, [("notes.txt", b"nothing", "text/plain")]))
    assert "No CT series or picture was found" in text


def test_without_a_model_the_page_says_so(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_MODELS", str(models / "nowhere"))
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert "No model can be used" in words(app)
    assert "nowhere" in app.error[0].value


def test_a_changed_model_is_refused(models: Path) -> None:
    (models / "cranioscan" / "head.onnx").write_bytes(b"other")
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert "SHA" in words(app)


def test_a_folder_on_the_server_is_read(app: AppTest, tmp_path: Path) -> None:
    phantom.write(phantom.make(BLEED, slices=8, size=128), tmp_path / "study")
    assert "FLAGGED" in words(from_server(app, tmp_path / "study"))


def test_only_the_opened_folder_of_the_server_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phantom.write(phantom.make(BLEED, slices=8, size=128), tmp_path / "study")
    (tmp_path / "open").mkdir()
    monkeypatch.setenv("ICHSCOPE_IMPORT", str(tmp_path / "open"))
    app = AppTest.from_file(APP, default_timeout=60).run()
    for path in (tmp_path / "study", tmp_path / "open" / ".." / "study"):
        assert "cannot be opened" in words(from_server(app, path))


def from_server(app: AppTest, path: Path) -> AppTest:
    app.text_input[0].set_value(str(path)).run()
    next(button for button in app.button if button.label == "Analyse this folder").click()
    return app.run()


def test_the_dashboard_never_loads_a_training_framework() -> None:
    script = f"""
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file({APP!r}, default_timeout=120).run()
next(button for button in app.button if button.label.startswith("Subdural")).click()
app.run()
assert not app.exception, app.exception
assert "results" in app.session_state
print(sorted(set("tensorflow keras torch jax".split()) & set(name.partition(".")[0] for name in sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "[]"


# ---- a study with several series -------------------------------------------------------------------------


def examination() -> list[tuple[str, bytes, str]]:
    """A bone series of a bleed, and a soft-tissue series without one: the latter speaks."""
    study = {"StudyInstanceUID": "1.2.3.4"}
    bone = uploads(folder="e/bone", **study, SeriesInstanceUID="1.2.3.4.1", ConvolutionKernel="H70h")
    soft = uploads(None, "e/soft", **study, SeriesInstanceUID="1.2.3.4.2", ConvolutionKernel="H31s")
    return [*bone, *soft]


def press(app: AppTest, label: str) -> AppTest:
    (button,) = (button for button in app.button if button.label == label)
    return button.click().run()


def test_of_several_series_one_speaks_and_another_is_analysed_and_chosen(app: AppTest) -> None:
    app = check(app, examination())
    (series,) = (box for box in app.selectbox if box.label == "2 series in this study")
    assert series.options == ["Speaks: 8 slices, 5 mm, soft tissue, soft", "8 slices, 5 mm, bone kernel, bone"]
    assert "a bone kernel" in words(app)
    assert "Not flagged" in words(app)
    app = series.set_value(1).run()
    assert "another series speaks for the study" in words(app)
    app = press(app, "Analyse this series")
    assert "FLAGGED - possible haemorrhage" in words(app)
    app = press(app, "Let this series speak for the study")
    (series,) = (box for box in app.selectbox if box.label == "2 series in this study")
    assert series.options[0] == "Speaks: 8 slices, 5 mm, bone kernel, bone"
    assert "Chosen on this page" in words(app)
    (study,) = app.session_state["results"]
    roles = [(entry["role"], entry["name"]) for entry in study.to_json()]
    assert roles == [("speaks for the study", "e/bone"), ("other series", "e/soft")]


def test_new_study_lets_go_of_the_voxels_at_once(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Holding] = []
    monkeypatch.setattr(Holding, "__init__", _noted(Holding.__init__, made))
    check(app, uploads())
    [holding] = made
    assert holding.held_bytes == 8 * 128 * 128 * 2
    gc.disable()  # at once, and not when Python happens to look for cycles
    try:
        next(button for button in app.button if button.label == "New study").click().run()
        assert holding.held_bytes == 0
    finally:
        gc.enable()


def _noted(real: Callable[..., None], made: list[Holding]) -> Callable[..., None]:
    def init(self: Holding, most_mib: int) -> None:
        real(self, most_mib)
        made.append(self)

    return init


def test_more_than_a_page_takes_at_once_is_refused_and_let_go(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_UPLOAD_MB", "1")
    check(app, [("a.dcm", bytes(2 << 20), "application/dicom")])
    assert "Found 2 MB in one upload, expected at most 1." in words(app)
    assert "results" not in app.session_state
