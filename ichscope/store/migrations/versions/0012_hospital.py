"""What the hospital's information system says: patients that are one, and reports."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "patient_merges",
        sa.Column("old_key", sa.String(length=16), nullable=False),
        sa.Column("new_key", sa.String(length=16), nullable=False),
        sa.Column("merged_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("old_key", name="pk_patient_merges"),
    )
    op.create_index("ix_patient_merges_new_key", "patient_merges", ["new_key"])
    op.create_table(
        "received_reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("accession_key", sa.String(length=16), nullable=True),
        sa.Column("patient_key", sa.String(length=16), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_received_reports"),
        sa.UniqueConstraint("key", name="uq_received_reports_key"),
    )
    for column in ("accession_key", "patient_key", "received_at"):
        op.create_index(f"ix_received_reports_{column}", "received_reports", [column])
