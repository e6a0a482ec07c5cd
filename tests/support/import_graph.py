"""Who imports whom among the modules of the repository, read from their text and not by running them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


def modules(root: Path, packages: Iterable[str]) -> dict[str, Path]:
    """Dotted name -> file of every module of some packages; a package's name is its `__init__.py`."""
    files = (path for package in packages for path in sorted((root / package).rglob("*.py")))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def import_graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Module -> modules it imports anywhere: at the top, inside functions, and for types alone."""
    return {name: _imported(path.read_text(encoding="utf-8"), name, files) for name, path in files.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another in a circle, each the next; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _imported(source: str, module: str, known: Mapping[str, Path]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, known)
            # `from package import name` means the module of that name where there is one, else the package itself.
            names |= {full if (full := f"{base}.{alias.name}") in known else base for alias in node.names}
    return names & known.keys()


def _absolute(node: ast.ImportFrom, module: str, known: Mapping[str, Path]) -> str:
    if not node.level:
        return node.module or ""
    own = module.split(".") + (["__init__"] if known[module].name == "__init__.py" else [])
    return ".".join([*own[: -node.level], *([node.module] if node.module else [])])
