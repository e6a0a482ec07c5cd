"""Keys of studies sort by their bytes, so that a search by their start finds them whatever language a server has."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """SQLite sorts so already."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("studies", "study_key", type_=sa.String(16, collation="C"))
