"""When each study had its first result, which a new version of a model does not change."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column, and fill it from the oldest result that is kept."""
    op.add_column("studies", sa.Column("first_result_at", sa.BigInteger(), nullable=True))
    first = "SELECT min(results.created_at) FROM results WHERE results.study_id = studies.id"
    op.execute(f"UPDATE studies SET first_result_at = coalesce(({first}), analysed_at)")
