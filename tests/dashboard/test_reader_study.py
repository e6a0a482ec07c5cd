"""A published reader study as it was published: three readers' columns, a vendor's probabilities, nothing edited.

The shape is that of CQ500 (Chilamkurthy et al., Lancet 2018); names and numbers are made up.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from dashboard import cached
from ichscope.commands.cli import app
from ichscope.evaluation.selection import Selection, load
from ichscope.labels import LABELS
from ichscope.reporting.figures.formatting import label_name
from ichscope.store import Store

SCANS = 491
READ = (
    *("ICH", "IPH", "IVH", "SDH", "EDH", "SAH", "BleedLocation-Left", "BleedLocation-Right", "ChronicBleed"),
    *("Fracture", "CalvarialFracture", "OtherFracture", "MassEffect", "MidlineShift"),
)
JUDGED = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH", "CalvarialFracture", "MassEffect", "MidlineShift")
OURS = dict(zip(("ICH", "EDH", "IPH", "IVH", "SAH", "SDH"), LABELS, strict=True))
NAMES = [f"CQ500-CT-{i}" for i in range(SCANS)]
RANDOM = np.random.default_rng(500)
BLEEDS = RANDOM.random((SCANS, len(READ))) < 0.2
READS = np.stack([BLEEDS ^ (RANDOM.random(BLEEDS.shape) < 0.05) for _ in range(3)])
MAJORITY = {name: READS.sum(axis=0)[:, i] >= 2 for i, name in enumerate(READ)}
# Two decimals, as printed: many scores are equal.
SAID = {
    name: np.round(np.clip(0.25 * MAJORITY[name] + RANDOM.random(SCANS) * 0.75, 0, 1), 2).tolist() for name in JUDGED
}
AUCS = {OURS.get(name, name): roc_auc_score(MAJORITY[name], SAID[name]) for name in JUDGED}


def reads() -> str:
    header = ["name", "Category", *(f"R{reader}:{name}" for reader in (1, 2, 3) for name in READ)]
    rows = [[name, "B1" if i < 214 else "B2", *READS[:, i].ravel().astype(int)] for i, name in enumerate(NAMES)]
    return "\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n"


def probabilities(header: tuple[str, ...] = JUDGED, name: Callable[[str], str] = str, scale: str = "{}") -> str:
    order = np.random.default_rng(1).permutation(SCANS)
    rows = [[name(NAMES[i]), *(scale.format(SAID[one][i]) for one in JUDGED)] for i in order]
    return "\n".join(",".join(map(str, row)) for row in [["name", *header], *rows]) + "\n"


def published() -> str:
    """With the batch of each scan beside its name, whole numbers without a point, and no line end at the end."""
    header, *rows = probabilities(scale="{:g}").splitlines()
    lines = [header.replace("name,", "name,Category_New,"), *(row.replace(",", ",B2,", 1) for row in rows)]
    return "\n".join(lines)


def percent(text: str, sign: str) -> str:
    """The same probabilities from 0 to 100."""
    return re.sub(r",(\d\.\d+)", lambda found: f",{100 * float(found[1]):g}{sign}", text)


def among_others(text: str) -> str:
    """The same between a column of row numbers without a name, as some tools write it, and one of remarks."""
    header, *rows = text.splitlines()
    return "\n".join([f",{header},Remark", *(f"{i},{row},seen" for i, row in enumerate(rows))]) + "\n"


# What sources do to a file: truth, predictions, options of the command.
FORMS: dict[str, tuple[Callable[[], str], Callable[[], str], tuple[str, ...]]] = {
    "as published": (reads, published, ()),
    "without the batches": (reads, probabilities, ()),
    "byte order mark and line ends of Windows": (
        lambda: "\ufeff" + reads().replace("\n", "\r\n"),
        lambda: "\ufeff" + probabilities().replace("\n", "\r\n"),
        (),
    ),
    "semicolons, decimal commas, blanks": (
        lambda: reads().replace(",", " ; "),
        lambda: probabilities().replace(",", " ; ").replace(".", ","),
        (),
    ),
    "tabs and a last separator": (
        lambda: reads().replace(",", "\t").replace("\n", "\t\n"),
        lambda: probabilities().replace(",", "\t").replace("\n", "\t\n"),
        (),
    ),
    "names otherwise": (reads, lambda: probabilities(name=lambda one: one.lower().replace("-", "")), ()),
    "names with blanks": (reads, lambda: probabilities(name=lambda one: f" {one.replace('-', ' ')} "), ()),
    "labels in words": (
        reads,
        lambda: probabilities(
            (
                *("Intracranial Hemorrhage", "Intraparenchymal haemorrhage", "ivh_prob", "P(Subdural hematoma)"),
                *("probability_epidural", "subarachnoid", "calvarial_fracture", "MASSEFFECT", "midline shift"),
            )
        ),
        (),
    ),
    "percent with its sign": (reads, lambda: percent(probabilities(), " %"), ()),
    "percent without it": (reads, lambda: percent(probabilities(), ""), ("--percent",)),
    "numbers of rows and a remark": (reads, lambda: among_others(probabilities()), ()),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    return tmp_path


def write(folder: Path, form: str) -> tuple[Path, Path, tuple[str, ...]]:
    truth, said, options = FORMS[form]
    files = folder / "reads.csv", folder / "prediction_probabilities.csv"
    for file, text in zip(files, (truth(), said()), strict=True):
        file.write_text(text, encoding="utf-8", newline="")
    return *files, options


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def aucs(figures: Any) -> dict[str, float]:
    (model,) = figures["models"].values()
    return {label: found["auc"]["value"] for label, found in model["labels"].items()}


@pytest.mark.parametrize("form", FORMS)
def test_nine_aucs_of_two_files(form: str, tmp_path: Path) -> None:
    truth, said, options = write(tmp_path, form)
    said_of_it = run("evaluate", "--truth", truth, "--predictions", said, "--json", tmp_path / "found.json", *options)
    for label, auc in AUCS.items():
        shown = label_name(label).partition("(")[2].removesuffix(")") or label_name(label)
        assert re.search(rf"{re.escape(shown)} .* {auc:.4f} \(", said_of_it, re.IGNORECASE), label
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert aucs(found) == pytest.approx(AUCS, abs=1e-12)
    assert list(aucs(found))[: len(LABELS)] == list(LABELS)
    (model,) = found["models"].values()
    assert model["matched"] == SCANS
    others = "BleedLocation-Left, BleedLocation-Right, ChronicBleed, Fracture, OtherFracture"
    assert f"only reads.csv has {others}" in found["notes"]


@pytest.mark.parametrize("form", ["as published", "names otherwise", "percent without it"])
def test_nine_aucs_of_the_store(form: str, home: Path) -> None:
    truth, said, options = write(home, form)
    assert f"{SCANS} studies" in run("import-truth", truth)
    assert f"{SCANS} studies" in run("import-predictions", said, *options)
    with closing(Store.open()) as store:
        evaluation_set = load(store, Selection("import:1", ("import:2:model",)))
    assert evaluation_set.names() == {"import:2:model": "prediction_probabilities.csv"}
    assert set(evaluation_set.truth) == set(AUCS)
    model = evaluation_set.models["import:2:model"]
    found = {label: roc_auc_score(evaluation_set.truth[label], said) for label, said in model.probability.items()}
    assert found == pytest.approx(AUCS, abs=1e-12)


def test_the_report_has_the_nine_aucs(home: Path) -> None:
    truth, said, _ = write(home, "as published")
    run("import-truth", truth)
    run("import-predictions", said)
    run("report", "--output", home / "report.html", "--tables", home / "tables", "--date", "today")
    assert aucs(json.loads((home / "tables/figures.json").read_text(encoding="utf-8"))) == pytest.approx(AUCS)
    with (home / "tables/figures.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["Label"]: float(row["AUC"]) for row in csv.DictReader(file)}
    assert rows == pytest.approx({label_name(label): auc for label, auc in AUCS.items()})
    page = (home / "report.html").read_text(encoding="utf-8")
    for label, auc in AUCS.items():
        assert re.search(
            rf"<td class='text'>{re.escape(label_name(label))}</td>(<td[^>]*>[^<]*</td>){{3}}[^0]*{auc:.3f}", page
        )


@pytest.fixture
def opened(home: Path) -> Iterator[Store]:
    cached.store.clear()
    yield cached.store()
    cached.store().close()
    cached.store.clear()


def test_the_page_has_the_nine_aucs(opened: Store, home: Path) -> None:
    truth, said, _ = write(home, "names otherwise")
    run("import-truth", truth)
    run("import-predictions", said)
    page = AppTest.from_file(str(Path(__file__).parents[2] / "dashboard/views/performance.py"), default_timeout=60)
    page.session_state["performance-tabs"] = "All labels"
    page.run()
    assert not page.exception, page.exception
    text = unescape(re.sub(r"<[^>]+>", " ", " ".join(one.proto.body for one in page.get("html"))))
    for label, auc in AUCS.items():
        assert re.search(rf"{re.escape(label_name(label))}\s+\d+\s+\d+\s+0\s+{auc:.3f} ", text), label


def test_names_that_only_separators_keep_apart_are_taken_as_they_are(home: Path) -> None:
    (home / "t.csv").write_text("name,ICH\nA-1,1\nA1,0\nB,0\n")
    (home / "p.csv").write_text("name,ICH\nA1,0.2\nA-1,0.7\nB,0.1\n")
    run("evaluate", "--truth", home / "t.csv", "--predictions", home / "p.csv", "--json", home / "found.json")
    assert aucs(json.loads((home / "found.json").read_text())) == {"any": 1.0}


def test_predictions_that_are_percent_are_not_guessed_to_be(home: Path) -> None:
    truth, said, _ = write(home, "percent without it")
    done = CliRunner().invoke(app, ["evaluate", "--truth", str(truth), "--predictions", str(said)])
    assert done.exit_code == 2
    assert "expected a probability from 0 to 1" in done.stderr
    assert "--percent" in done.stderr
