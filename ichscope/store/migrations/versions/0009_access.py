"""Accounts, sessions, tokens, named folders and the audit trail; what people did bears whether the name was proven.

Names from before were typed: `signed` is false for them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_SIGNED = ("reviews", "adjustments", "series_choices", "imported_tables")
# Lines before the first one that is kept may go: pruning moves that forward, and signs it, in the same transaction.
_SQLITE = (
    "CREATE TRIGGER audit_trail_no_update BEFORE UPDATE ON audit_trail "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END",
    "CREATE TRIGGER audit_trail_no_delete BEFORE DELETE ON audit_trail "
    "WHEN OLD.number >= coalesce((SELECT number FROM audit_ends WHERE name = 'first'), 0) "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END",
)
_POSTGRESQL = (
    "CREATE FUNCTION audit_trail_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit trail is only added to'; END $$",
    "CREATE FUNCTION audit_trail_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF OLD.number >= coalesce((SELECT number FROM audit_ends WHERE name = 'first'), 0) THEN "
    "RAISE EXCEPTION 'the audit trail is only added to'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER audit_trail_no_update BEFORE UPDATE ON audit_trail "
    "FOR EACH ROW EXECUTE FUNCTION audit_trail_refuse()",
    "CREATE TRIGGER audit_trail_no_truncate BEFORE TRUNCATE ON audit_trail "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuse()",
    "CREATE TRIGGER audit_trail_no_delete BEFORE DELETE ON audit_trail "
    "FOR EACH ROW EXECUTE FUNCTION audit_trail_keep()",
)


def upgrade() -> None:
    """Make the tables, and let the database guard the trail."""
    for table in _SIGNED:
        op.add_column(table, sa.Column("signed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("imported_tables", sa.Column("who", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("who", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("role", sa.String(length=16), nullable=False, server_default=""))
    _accounts()
    _folders()
    _trail()
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("password_set_at", sa.BigInteger(), nullable=True),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name_key", name="uq_accounts_name_key"),
        sa.UniqueConstraint("issuer", "subject", name="uq_accounts_issuer_subject"),
    )
    op.create_table(
        "sessions",
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("secret_sha256", name="pk_sessions"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sessions_account_id"),
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("rights", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("secret_sha256", name="uq_tokens_secret_sha256"),
    )
    op.create_table(
        "attempts",
        sa.Column("key", sa.String(length=16), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_attempts"),
    )


def _folders() -> None:
    op.create_table(
        "folders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_folders"),
        sa.UniqueConstraint("name", name="uq_folders_name"),
    )


def _trail() -> None:
    op.create_table(
        "audit_trail",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("via", sa.String(length=24), nullable=False),
        sa.Column("session", sa.String(length=16), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_trail"),
    )
    op.create_index("ix_audit_trail_at", "audit_trail", ["at"])
    op.create_index("ix_audit_trail_who_number", "audit_trail", ["who", "number"])
    op.create_index("ix_audit_trail_action_number", "audit_trail", ["action", "number"])
    op.create_table(
        "audit_ends",
        sa.Column("name", sa.String(length=8), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_audit_ends"),
    )
