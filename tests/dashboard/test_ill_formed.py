"""Files of truth and of predictions that cannot be used, by every way in: file, line, found and expected are named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from dashboard import cached
from ichscope.commands.cli import app
from ichscope.store import Store

VIEW = str(Path(__file__).parents[2] / "dashboard/views/performance.py")
Case = tuple[str | bytes, str, str]
TRUTH = "study,any,subdural\nA,1,0\nB,0,0\nC,1,1\nD,0,0\n"
SAID = "study,any,subdural\nA,0.9,0.1\nB,0.2,0.1\nC,0.8,0.7\nD,0.1,0.3\n"
RESULT = '[{"study": "A", "series": "s", "models": {"m": {"probability": %s, "per_slice": []}}}]'

# What is wrong: the file's text or bytes, the place that is named, and what is said to be there.
BOTH = {
    "separated by something else": (TRUTH.replace(",", "|"), "line 1", "one column, 'study|any|subdural'"),
    "a row separated by something else": (TRUTH.replace("B,0,0", "B;0;0"), "line 3", "1 cells"),
    "no column of studies": (TRUTH.replace("study", "case number"), "line 1", "the columns case number, any"),
    "no column of labels": ("study,colour\nA,red\nB,blue\n", "line 1", "no label"),
    "a label twice": (TRUTH.replace("subdural", "any"), "line 1", "the column 'any' twice"),
    "a label by two names": (TRUTH.replace("subdural", "ICH"), "line 1", "the columns 'any' and 'ICH'"),
    "an empty file": ("", "line 1", "nothing"),
    "blank lines": ("\n\n\n", "line 1", "nothing"),
    "a header alone": ("study,any\n", "line 1", "a header without rows"),
    "one column": ("study\nA\n", "line 1", "one column, 'study'"),
    "UTF-16": (TRUTH.encode("utf-16"), "line 1", "a text in UTF-16"),
    "UTF-16 that does not say so": (TRUTH.encode("utf-16-le"), "line 1", "bytes that are no UTF-8 text"),
    "Latin-1": ("study,any\nA,1\nMüller,0\n".encode("latin-1"), "line 3", "bytes that are no UTF-8 text"),
    "binary": (bytes(range(256)) * 9, "line 1", "bytes that are no UTF-8 text"),
    "an Excel workbook": (b"PK\3\4\x14\0\6\0" + bytes(200), "line 1", "an Excel workbook or a ZIP"),
    "a byte 0": (TRUTH.replace("B", "\0"), "line 3", "bytes that are no UTF-8 text"),
    "too few cells": (TRUTH.replace("B,0,0", "B,0"), "line 3", "2 cells"),
    "too many cells": (TRUTH.replace("B,0,0", "B,0,0,0"), "line 3", "4 cells"),
    "a quote that is not closed": (TRUTH.replace("B,0,0", '"B,0,0'), "line 5", "no CSV"),
    "no name of a study": (TRUTH.replace("B,0,0", ",0,0"), "line 3", "study: found ''"),
    "no end of a cell": ("study,any\n" + 200_000 * "A" + ",1\nB,0\n", "line 2", "no CSV"),
}
OF_TRUTH = {
    "a study twice, differently": (TRUTH + "A,0,0\n", "line 6", "any: found '0'"),
    "a number that is no truth": (TRUTH.replace("C,1", "C,2"), "line 4", "any: found '2'"),
    "a word": (TRUTH.replace("C,1", "C,maybe"), "line 4", "any: found 'maybe'"),
    "a probability": (TRUTH.replace("C,1", "C,0.5"), "line 4", "any: found '0.5'"),
    "a negative number": (TRUTH.replace("C,1", "C,-1"), "line 4", "any: found '-1'"),
    "infinity": (TRUTH.replace("C,1", "C,inf"), "line 4", "any: found 'inf'"),
}
OF_PREDICTIONS = {
    "a study twice, differently": (SAID + "A,0.3,0.1\n", "line 6", "any: found '0.3'"),
    "more than 1": (SAID.replace("0.8", "1.2"), "line 4", "any: found '1.2'"),
    "percent without a sign": (SAID.replace("0.8", "80"), "line 4", "any: found '80'"),
    "less than 0": (SAID.replace("0.8", "-0.1"), "line 4", "any: found '-0.1'"),
    "infinity": (SAID.replace("0.8", "inf"), "line 4", "any: found 'inf'"),
    "a word": (SAID.replace("0.8", "high"), "line 4", "any: found 'high'"),
    "decimal commas between commas": (SAID.replace(".", ","), "line 2", "5 cells"),
    "a threshold that is none": ("study,any,threshold\nA,0.9,nan\nB,0.2,nan\n", "line 2", "threshold: found 'nan'"),
}
JSON = {
    "no JSON": ("[{", "", "no JSON"),
    "no list": ("{}", "", "no list"),
    "no result": ("[{}]", "entry 1", "no 'models'"),
    "probabilities that are none": (RESULT % '"high"', "entry 1", "something else"),
    "a probability that is none": (RESULT % '{"any": 1.2}', "entry 1", "any: found '1.2'"),
    "without end": ("[" * 100_000, "", "no JSON"),
    "bytes": (b"\xff\xfe[]", "", "no JSON"),
}
CASES = [
    *(("truth", name, "csv", case) for name, case in (BOTH | OF_TRUTH).items()),
    *(("predictions", name, "csv", case) for name, case in (BOTH | OF_PREDICTIONS).items()),
    *(("predictions", name, "json", case) for name, case in JSON.items()),
]
# A page takes a second to start.
ON_THE_PAGE = {
    *("separated by something else", "no column of studies", "a label twice", "an empty file", "a header alone"),
    *("UTF-16", "binary", "too few cells", "no name of a study", "a study twice, differently", "a word"),
    *("more than 1", "a threshold that is none", "no JSON", "a probability that is none"),
}


def each(cases: list[tuple[str, str, str, Case]]) -> pytest.MarkDecorator:
    ids = [f"{kind}: {name}" for kind, name, _, _ in cases]
    return pytest.mark.parametrize(("kind", "kept", "case"), [(one[0], *one[2:]) for one in cases], ids=ids)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    return tmp_path


def data(case: Case) -> bytes:
    return case[0] if isinstance(case[0], bytes) else case[0].encode()


def expect(said: str, name: str, case: Case) -> None:
    """File, line, found and expected stand in what is said."""
    _, place, found = case
    assert name in said
    assert place in said
    assert (found if ": found " in found else f"found {found}") in said
    assert "expected" in said
    assert "Traceback" not in said


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@each(CASES)
def test_evaluate_says_what_is_wrong(home: Path, kind: str, kept: str, case: Case) -> None:
    files = {"truth": home / "good.csv", "predictions": home / "good.csv"} | {kind: home / f"bad.{kept}"}
    files[kind].write_bytes(data(case))
    (home / "good.csv").write_text(SAID if kind == "truth" else TRUTH)
    out = home / "figures.json"
    code, said = run("evaluate", "--truth", files["truth"], "--predictions", files["predictions"], "--json", out)
    assert code == 2
    expect(said, f"bad.{kept}", case)
    assert not out.exists()


@each(CASES)
def test_nothing_of_it_is_imported(home: Path, kind: str, kept: str, case: Case) -> None:
    file = home / f"bad.{kept}"
    file.write_bytes(data(case))
    code, said = run(f"import-{kind}", file)
    assert code == 2
    expect(said, file.name, case)
    assert "Nothing was imported." in run("imports")[1]


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    cached.store.clear()
    yield cached.store()
    cached.store().close()
    cached.store.clear()


@each([one for one in CASES if one[1] in ON_THE_PAGE])
def test_the_page_says_what_is_wrong(store: Store, kind: str, kept: str, case: Case) -> None:
    page = AppTest.from_file(VIEW, default_timeout=60).run()
    page.segmented_control(key="performance-kind").set_value(kind).run()
    page.file_uploader(key="performance-file").set_value((f"bad.{kept}", data(case), "text/csv")).run()
    for one in page.button:
        if one.label == "Import":
            one.click().run()
            break
    assert not page.exception
    (error,) = page.error
    said = re.sub(r"\\(.)", r"\1", error.value)
    assert "Nothing was imported" in said
    expect(said, f"bad.{kept}", case)
    assert not store.imported.tables()


def test_what_fits_nothing_is_named_with_both_files(home: Path) -> None:
    (home / "truth.csv").write_text("study,any\nX,1\nY,0\n")
    (home / "said.csv").write_text(SAID)
    code, said = run("evaluate", "--truth", home / "truth.csv", "--predictions", home / "said.csv")
    assert code == 2
    expected = "truth.csv and said.csv: found 2 rows of truth (first: 'X') and 4 of predictions (first: 'A'), none of"
    assert expected in said


@pytest.mark.parametrize("kind", ["truth", "predictions"])
def test_what_only_looks_ill_is_read(home: Path, kind: str) -> None:
    text = TRUTH if kind == "truth" else SAID
    odd = {
        "mark": "\ufeff" + text,
        "old": text.replace("\n", "\r"),
        "remarks": "\n".join(f"{line},{'x' if i else 'remark'}" for i, line in enumerate(text.splitlines())),
        "again": text + text.splitlines()[1] + "\n",
        "unknown": text.replace("D,0", "D,NaN") if kind == "truth" else text.replace("D,0.1", "D,NaN"),
    }
    for name, form in odd.items():
        (home / f"{name}.csv").write_text(form, newline="")
        code, said = run(f"import-{kind}", home / f"{name}.csv")
        assert (code, "4 studies" in said) == (0, True), said
    assert "Note: not read as labels: remark" in run(f"import-{kind}", home / "remarks.csv")[1]


def test_truth_that_says_nothing_is_no_truth(home: Path) -> None:
    (home / "bad.csv").write_text("study,any\nA,\nB,\n")
    code, said = run("import-truth", home / "bad.csv")
    assert (code, "bad.csv: found no row with a truth, expected some" in said) == (2, True)
