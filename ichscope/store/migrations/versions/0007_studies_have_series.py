"""A study has one or more series: what was a row of `studies` becomes a series, and those of one examination one study.

Series keep the numbers of the old rows, so that volumes, results and pending items go on; a study gets the smallest
number of its series. Nothing is left out: reviews of several series of an examination become reviews of the study.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import groupby, islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from ichscope.imaging.kernels import is_soft_tissue
from ichscope.imaging.series import SeriesFacts
from ichscope.imaging.speaker import speaker
from ichscope.store.reviews import summarise

revision = "0007"
down_revision = "0006"

LABELS = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
OLD = ("job_items", "reviews", "results", "findings", "volumes", "voices", "sheets", "studies")
_AT_ONCE = 500
# Eight zero bytes a row.
_NO_KEYS = {"sqlite": 'zeroblob(8 * "rows")', "postgresql": "decode(repeat('00', 8 * \"rows\"), 'hex')"}
# Facts of a header that a study takes from the series that speaks for it.
_FACTS = (
    *("slices", "age_years", "sex", "manufacturer", "scanner", "institution", "kvp", "slice_thickness_mm", "kernel"),
)
_OF_SPEAKER = (
    *("status", *_FACTS, "models", "priority", "score", "rank"),
    *(f"model_{label}" for label in LABELS),
)
_OF_READERS = (
    *("reviews", "first_review_at", "reviewed_at", "agreement"),
    *(f"reader_{label}" for label in LABELS),
)


def upgrade() -> None:
    """Set the old tables aside, make the new ones, and move every row."""
    for name in OLD:
        op.execute(f"CREATE TEMPORARY TABLE old_{name} AS SELECT * FROM {name}")
    for name in OLD:
        op.drop_table(name)
    studies_table, series_table = _make_tables()
    studies = [_study(rows) for rows in _examinations()]
    _insert(studies_table, (study for study, _ in studies))
    _insert(series_table, (row for _, series in studies for row in series))
    _copy("volumes", "old_volumes", {"series_id": "study_id"})
    _copy("findings", "old_findings", {"series_id": "study_id"})
    _copy("results", "old_results", {"series_id": "study_id"})
    of_series = {"study_id": "series.study_id", "series_id": "series.id"}
    _copy("reviews", "old_reviews", of_series, "JOIN series ON series.id = old_reviews.study_id")
    _copy("job_items", "old_job_items", of_series, "LEFT JOIN series ON series.id = old_job_items.study_id")
    _copy("imported_tables", "old_sheets", {"series_keys": _NO_KEYS[op.get_bind().dialect.name]})
    _copy("raters", "old_voices", {"table_id": "sheet_id", "values": "said"})
    for name in OLD:
        op.execute(f"DROP TABLE old_{name}")
    if op.get_bind().dialect.name == "postgresql":
        for name in ("studies", "series", "results", "reviews", "imported_tables", "raters", "job_items"):
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), coalesce(max(id), 1), max(id) IS NOT NULL) "
                f"FROM {name}"
            )


# ---- rows of one examination ---------------------------------------------------------------------------------


def _examinations() -> Iterable[list[dict[str, Any]]]:
    """Old rows that belong together: one study key, and no two patients."""
    connection = op.get_bind()
    positions = {
        row[0]: row for row in connection.execute(sa.text("SELECT study_id, kind, positions FROM old_volumes"))
    }
    codes: dict[int, set[str]] = {}
    for study, code in connection.execute(sa.text("SELECT study_id, code FROM old_findings")):
        codes.setdefault(study, set()).add(code)
    studies = connection.execute(sa.text("SELECT * FROM old_studies ORDER BY study_key, id")).mappings()
    rows = [dict(row) for row in studies]
    for row in rows:
        _, row["kind"], row["positions"] = positions.get(row["id"], (None, "", b""))
        row["codes"] = codes.get(row["id"], set())
    for _, group in groupby(rows, key=lambda row: row["study_key"]):
        yield from _by_patient(list(group))


def _by_patient(rows: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """Rows of one study key by patient; what names no patient goes with the first one."""
    first = next((row["patient_key"] for row in rows if row["patient_key"]), None)
    patients = dict.fromkeys(row["patient_key"] or first for row in rows)
    for number, patient in enumerate(patients):
        some = [row for row in rows if (row["patient_key"] or first) == patient]
        if number:  # as Results.record does
            key = sha256(f"{some[0]['study_key']}\0{patient}".encode()).hexdigest()[:16]
            some = [row | {"study_key": key} for row in some]
        yield some


def _study(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The new study of old rows, and its series."""
    facts = [_facts(row) for row in rows]
    choice = speaker(facts, [row["priority"] != "not analysed" for row in rows])
    speaks = rows[choice.index]
    study = {
        "id": min(row["id"] for row in rows),
        "study_key": speaks["study_key"],
        "patient_key": next((row["patient_key"] for row in rows if row["patient_key"]), None),
        "arrived_at": min(row["arrived_at"] for row in rows),
        "analysed_at": max(row["analysed_at"] for row in rows),
        "first_result_at": min((row["first_result_at"] for row in rows if row["first_result_at"]), default=None),
        "synthetic": bool(max(row["synthetic"] for row in rows)),
        "series_id": speaks["id"],
        "series_reason": choice.reason,
        "series_count": len(rows),
        **{name: speaks[name] for name in _OF_SPEAKER},
        **_readers(rows, speaks),
    }
    return study, [_series(row, fact, study["id"]) for row, fact in zip(rows, facts, strict=True)]


