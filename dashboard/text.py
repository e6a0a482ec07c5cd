"""Text from outside (file names, header values) made safe for where the pages show it."""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$<>:&])")


def plain(text: str) -> str:
    r"""Escape what Markdown, LaTeX, emoji codes or HTML would take as theirs; line breaks become spaces.

    >>> plain("a_b [x](http://y)")
    'a\\_b \\[x\\]\\(http\\://y\\)'
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def count(number: int, noun: str) -> str:
    """Number and noun: 1 slice, 32 slices."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
