"""The tables of the shop, as SQLAlchemy has them."""

from decimal import Decimal

from sqlalchemy import CheckConstraint, Column, ForeignKey, Numeric, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah import TimestampColumns


class Base(DeclarativeBase):
    pass


class User(TimestampColumns, Base):
    __tablename__ = "users"
    __table_args__ = (CheckConstraint("balance >= 0", "balance_not_below_zero"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(50), unique=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    balance: Mapped[Decimal] = mapped_column(Numeric(12, 2), default=Decimal(0))
    is_active: Mapped[bool] = mapped_column(default=True)

    items: Mapped[list["Item"]] = relationship(
        back_populates="owner", cascade="all, delete", passive_deletes=True
    )
    wishes: Mapped[list["Item"]] = relationship(secondary="user_items")


class Item(TimestampColumns, Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    description: Mapped[str | None]
    price: Mapped[Decimal] = mapped_column(Numeric(12, 2), index=True)
    owner_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )

    owner: Mapped[User | None] = relationship(back_populates="items")


user_items = Table(
    "user_items",
    Base.metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("item_id", ForeignKey("items.id", ondelete="CASCADE"), primary_key=True),
)


class Transfer(TimestampColumns, Base):
    __tablename__ = "transfers"

    id: Mapped[int] = mapped_column(primary_key=True)
    from_user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    to_user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    key: Mapped[str | None] = mapped_column(String(255), unique=True)
