"""A contrast agent decides which series speaks: series from before have the fact from their finding.

Which one speaks for a study stays as it is until a series of the study comes, is analysed or is chosen.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_SERIES = sa.table("series", sa.column("id", sa.Integer), sa.column("facts", sa.JSON))
_FINDINGS = sa.table("findings", sa.column("series_id", sa.Integer), sa.column("code", sa.Text))


def upgrade() -> None:
    """Write the fact of every series that has the finding."""
    connection = op.get_bind()
    named = sa.select(_FINDINGS.c.series_id).where(_FINDINGS.c.code == "contrast")
    for series in connection.execute(sa.select(_SERIES).where(_SERIES.c.id.in_(named))).all():
        change = sa.update(_SERIES).where(_SERIES.c.id == series.id)
        connection.execute(change.values(facts=series.facts | {"contrast": True}))
