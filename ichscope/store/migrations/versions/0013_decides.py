"""Of a result, whether its model's word on any haemorrhage is the study's. Results from before decided together."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the column."""
    op.add_column("results", sa.Column("decides", sa.Boolean(), nullable=False, server_default=sa.false()))
