"""Notes have an author."""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("notes", sa.Column("author", sa.Text, nullable=False, server_default="nobody"))
    op.create_index("notes_author", "notes", ["author"])


def downgrade():
    op.drop_index("notes_author")
    op.drop_column("notes", "author")
