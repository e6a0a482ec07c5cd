"""The documentation builds without a warning, its links lead somewhere, and its lists say what the program has."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from markdown.extensions.toc import slugify

from ichscope.access import RIGHTS, Right, Role
from ichscope.commands.cli import app
from ichscope.monitor import RULES
from ichscope.store.tables import Base
from tests.test_layers import LAYERS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MOST_WORDS = 700
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """A Markdown file without its blocks of code."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def links() -> Iterator[tuple[Path, str]]:
    """Links of the Markdown files that are read where they lie; those below docs/ are checked by the build."""
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("models/*/README.md")):
        yield from ((path, link) for link in _LINK.findall(prose(path)) if "://" not in link)


def anchors(path: Path) -> set[str]:
    return {slugify(re.sub(r"[`*]", "", heading), "-") for heading in _HEADING.findall(prose(path))}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("index", "data-model", "decisions/0001-hu-at-the-boundary", "api/metrics"):
        html = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"(https?:[^\"]+)", html)
        assert not loaded, "nothing comes from elsewhere while a page is read"


def test_docstrings_are_rewritten_as_their_examples_say() -> None:
    done = subprocess.run([sys.executable, "-m", "doctest", str(DOCS / "house_docstrings.py")], capture_output=True)
    assert done.returncode == 0, done.stdout


def test_links_of_other_markdown_files_lead_somewhere() -> None:
    dead = []
    for path, link in links():
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(f"{path.relative_to(ROOT)}: {link}")
    assert not dead


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_every_room_is_in_the_architecture() -> None:
    text = page("architecture.md")
    assert not [room for rooms in LAYERS for room in rooms if room and f"`{room}`" not in text]


def test_every_table_is_in_the_data_model() -> None:
    text, drawing = page("data-model.md"), page("data-model.svg")
    assert not [name for name in Base.metadata.tables if f"| `{name}` |" not in text or f">{name}<" not in drawing]


def test_every_command_is_listed() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = page("cli.md")
    assert not [name for name in commands if not re.search(rf"^\| `{name}[ `]", text, re.MULTILINE)]


def test_every_quality_check_is_listed() -> None:
    tree = ast.parse((ROOT / "ichscope/imaging/quality.py").read_text(encoding="utf-8"))
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding"]
    codes = {code.value for node in made if isinstance(code := node.args[1], ast.Constant)}
    assert codes
    assert not [code for code in codes if f"`{code}`" not in page("reading.md")]


def test_every_alert_is_listed() -> None:
    assert not [rule for rule in RULES if f"| `{rule}` |" not in page("monitoring.md")]


def test_every_setting_is_listed() -> None:
    names = {
        name
        for package in ("ichscope", "dashboard", "training")
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r"[\"'](ICHSCOPE_[A-Z_]+)[\"']", path.read_text(encoding="utf-8"))
    }
    assert names
    assert not [name for name in names if f"| `{name}` |" not in page("deployment.md")]


def test_tests_that_security_is_measured_by_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page("security.md"))
    assert named
    sources = {path: (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else "" for path, _ in named}
    assert not [f"{path}::{name}" for path, name in named if f"def {name or 'test_'}" not in sources[path]]


def test_sections_of_security_have_one_of_three_states() -> None:
    rows = re.findall(r"^\| \d.*?\| (.*?) \|", page("security.md"), re.MULTILINE)
    assert len(rows) > 40
    assert {*rows} == {"pass", "fail", "n/a"}


@pytest.mark.parametrize("path", sorted(DOCS.glob("decisions/0*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_three_parts(path: Path) -> None:
    headings = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences"]


def test_the_table_of_rights_is_the_one_that_counts() -> None:
    head, *lines = re.findall(r"^\| (.+) \|$", page("access.md"), re.MULTILINE)
    roles = [Role(name) for name in head.split(" | ")[1:]]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines[1:]]
    told = {role: {row[0] for row in cells if row[column] == "yes"} for column, role in enumerate(roles, 1)}
    assert told == {role: {right.value for right in rights} for role, rights in RIGHTS.items()}
    assert [row[0] for row in cells] == [right.value for right in Right]
