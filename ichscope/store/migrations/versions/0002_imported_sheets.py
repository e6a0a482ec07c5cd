"""Imported files of truth and of predictions as arrays; the rows of `truth` move there."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

LABELS = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")


def upgrade() -> None:
    """Make the tables, and take over what was imported."""
    sheets = op.create_table(
        "sheets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("study_keys", sa.LargeBinary(), nullable=False),
        sa.Column("slice_keys", sa.LargeBinary(), nullable=False),
        sa.Column("patient_keys", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sheets"),
        sa.UniqueConstraint("content", name="uq_sheets_content"),
    )
    voices = op.create_table(
        "voices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sheet_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("studies", sa.Integer(), nullable=False),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.Column("said", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["sheet_id"], ["sheets.id"], name="fk_voices_sheet_id"),
        sa.PrimaryKeyConstraint("id", name="pk_voices"),
    )
    op.create_index("ix_voices_sheet_id", "voices", ["sheet_id"], unique=False)
    found: dict[tuple[str, bool], list[Any]] = {}
    names = ("study_key", "slice_key", "reader", "source", "imported_at", *(f"label_{label}" for label in LABELS))
    truth = sa.table("truth", *map(sa.column, names))
    for row in op.get_bind().execute(sa.select(truth)):
        found.setdefault((row.source, bool(row.slice_key)), []).append(row)
    for (source, by_slice), rows in found.items():
        _move(sheets, voices, source, by_slice, rows)
    op.drop_table("truth")


def _move(sheets: sa.Table, voices: sa.Table, source: str, by_slice: bool, rows: Sequence[Any]) -> None:
    keys = list(dict.fromkeys((row.study_key, row.slice_key) for row in rows))
    sheet = {
        "kind": "truth",
        "name": "imported before",
        "sha256": source,
        "content": f"{source[:-6]}-slice" if by_slice else source,
        "level": "slice" if by_slice else "study",
        "imported_at": max(row.imported_at for row in rows),
        "rows": len(keys),
        "notes": [],
        "study_keys": _keys(key for key, _ in keys),
        "slice_keys": _keys(key for _, key in keys),
        "patient_keys": _keys("" for _ in keys),
    }
    number = op.get_bind().execute(sheets.insert().values(sheet).returning(sheets.c.id)).scalar_one()
    place = {key: i for i, key in enumerate(keys)}
    for reader in dict.fromkeys(row.reader for row in rows):
        own = [row for row in rows if row.reader == reader]
        said = [[np.nan if value is None else float(value) for value in row[-len(LABELS) :]] for row in own]
        places = [place[row.study_key, row.slice_key] for row in own]
        voice = {
            "sheet_id": number,
            "name": reader,
            "version": "",
            "studies": len({row.study_key or row.slice_key for row in own}),
            "thresholds": {},
            "labels": list(LABELS),
            "places": zlib.compress(np.asarray(places, "<i4").tobytes()),
            "said": zlib.compress(np.asarray(said, "<f8").T.tobytes()),
        }
        op.get_bind().execute(voices.insert().values(voice))


def _keys(texts: Any) -> bytes:
    return b"".join(bytes.fromhex(text) if text else bytes(8) for text in texts)
