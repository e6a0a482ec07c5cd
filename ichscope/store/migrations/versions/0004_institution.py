"""Institutions of studies, by the code that stands for their names; of older studies it is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("studies", sa.Column("institution", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_studies_institution", "studies", ["institution"], unique=False)
