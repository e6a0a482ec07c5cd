"""Names and texts that no encoding can say: nothing is lost to them, on any way out."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ichscope import phantom, results
from ichscope.atomic import write_text
from ichscope.commands.cli import app
from ichscope.commands.shared import speak_any_text
from ichscope.imaging.intake import collect
from ichscope.imaging.source import Source
from ichscope.imaging.sources import Rejected
from ichscope.phantom import datasets, to_bytes
from ichscope.texts import json_text, normal, writable
from tests.support import tiny_model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Schädel", "Schädel"),
        ("頭部", "頭部"),
        ("\U0001f9e0", "\U0001f9e0"),
        ("Sch\udce4del", r"Sch\xe4del"),
        ("\udcff\udc80", r"\xff\x80"),
        ("half \ud83d", r"half \ud83d"),
        ("other half \ude00", r"other half \ude00"),
        ("low \udc41", r"low \udc41"),
    ],
)
def test_whatever_a_text_holds_it_can_be_written(text: str, expected: str) -> None:
    assert writable(text) == expected
    assert json.loads(json_text([text]).encode()) == [expected]
    assert results.json_text([{"name": text}]).encode()
    assert next(csv.DictReader(io.StringIO(results.csv_text([{"name": text}]))))["name"] == expected
    assert (Source(text, data=b"").name, Rejected(text, "").name) == (expected, expected)


def test_a_file_is_written_whatever_its_text(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Sch\udce4del, Schädel")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == r"Sch\xe4del, Schädel"


@pytest.mark.parametrize(
    "written",
    ["Pru\u0308fung", "Prüfung", "Prüfung\u200b", "\ufeffPrüfung", "Pr\u00adüfung"],
)
def test_what_looks_alike_is_alike(written: str) -> None:
    assert normal(written) == "Prüfung"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("models")).parent


def analyse(models: Path, *arguments: object) -> Result:
    options = ("--models-folder", models, "--provider", "cpu", *arguments)
    return CliRunner().invoke(app, ["analyse", *map(str, options)])


def write_old_cd(folder: Path, form: bytes) -> None:
    """A study whose files have names as an old CD wrote them, with %d for the number."""
    (folder / os.fsdecode(form)).parent.mkdir(parents=True)
    for number, dataset in enumerate(datasets(phantom.make(None, seed=1, slices=6, size=64))):
        (folder / os.fsdecode(form % number)).write_bytes(to_bytes(dataset))


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        (b"old/Sch\xe4del_%d.dcm", r"old"),
        (b"Sch\xe4del/IM%d.dcm", r"Sch\xe4del"),
        (b"\x93\xaa\x95\x94/IM%d", r"\x93\xaa\x95\x94"),
        (b"old/M\xfcller \xdf/IM%d.dcm", r"M\xfcller \xdf"),
    ],
)
def test_names_of_an_old_cd_lose_no_result(models: Path, tmp_path: Path, form: bytes, shown: str) -> None:
    phantom.write(phantom.make("subdural", seed=3, slices=6, size=64), tmp_path / "in" / "new")
    write_old_cd(tmp_path / "in", form)
    result = analyse(models, tmp_path / "in", "--json", tmp_path / "out.json", "--csv", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    assert "2 studies" in result.output
    entries = json.loads((tmp_path / "out.json").read_bytes())
    assert len(entries) == 2
    assert any(shown in entry["name"] for entry in entries)
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["name"] for row in rows} == {entry["name"] for entry in entries}


def test_a_damaged_file_with_such_a_name_is_named(models: Path, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"Sch\xe4del.dcm")).write_bytes(b"no image")
    (rejected,) = collect([tmp_path]).rejected
    assert rejected.name.endswith(r"Sch\xe4del.dcm")
    analyse(models, tmp_path, "--csv", tmp_path / "out.csv")
    assert r"Sch\xe4del.dcm" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_a_terminal_that_knows_few_letters_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    speak_any_text()
    sys.stdout.write("Schädel \ud83d\n")
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == rb"Sch\xe4del \ud83d" + b"\n"  # type: ignore[attr-defined]


def test_a_file_that_cannot_be_written_costs_no_other(models: Path, tmp_path: Path) -> None:
    phantom.write(phantom.make("subdural", slices=6, size=64), tmp_path / "in")
    closed = Path("/dev/full")
    if not closed.exists():
        pytest.skip("no device that is always full")
    result = analyse(models, tmp_path / "in", "--csv", closed, "--json", tmp_path / "out.json")
    assert result.exit_code == 2
    assert "could not be written" in result.stderr
    assert "1 study" in result.stdout
    assert len(json.loads((tmp_path / "out.json").read_bytes())) == 1
