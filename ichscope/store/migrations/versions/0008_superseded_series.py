"""A series whose files came again, more of them: the fuller version counts, the earlier one stays."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; what came in parts before is told when one of its series is recorded again."""
    op.add_column("series", sa.Column("superseded_by", sa.Integer(), nullable=True))
