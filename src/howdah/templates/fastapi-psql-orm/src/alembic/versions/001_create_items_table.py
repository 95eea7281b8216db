"""Create items table

Revision ID: 001
Revises:
Create Date: 2026-01-01 12:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "categories",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(length=50), nullable=False, unique=True),
        sa.Column("description", sa.String(length=500)),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.String(length=500)),
        sa.Column("price", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("tax", sa.Numeric(precision=12, scale=2)),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True)),
        sa.Column("category_id", sa.Integer(), sa.ForeignKey("categories.id")),
    )
    op.create_index("ix_items_name", "items", ["name"])
    op.create_index("ix_items_category_id", "items", ["category_id"])
    op.create_index("ix_items_created_at", "items", ["created_at"])
    op.create_index("ix_items_price_active", "items", ["price", "is_active"])
    op.create_index("ix_items_name_description", "items", ["name", "description"])
    op.create_index(
        "ix_items_search",
        "items",
        ["name", "description"],
        postgresql_using="gin",
        postgresql_ops={"name": "gin_trgm_ops", "description": "gin_trgm_ops"},
    )
    op.create_table(
        "howdah_idempotency",
        sa.Column("id", sa.LargeBinary(), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text()),
        sa.Column("key", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index(
        "ix_howdah_idempotency_created_at", "howdah_idempotency", ["created_at"]
    )


def downgrade() -> None:
    op.drop_table("howdah_idempotency")
    op.drop_table("items")
    op.drop_table("categories")
