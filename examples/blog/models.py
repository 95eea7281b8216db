"""The tables of the blog, as SQLAlchemy has them. `alembic/` makes them."""

from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah import TimestampColumns
from howdah.search import trigram_index


class Base(DeclarativeBase):
    pass


class User(TimestampColumns, Base):
    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("credit >= 0", "credit_not_below_zero"),
        trigram_index("users_search", "email", "username"),
        Index("users_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    username: Mapped[str] = mapped_column(String(100), unique=True)
    is_active: Mapped[bool] = mapped_column(default=True)
    credit: Mapped[Decimal] = mapped_column(Numeric(12, 2), default=Decimal(100))

    posts: Mapped[list["Post"]] = relationship(
        back_populates="author", cascade="all, delete-orphan", passive_deletes=True
    )


class Post(TimestampColumns, Base):
    __tablename__ = "posts"
    __table_args__ = (Index("posts_created_at", "created_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200), index=True)
    content: Mapped[str] = mapped_column(Text)
    published: Mapped[bool] = mapped_column(default=False)
    author_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )

    author: Mapped[User] = relationship(back_populates="posts")


class Transfer(TimestampColumns, Base):
    __tablename__ = "transfers"
    __table_args__ = (CheckConstraint("from_id <> to_id", "not_to_oneself"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    from_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    to_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
