"""Text from outside (file names, header values, names of models) made safe for where the pages show it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

NOT_FOR_DIAGNOSIS = "Research use only - not for diagnosis"
_WORD = re.compile(r"[a-z]+([ ?!]|$)")
# What a narrow column must not take apart: an interval, a share, two counts.
_WHOLE = re.compile(r"\([-\d][^()]{0,40}\)|[\d.,]+ %|[\d,]+ / [\d.,]+")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$<>:&])")


def plain(text: str) -> str:
    r"""Escape what Markdown, LaTeX, emoji codes or HTML would take as theirs; line breaks become spaces.

    >>> plain("a_b [x](http://y)")
    'a\\_b \\[x\\]\\(http\\://y\\)'
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def sentence(text: str) -> str:
    """Text as a sentence of its own: a capital first, unless that is a file's name, and a full stop last."""
    text = text.strip()
    if _WORD.match(text):
        text = text[0].upper() + text[1:]
    return f"{text}." if text and not text.endswith((".", "!", "?")) else text


def count(number: int, noun: str, several: str = "") -> str:
    """Number and noun: 1 slice, 32 slices; `several` where the plural has no s."""
    return f"{number} {noun if number == 1 else several or noun + 's'}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], below: str = "") -> str:
    """HTML of a plain table; every cell is escaped."""
    # A header that says nothing is none.
    head = "".join(f"<th>{escape(column)}</th>" if column else "<td></td>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    caption = f"<caption>{escape(below)}</caption>" if below else ""
    return f"<table class='models'>{caption}<tr>{head}</tr>{body}</table>"


def words(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """HTML of a plain table of words, which stand below each other on the left."""
    return f"<div class='words'>{table(columns, rows)}</div>"


def _cell(text: str) -> str:
    return _WHOLE.sub(r"<span class='whole'>\g<0></span>", escape(text))
