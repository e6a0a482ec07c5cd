"""A browser keeps what is typed into a field for years, unless the field says that it must not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import dashboard


def _fields() -> Iterator[tuple[str, str]]:
    folder = Path(dashboard.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("text_input"):
                said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                yield f"{path.relative_to(folder)}:{node.lineno}", said.get("autocomplete", "")


def test_no_browser_keeps_what_may_be_a_patients() -> None:
    fields = dict(_fields())
    assert fields
    # The reader's own name alone may be offered again.
    assert set(fields.values()) <= {"'off'", "'name'"}, fields
