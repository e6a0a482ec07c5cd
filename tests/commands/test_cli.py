from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ichscope import __version__, phantom
from ichscope.commands.cli import app
from tests.support import tiny_model

BROKEN = b"this is a text, not a scan"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in") / "study"
    phantom.write(phantom.make("subdural", slices=8, size=128), folder)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def analyse(models: Path):
    def call(*arguments: object) -> Result:
        return run("analyse", "--models-folder", models, "--provider", "cpu", *arguments)

    return call


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_version(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (0, f"ichscope {__version__}\n")


def test_help_says_what_the_exit_codes_mean() -> None:
    text = run("analyse", "--help").stdout
    assert "Exit code" in text
    for code in "0123":
        assert f"\n    {code}  " in text


def test_a_study_becomes_table_json_and_csv(analyse, study: Path, tmp_path: Path) -> None:
    result = analyse(study, "--json", tmp_path / "out.json", "--csv", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    assert "cranioscan" in result.stdout
    assert "not for diagnosis" in result.stdout
    (entry,) = json.loads((tmp_path / "out.json").read_text())
    assert set(entry) >= {"study", "series", "status", "reasons", "slices", "models"}
    assert entry["slices"] == 8
    model = entry["models"]["cranioscan"]
    assert set(model) >= {
        "version", "provider", "seconds", "flagged", "threshold", "probability", "per_slice"
    }  # fmt: skip
    assert len(model["per_slice"]) == 8
    assert set(model["per_slice"][0]) == {"file", "sop", "position_mm", "probability"}
    assert set(model["per_slice"][0]["probability"]) == set(model["probability"])
    (row,) = csv.DictReader((tmp_path / "out.csv").read_text().splitlines())
    assert (row["series"], row["status"]) == (entry["series"], entry["status"])
    assert float(row["probability_any"]) == pytest.approx(model["probability"]["any"], abs=1e-4)


@pytest.mark.parametrize(("option", "first"), [("--json", "["), ("--csv", "name,")])
def test_stdout_holds_only_what_was_asked_for(analyse, study: Path, option: str, first: str) -> None:
    result = analyse(study, option, "-")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(first)
    if option == "--json":
        json.loads(result.stdout)
    else:
        assert len(list(csv.reader(io.StringIO(result.stdout)))) == 2
    assert "not for diagnosis" in result.stderr


@pytest.mark.parametrize(
    ("good", "bad", "code"), [(True, False, 0), (True, True, 3), (False, True, 1), (False, False, 1)]
)
def test_exit_code_says_how_many_could_be_analysed(
    analyse, study: Path, tmp_path: Path, good: bool, bad: bool, code: int
) -> None:
    if good:
        (tmp_path / "in" / "good").mkdir(parents=True)
        for file in study.iterdir():
            (tmp_path / "in" / "good" / file.name).write_bytes(file.read_bytes())
    if bad:
        (tmp_path / "in" / "bad").mkdir(parents=True)
        (tmp_path / "in" / "bad" / "scan.dcm").write_bytes(BROKEN)
    (tmp_path / "in").mkdir(exist_ok=True)
    result = analyse(tmp_path / "in", "--json", tmp_path / "out.json")
    assert result.exit_code == code, result.output
    entries = json.loads((tmp_path / "out.json").read_text())
    assert [e["status"] == "not analysed" for e in entries].count(True) == bad
    assert len(entries) == good + bad
    assert all(e["reasons"] for e in entries if e["status"] == "not analysed")
    if bad:
        assert "scan.dcm" in result.stdout
    if not entries:
        assert "Found nothing" in result.stdout


def test_a_zip_is_read_like_its_folder(analyse, study: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for file in study.iterdir():
            archive.write(file, f"study/{file.name}")
    result = analyse(tmp_path / "study.zip", "--json", "-")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["slices"] == 8


def test_terminal_commands_in_a_file_name_are_not_shown(analyse, tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m[bold].dcm").write_bytes(BROKEN)
    result = analyse(tmp_path)
    assert "\x1b" not in result.stdout
    assert "[bold]" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        ([".", "--json", "nowhere/out.json"], "nowhere/out.json"),
        ([".", "--csv", "."], "expected a file"),
        ([".", "--json", "-", "--csv", "-"], "only one"),
        ([".", "--model", "nonesuch"], "nonesuch"),
        ([".", "--models-folder", "nowhere"], "nowhere"),
        ([".", "--provider", "abacus"], "abacus"),
        ([], "PATH"),
    ],
)
def test_wrong_use_is_said_before_any_work(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("analyse", "--models-folder", models, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_changed_model_is_refused(models: Path, study: Path, tmp_path: Path) -> None:
    folder = tiny_model.build(tmp_path, name="cranioscan")
    with (folder / "head.onnx").open("ab") as file:
        file.write(b"\0")
    result = run("analyse", "--models-folder", tmp_path, study)
    assert result.exit_code == 2
    assert "SHA-256" in result.stderr


def test_providers_that_are_there_end_with_the_one_that_always_is(models: Path) -> None:
    result = run("providers", "--models-folder", models)
    assert result.exit_code == 0, result.output
    listed = result.stdout.partition("To be had")[2].splitlines()[1:]
    there = [line for line in listed if "not here: " not in line]
    assert there[-1].split() == ["cpu", "CPU", "fp32"]
    assert listed[: len(there)] == there
    assert {line.split()[0] for line in listed} >= {"tensorrt", "cuda", "openvino", "cpu"}


def test_providers_say_what_was_tried_and_why_it_was_chosen(models: Path) -> None:
    said = run("providers", "--models-folder", models).stdout
    assert re.search(r"^cranioscan: .*, \d+ slices at a time; the (fastest|only) ", said, re.MULTILINE)
    assert re.search(r"^  CPU fp32 +\d+ slices/s$", said, re.MULTILINE)
    assert "onnxruntime" in said
    assert run("providers", "--models-folder", models).stdout == said, "measured once"


def test_providers_of_a_folder_without_models(tmp_path: Path) -> None:
    result = run("providers", "--models-folder", tmp_path)
    assert result.exit_code == 2
    assert "at least one model" in result.stderr


def test_phantom_writes_a_study_that_can_be_analysed(analyse, tmp_path: Path) -> None:
    result = run("phantom", tmp_path / "new" / "study", "--bleed", "epidural", "--seed", 3, "--slices", 6)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "new" / "study").iterdir())) == 6
    assert analyse(tmp_path / "new").exit_code == 0


@pytest.mark.parametrize("arguments", [["--bleed", "unheard-of"], ["--slices", "0"], ["--seed", "-1"]])
def test_phantom_refuses_wrong_use(tmp_path: Path, arguments: list[str]) -> None:
    result = run("phantom", tmp_path / "study", *arguments)
    assert result.exit_code == 2
    assert not (tmp_path / "study").exists()


def test_phantom_does_not_mix_with_files_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    result = run("phantom", tmp_path)
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert len(list(tmp_path.iterdir())) == 1


def test_results_are_written_as_fhir(analyse, study: Path, tmp_path: Path) -> None:
    result = analyse(study, "--fhir", tmp_path / "fhir")
    assert result.exit_code == 0
    (file,) = (tmp_path / "fhir").iterdir()
    (report,) = (
        entry["resource"]
        for entry in json.loads(file.read_text())["entry"]
        if entry["resource"]["resourceType"] == "DiagnosticReport"
    )
    assert report["subject"]["identifier"]["value"].startswith("PHANTOM-")
    assert file.stem not in report["subject"]["identifier"]["value"]
    (tmp_path / "a file").write_bytes(b"")
    assert analyse(study, "--fhir", tmp_path / "a file" / "fhir").exit_code == 2
