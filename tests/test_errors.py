"""Every error that the core raises on purpose has one base."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from ichscope.errors import IchscopeError

ROOT = Path(__file__).parents[1]


def public_errors() -> list[tuple[str, str]]:
    """Module and name of every public exception class that the core defines, as its files say it."""
    return sorted(
        (".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), node.name)
        for path in (ROOT / "ichscope").rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error") and not node.name.startswith("_")
    )


def test_all_public_errors_are_found() -> None:
    names = {name for _, name in public_errors()}
    assert names >= {"IchscopeError", "DicomError", "StoreError", "ValueUnfitError", "EvaluationError", "BatchError"}


@pytest.mark.parametrize(("module", "name"), public_errors())
def test_a_public_error_derives_from_the_one_base(module: str, name: str) -> None:
    assert issubclass(getattr(importlib.import_module(module), name), IchscopeError)


def test_the_base_names_every_error_below_it() -> None:
    missing = {name for _, name in public_errors() if f"`{name}`" not in str(IchscopeError.__doc__)}
    assert missing == {"IchscopeError"}
