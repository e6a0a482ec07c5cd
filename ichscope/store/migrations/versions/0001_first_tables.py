"""Studies, findings, results, reviews, truth and jobs: the first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("study_key", sa.String(length=16), nullable=False),
        sa.Column("series_key", sa.String(length=16), nullable=False),
        sa.Column("patient_key", sa.String(length=16), nullable=True),
        sa.Column("arrived_at", sa.BigInteger(), nullable=False),
        sa.Column("analysed_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("age_years", sa.Integer(), nullable=True),
        sa.Column("sex", sa.String(length=1), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
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
        sa.UniqueConstraint("content", name="uq_studies_content"),
    )
    op.create_index("ix_studies_arrived_at_id", "studies", ["arrived_at", "id"], unique=False)
    op.create_index("ix_studies_patient_key", "studies", ["patient_key"], unique=False)
    op.create_index("ix_studies_rank_id", "studies", ["rank", "id"], unique=False)
    op.create_index("ix_studies_scanner", "studies", ["scanner"], unique=False)
    op.create_index("ix_studies_score_id", "studies", ["score", "id"], unique=False)
    op.create_index(
        "ix_studies_status_priority_agreement", "studies", ["status", "priority", "agreement"], unique=False
    )
    op.create_index("ix_studies_study_key", "studies", ["study_key"], unique=False)
    op.create_table(
        "truth",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_key", sa.String(length=16), nullable=False),
        sa.Column("slice_key", sa.String(length=16), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.Column("label_any", sa.Boolean(), nullable=True),
        sa.Column("label_epidural", sa.Boolean(), nullable=True),
        sa.Column("label_intraparenchymal", sa.Boolean(), nullable=True),
        sa.Column("label_intraventricular", sa.Boolean(), nullable=True),
        sa.Column("label_subarachnoid", sa.Boolean(), nullable=True),
        sa.Column("label_subdural", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_truth"),
        sa.UniqueConstraint(
            "study_key", "slice_key", "reader", "source", name="uq_truth_study_key_slice_key_reader_source"
        ),
    )
    op.create_table(
        "findings",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_findings_study_id"),
        sa.PrimaryKeyConstraint("study_id", "place", name="pk_findings"),
    )
    op.create_index("ix_findings_level_code_study_id", "findings", ["level", "code", "study_id"], unique=False)
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
        "results",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
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
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_results_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_results"),
        sa.UniqueConstraint("study_id", "model", "version", name="uq_results_study_id_model_version"),
    )
    op.create_index(
        "ix_results_model_version_current_study_id_probability_any",
        "results",
        ["model", "version", "current", "study_id", "probability_any"],
        unique=False,
    )
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
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
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_reviews_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
    )
    op.create_index("ix_reviews_reader_study_id", "reviews", ["reader", "study_id"], unique=False)
    op.create_index("ix_reviews_study_id", "reviews", ["study_id"], unique=False)
    op.create_table(
        "volumes",
        sa.Column("study_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("oriented", sa.Boolean(), nullable=False),
        sa.Column("spacing", sa.JSON(), nullable=True),
        sa.Column("positions", sa.LargeBinary(), nullable=False),
        sa.Column("slice_keys", sa.JSON(), nullable=False),
        sa.Column("box", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_volumes_study_id"),
        sa.PrimaryKeyConstraint("study_id", name="pk_volumes"),
    )
