"""The list of parts names what runs ICHScope, and every licence that is not permissive is known."""

import json
from pathlib import Path

import pytest

from deploy import sbom

ROOT = Path(__file__).parents[2]
# Not permissive, and looked at: used as they are, each in files of its own that anybody can exchange.
KNOWN = {"certifi": "MPL-2.0", "pathspec": "MPL-2.0", "psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files; that they are CycloneDX is checked while they are written."""
    folder = tmp_path_factory.mktemp("sbom")
    sbom.main(folder)
    return folder


def test_packages_and_models_of_the_program_are_listed_and_no_others(written: Path) -> None:
    bom = json.loads((written / "sbom.cdx.json").read_text(encoding="utf-8"))
    versions = {part["name"].lower(): part["version"] for part in bom["components"]}
    assert {"numpy", "streamlit", "onnxruntime-gpu", "cranioscan", "cerebroscan"} <= versions.keys()
    assert not {"tensorflow", "pytest", "ruff", "ichscope"} & versions.keys()
    assert f"numpy=={versions['numpy']} " in (ROOT / "requirements-run.lock").read_text(encoding="utf-8")
    assert bom["metadata"]["component"]["name"] == "ichscope"
    known = {part["bom-ref"] for part in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
    assert {ref for edge in bom["dependencies"] for ref in (edge["ref"], *edge.get("dependsOn", ()))} <= known


def test_models_are_listed_with_the_hashes_of_their_files() -> None:
    (model,) = [part for part in sbom.model_components(ROOT / "models") if part["name"] == "cranioscan"]
    card = json.loads((ROOT / "models/cranioscan/card.json").read_text(encoding="utf-8"))
    assert {part["name"]: part["hashes"][0]["content"] for part in model["components"]} == card["sha256"]


def test_licences_that_are_not_permissive_are_known(written: Path) -> None:
    report = (written / "licences.md").read_text(encoding="utf-8")
    first, _, everything = report.partition("## All")
    rows = [line.strip("| ").split(" | ") for line in first.splitlines() if line.startswith("| ")][2:]
    assert {name: licence for name, _, licence in rows} == KNOWN
    assert not [line for line in everything.splitlines() if line.endswith("|  |")], "every package declares something"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["MIT"], True),
        (["BSD-3-Clause AND 0BSD AND MIT"], True),
        (["(Apache-2.0 OR BSD-2-Clause)"], True),
        (["MIT", "MPL-2.0"], False),
        (["GPL-3.0-only WITH Classpath-exception-2.0"], False),
        (["Some licence of our own"], False),
        ([], False),
    ],
)
def test_permissive_is_what_is_on_the_list(names: list[str], expected: bool) -> None:
    assert sbom.permissive(names) is expected


def test_another_version_than_the_locks_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "other.lock"
    lock.write_text("numpy==1.0 \\\n    --hash=sha256:00\n")
    with pytest.raises(SystemExit, match=r"not installed as other\.lock has them: numpy"):
        sbom.wanted(lock)