def _series(row: dict[str, Any], facts: SeriesFacts, study: int) -> dict[str, Any]:
    own = ("id", "content", "series_key", "arrived_at", "analysed_at", "status", "kind", *_FACTS)
    return {name: row[name] for name in own} | {"study_id": study, "facts": asdict(facts)}


def _facts(row: dict[str, Any]) -> SeriesFacts:
    """What the old tables know of a series that decides which one speaks."""
    places = np.frombuffer(row["positions"], "<f8")
    thickness = row["slice_thickness_mm"]
    known = len(places) > 1 and not np.isnan(places).any()
    return SeriesFacts(
        kind="picture" if row["kind"] == "picture" else "ct",
        original=False if "derived" in row["codes"] else None,
        axial=False if "orientation" in row["codes"] else None,
        soft_tissue=is_soft_tissue(row["kernel"]),
        slice_thickness_mm=thickness,
        extent_mm=float(np.ptp(places)) + (thickness or 0.0) if known else None,
        slices=row["slices"],
        series_number=None,
        contrast="contrast" in row["codes"],
    )


def _readers(rows: Sequence[dict[str, Any]], speaks: dict[str, Any]) -> dict[str, Any]:
    """What readers say: of one row as it was, of several put together anew from all their reviews."""
    reviewed = [row for row in rows if row["reviews"]]
    if len(rows) == 1 or not reviewed:
        return {name: rows[0][name] for name in _OF_READERS}
    wanted = sa.text("SELECT * FROM old_reviews WHERE study_id IN :ids ORDER BY id")
    wanted = wanted.bindparams(sa.bindparam("ids", expanding=True))
    found = op.get_bind().execute(wanted, {"ids": [row["id"] for row in rows]}).mappings()
    reviews: list[Any] = [SimpleNamespace(**_as_booleans(dict(review))) for review in found]
    study: Any = SimpleNamespace(**_as_booleans(speaks))
    summarise(study, reviews)
    return {name: getattr(study, name) for name in _OF_READERS}


