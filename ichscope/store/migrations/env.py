"""What Alembic runs: the migrations, inside the transaction that ichscope.store.migrate has begun."""

from alembic import context

from ichscope.store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
