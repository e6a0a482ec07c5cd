"""A Griffe extension: what the code's docstrings say in their own short forms, in the forms of NumPy's style.

Fields named in a line, as "path : of the voxels", become a list, and so do parameters whose line holds their
description in place of a type. What a function returns, in words, becomes a sentence; examples outside a section get
one.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_FIELD = re.compile(r"^([A-Za-z_*][\w*]*(?:, [A-Za-z_*][\w*]*)*) : (.*)$")
_SECTION = re.compile(r"^-{3,}$")


class HouseDocstrings(Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object that has one."""
        if obj.docstring:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    r"""Give a docstring in NumPy's form.

    >>> rewritten("A share.\n\nlow, high : its interval")
    'A share.\n\n- **low, high**: its interval'
    """
    lines = _without_returns(text.splitlines())
    section = next((number for number, line in enumerate(lines) if _SECTION.match(line)), len(lines) + 1) - 1
    prose = [_FIELD.sub(r"- **\1**: \2", line) for line in lines[:section]]
    return "\n".join([*_with_examples(_spaced(prose)), *_described(lines[section:])])


def _without_returns(lines: list[str]) -> list[str]:
    """What is returned, as a sentence before the first section; a type with an indented description stays."""
    at = lines.index("Returns") if "Returns" in lines else len(lines)
    end = next((number for number in range(at, len(lines)) if not lines[number]), len(lines))
    words = lines[at + 2 : end]
    if not words or any(line.startswith(" ") for line in words):
        return lines
    rest = [*lines[:at], *lines[end + 1 :]]
    first = next((number for number, line in enumerate(rest) if _SECTION.match(line)), len(rest) + 1) - 1
    return [*rest[:first], "", f"**Returns** {' '.join(words)}", "", *rest[first:]]


def _spaced(lines: list[str]) -> list[str]:
    """An empty line before each list: Markdown wants one."""
    spaced: list[str] = []
    for line in lines:
        if line.startswith("- **") and spaced and spaced[-1] and not spaced[-1].startswith(("- **", " ")):
            spaced.append("")
        spaced.append(line)
    return spaced


def _with_examples(lines: list[str]) -> list[str]:
    first = next((number for number, line in enumerate(lines) if line.startswith(">>> ")), None)
    return lines if first is None else [*lines[:first], "Examples", "--------", *lines[first:]]


def _described(lines: list[str]) -> list[str]:
    """Parameters whose description stands where NumPy has the type: the description goes to a line of its own."""
    described: list[str] = []
    for line in lines:
        field = _FIELD.match(line)
        described += [field[1], f"    {field[2]}"] if field else [line]
    return described