def _as_booleans(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite gives 0 and 1 where a boolean is meant."""
    prefixes = ("label_", "model_", "reader_")
    named = {name for name in row if name.startswith(prefixes)} | {"agree"}
    return {name: bool(value) if name in named and value is not None else value for name, value in row.items()}


# ---- moving rows ---------------------------------------------------------------------------------------------


def _copy(table: str, old: str, renamed: dict[str, str], join: str = "") -> None:
    """Move rows inside the database; `renamed` gives a new column what stands in another one, or an SQL term."""
    names = [column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)]
    terms = [renamed.get(name, f"{old}.{_quoted(name)}") for name in names]
    op.execute(f"INSERT INTO {table} ({', '.join(map(_quoted, names))}) SELECT {', '.join(terms)} FROM {old} {join}")


def _quoted(name: str) -> str:
    return f'"{name}"'


def _insert(table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    iterator = iter(rows)
    while some := list(islice(iterator, _AT_ONCE)):
        op.get_bind().execute(table.insert(), some)


# ---- the tables of this revision -----------------------------------------------------------------------------


def _make_tables() -> tuple[sa.Table, sa.Table]:
    """Make all tables; give those of studies and series."""
    studies = op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "study_key",
            sa.String(length=16).with_variant(sa.String(length=16, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("patient_key", sa.String(length=16), nullable=True),
        sa.Column("arrived_at", sa.BigInteger(), nullable=False),
        sa.Column("analysed_at", sa.BigInteger(), nullable=False),
        sa.Column("first_result_at", sa.BigInteger(), nullable=True),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=True),
        sa.Column("series_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("series_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("age_years", sa.Integer(), nullable=True),
        sa.Column("sex", sa.String(length=1), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("institution", sa.Text(), server_default="", nullable=False),
        sa.Column("kvp", sa.Double(), nullable=True),
        sa.Column("slice_thickness_mm", sa.Double(), nullable=True),
        sa.Column("kernel", sa.Text(), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("model_any", sa.Boolean(), nullable=True),
        sa.Column("model_epidural", sa.Boolean(), nullable=True),
        sa.Column("model_intraparenchymal", sa.Boolean(), nullable=True),
        sa.Column("model_intraventricular", sa.Boolean(), nullable=True),
        sa.Column("model_subarachnoid", sa.Boolean(), nullable=True),
        sa.Column("model_subdural", sa.Boolean(), nullable=True),
        sa.Column("reviews", sa.Integer(), nullable=False),
        sa.Column("first_review_at", sa.BigInteger(), nullable=True),
        sa.Column("reviewed_at", sa.BigInteger(), nullable=True),
        sa.Column("agreement", sa.String(length=16), nullable=False),
        sa.Column("reader_any", sa.Boolean(), nullable=True),
        sa.Column("reader_epidural", sa.Boolean(), nullable=True),
        sa.Column("reader_intraparenchymal", sa.Boolean(), nullable=True),
        sa.Column("reader_intraventricular", sa.Boolean(), nullable=True),
        sa.Column("reader_subarachnoid", sa.Boolean(), nullable=True),
        sa.Column("reader_subdural", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("study_key", name="uq_studies_study_key"),
    )
    op.create_index("ix_studies_arrived_at_id", "studies", ["arrived_at", "id"], unique=False)
    op.create_index("ix_studies_institution", "studies", ["institution"], unique=False)
    op.create_index("ix_studies_patient_key", "studies", ["patient_key"], unique=False)
    op.create_index("ix_studies_rank_id", "studies", ["rank", "id"], unique=False)
    op.create_index("ix_studies_scanner", "studies", ["scanner"], unique=False)
    op.create_index("ix_studies_score_id", "studies", ["score", "id"], unique=False)
    op.create_index("ix_studies_series_id", "studies", ["series_id"], unique=False)
    op.create_index(
        "ix_studies_status_priority_agreement", "studies", ["status", "priority", "agreement"], unique=False
    )
    series = op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("series_key", sa.String(length=16), nullable=False),
        sa.Column("arrived_at", sa.BigInteger(), nullable=False),
        sa.Column("analysed_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("age_years", sa.Integer(), nullable=True),
        sa.Column("sex", sa.String(length=1), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("institution", sa.Text(), nullable=False),
        sa.Column("kvp", sa.Double(), nullable=True),
        sa.Column("slice_thickness_mm", sa.Double(), nullable=True),
        sa.Column("kernel", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_series_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("content", name="uq_series_content"),
    )
    op.create_index("ix_series_study_id", "series", ["study_id"], unique=False)
    _make_others()
    return studies, series


def _make_others() -> None:
    op.create_table(
        "imported_tables",
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
        sa.Column("series_keys", sa.LargeBinary(), nullable=False),
        sa.Column("slice_keys", sa.LargeBinary(), nullable=False),
        sa.Column("patient_keys", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_imported_tables"),
        sa.UniqueConstraint("content", name="uq_imported_tables_content"),
    )
    op.create_table(
        "job_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("locator_key", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("study_id", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_items_job_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_job_items_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_job_items"),
        sa.UniqueConstraint("job_id", "locator_key", name="uq_job_items_job_id_locator_key"),
    )
    op.create_index(
        "ix_job_items_job_id_state_attempts_id", "job_items", ["job_id", "state", "attempts", "id"], unique=False
    )
    op.create_index(
        "ix_job_items_job_id_state_started_at_finished_at",
        "job_items",
        ["job_id", "state", "started_at", "finished_at"],
        unique=False,
    )
    op.create_index("ix_job_items_locator_key", "job_items", ["locator_key"], unique=False)
    op.create_index("ix_job_items_study_id", "job_items", ["study_id"], unique=False)
    op.create_table(
        "raters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("table_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("studies", sa.Integer(), nullable=False),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["table_id"], ["imported_tables.id"], name="fk_raters_table_id"),
        sa.PrimaryKeyConstraint("id", name="pk_raters"),
    )
    op.create_index("ix_raters_table_id", "raters", ["table_id"], unique=False)
    op.create_table(
        "findings",
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_findings_series_id"),
        sa.PrimaryKeyConstraint("series_id", "place", name="pk_findings"),
    )
    op.create_index("ix_findings_level_code_series_id", "findings", ["level", "code", "series_id"], unique=False)
    op.create_table(
        "results",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("encoder_sha256", sa.String(length=64), nullable=False),
        sa.Column("head_sha256", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("operating_point", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("probability_any", sa.Double(), nullable=True),
        sa.Column("probability_epidural", sa.Double(), nullable=True),
        sa.Column("probability_intraparenchymal", sa.Double(), nullable=True),
        sa.Column("probability_intraventricular", sa.Double(), nullable=True),
        sa.Column("probability_subarachnoid", sa.Double(), nullable=True),
        sa.Column("probability_subdural", sa.Double(), nullable=True),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("slice_labels", sa.JSON(), nullable=False),
        sa.Column("slice_probability", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_results_series_id"),
        sa.PrimaryKeyConstraint("id", name="pk_results"),
        sa.UniqueConstraint("series_id", "model", "version", name="uq_results_series_id_model_version"),
    )
    op.create_index(
        "ix_results_model_version_current_series_id_probability_any",
        "results",
        ["model", "version", "current", "series_id", "probability_any"],
        unique=False,
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("agree", sa.Boolean(), nullable=True),
        sa.Column("label_any", sa.Boolean(), nullable=True),
        sa.Column("label_epidural", sa.Boolean(), nullable=True),
        sa.Column("label_intraparenchymal", sa.Boolean(), nullable=True),
        sa.Column("label_intraventricular", sa.Boolean(), nullable=True),
        sa.Column("label_subarachnoid", sa.Boolean(), nullable=True),
        sa.Column("label_subdural", sa.Boolean(), nullable=True),
        sa.Column("marks", sa.JSON(), nullable=False),
        sa.Column("poor_quality", sa.Boolean(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("based_on", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_reviews_series_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_reviews_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
    )
    op.create_index("ix_reviews_reader_study_id", "reviews", ["reader", "study_id"], unique=False)
    op.create_index("ix_reviews_study_id", "reviews", ["study_id"], unique=False)
    op.create_table(
        "series_choices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_series_choices_series_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_series_choices_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_series_choices"),
    )
    op.create_index("ix_series_choices_study_id", "series_choices", ["study_id"], unique=False)
    op.create_table(
        "volumes",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("oriented", sa.Boolean(), nullable=False),
        sa.Column("spacing", sa.JSON(), nullable=True),
        sa.Column("positions", sa.LargeBinary(), nullable=False),
        sa.Column("slice_keys", sa.JSON(), nullable=False),
        sa.Column("box", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_volumes_series_id"),
        sa.PrimaryKeyConstraint("series_id", name="pk_volumes"),
    )
    # ### end Alembic commands ###
