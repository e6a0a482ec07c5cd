"""The house rules that no single module can hold: who imports whom, and what is never in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Package -> what it must not import. Files are what passes between packages, never code the wrong way round.
FORBIDDEN = {
    "ichscope": {"training", "export", "dashboard", "benchmarks", "tests", "streamlit", "tensorflow", "keras"},
    "training": {"export", "dashboard", "benchmarks", "tests", "streamlit"},
    "export": {"dashboard", "benchmarks", "tests", "streamlit"},
    "dashboard": {"training", "export", "benchmarks", "tests", "tensorflow", "keras", "torch", "tf2onnx"},
    # What both need is built by tests/support.
    "tests": {"benchmarks"},
}
HEAVY = ("tensorflow", "keras", "torch", "tf2onnx")
LARGEST_FILE = 50 * 2**20


def imported(source: str) -> set[str]:
    """Top-level names of the packages that a module imports anywhere, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@cache
def tracked() -> tuple[Path, ...]:
    """Files that git tracks and that are there."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file())


@cache
def tracked_text() -> dict[str, str]:
    texts = {}
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:8192] and path != Path(__file__):
            texts[path.relative_to(ROOT).as_posix()] = data.decode("utf-8", errors="replace")
    return texts


def loaded_after(code: str) -> set[str]:
    """Top-level modules in memory of a fresh interpreter that ran the code."""
    code += "\nimport sys; print('\\n'.join(sorted(m for m in sys.modules if '.' not in m)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import keras.layers as k", {"keras"}),
        ("def f():\n    from tensorflow.io import gfile", {"tensorflow"}),
        ("from . import keras", set()),
        ("'import keras'", set()),
    ],
)
def test_imported_sees_every_form(source: str, expected: set[str]) -> None:
    assert imported(source) == expected


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    wrong = {
        path.relative_to(ROOT).as_posix(): sorted(found)
        for path in (ROOT / package).rglob("*.py")
        if (found := imported(path.read_text(encoding="utf-8")) & FORBIDDEN[package])
    }
    assert not wrong


def test_tests_mirror_the_packages() -> None:
    packages = {path.parent.name for path in (*ROOT.glob("*/__init__.py"), *ROOT.glob("ichscope/*/__init__.py"))}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}
    assert folders <= packages | {"browser", "support"}


def test_export_takes_only_model_functions_and_names_of_files_from_training() -> None:
    """What a run's files are called is said once, in training; all else that export needs are the models."""
    wrong = {
        f"{path.name}: {node.module}.{alias.name}"
        for path in (ROOT / "export").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "training"
        for alias in node.names
        if not (
            f"{node.module}.{alias.name}".startswith(("training.models", "training.onnx_files")) or alias.name.isupper()
        )
    }
    assert not wrong


def test_command_line_starts_without_heavy_modules() -> None:
    assert not loaded_after("import ichscope.commands.cli") & {
        "numpy",
        "scipy",
        "pydicom",
        "onnxruntime",
        "plotly",
        *HEAVY,
    }


def test_dashboard_process_loads_no_training_library() -> None:
    page = """
from streamlit.testing.v1 import AppTest
at = AppTest.from_file("dashboard/router.py", default_timeout=180).run()
assert not at.exception, at.exception
"""
    modules = loaded_after(page)
    assert "onnxruntime" in modules, "the page did not come as far as the models; this test would prove nothing"
    assert not modules & set(HEAVY)


@pytest.mark.parametrize("file", ["dashboard/router.py", "dashboard/views/study_check.py"])
def test_a_first_page_paints_before_it_imports_much(file: str) -> None:
    """Until something is on the screen only Streamlit, the standard library, plain texts and who acts are loaded."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    painted = next(i for i, one in enumerate(body) if any(_is_painting(node) for node in ast.walk(one)))
    before = {
        alias.name if isinstance(one, ast.Import) else str(one.module)
        for one in body[:painted]
        if isinstance(one, ast.Import | ast.ImportFrom)
        for alias in one.names
    }
    assert {name for name in before if name.partition(".")[0] not in sys.stdlib_module_names} <= {
        *("streamlit", "dashboard", "dashboard.text", "ichscope.access")
    }
    light = loaded_after("import dashboard.text, dashboard.warm_up, dashboard.account, ichscope.access")
    heavy = {"numpy", "pandas", "plotly", "onnxruntime", "scipy", "sqlalchemy", "argon2"}
    assert not (light - loaded_after("import streamlit")) & heavy


def _is_painting(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("title", "run")


def test_repository_holds_no_data_and_no_huge_file() -> None:
    suffixes = {".dcm", ".dicom", ".ima", ".jpg", ".jpeg", ".npz", ".npy", ".nii", ".keras", ".h5", ".pkl"}
    names = [str(p) for p in tracked() if p.suffix.lower() in suffixes]
    large = [str(p) for p in tracked() if p.stat().st_size > LARGEST_FILE]
    # DICOM files need no extension; the magic word stands at byte 128.
    dicom = [str(p) for p in tracked() if p.read_bytes()[128:132] == b"DICM"]
    assert not names + large + dicom


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("package index", r"(?:--(?:extra-)?index-url|--find-links)[ =]\S+://"),
        ("package host", r"https?://[\w.-]*(?:pypi|pythonhosted|npmjs|npm)\.[\w.-]+"),
        ("path of one machine", r"(?<![\w./-])/(?:work|root|home/\w+|Users/\w+)/"),
    ],
)
def test_tracked_files_name_no(what: str, pattern: str) -> None:
    found = {name: hit.group() for name, text in tracked_text().items() if (hit := re.search(pattern, text))}
    assert not found, f"{what}: {found}"
