"""The layers of the core: imports go down, never up, never sideways, and nowhere in a circle."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support.import_graph import circle, import_graph, modules

ROOT = Path(__file__).parents[1]

# The rooms of `ichscope`, the highest first. A room may import rooms of lower layers only: none of its own layer.
LAYERS = (
    ("cli",),
    ("commands",),
    ("reporting", "pacs"),
    ("evaluation", "monitor", "batch", "escalation"),
    ("tabular", "hl7"),
    ("store",),
    ("analyse", "objects", "deidentify"),
    ("results", "models"),
    ("imaging", "metrics", "phantom", "access"),
    # "" is `ichscope` itself, which says the version
    ("labels", "levels", "home", "atomic", "markdown", "settings_file", "backoff", "tls", ""),
    ("errors",),
    ("texts",),
)


@cache
def graph() -> dict[str, set[str]]:
    return import_graph(modules(ROOT, ("ichscope", "dashboard", "training", "export")))


def room(module: str) -> str:
    """The room of a module, as "store" of "ichscope.store.rows"."""
    return module.partition(".")[2].partition(".")[0]


def layer(module: str) -> int:
    return next(height for height, rooms in enumerate(reversed(LAYERS)) if room(module) in rooms)


def core() -> list[str]:
    return [module for module in graph() if module.split(".")[0] == "ichscope"]


def test_every_room_of_the_core_has_its_layer() -> None:
    rooms = [name for rooms in LAYERS for name in rooms]
    assert sorted(rooms) == sorted({room(module) for module in core()})


def broken(rule: Callable[[str, str], bool]) -> set[tuple[str, str]]:
    """Imports that a rule forbids."""
    return {(module, target) for module, targets in graph().items() for target in targets if rule(module, target)}


def test_imports_in_the_core_go_down() -> None:
    inside = set(core())

    def rises(module: str, target: str) -> bool:
        return {module, target} <= inside and room(target) != room(module) and layer(target) >= layer(module)

    assert not broken(rises)


def test_nothing_but_commands_imports_commands() -> None:
    assert not broken(lambda module, target: room(target) == "commands" and room(module) not in ("commands", "cli"))


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert not circle(graph())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b", {"a.b"}),
        ("from a import b", {"a.b"}),
        ("from a import something", {"a"}),
        ("def f():\n    from a.b import c", {"a.b"}),
        ("if TYPE_CHECKING:\n    import a", {"a"}),
        ("from . import b", {"a.b"}),
        ("from .b import c", {"a.b"}),
        ("import numpy", set()),
        ("'import a'", set()),
    ],
)
def test_the_graph_sees_every_form(tmp_path: Path, source: str, expected: set[str]) -> None:
    files = {"a": "", "a.b": "", "a.c": source}
    (tmp_path / "a").mkdir()
    for name, text in files.items():
        path = tmp_path / "a" / ("__init__.py" if name == "a" else f"{name[2:]}.py")
        path.write_text(text, encoding="utf-8")
    assert import_graph(modules(tmp_path, ["a"]))["a.c"] == expected


def test_a_circle_is_named() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert not circle({"a": {"b"}, "b": set()})
