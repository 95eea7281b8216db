"""What the contract is held on: books on shelves, and keys of every kind."""

import datetime as dt
import enum
import uuid
from decimal import Decimal

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah import Money, OptionalMoney, Resource
from howdah.models import idempotency_table
from howdah.resource import Embed


class Base(DeclarativeBase):
    pass


idempotency_table(Base.metadata)


class Mood(enum.Enum):
    """Its order is that of the declaration, not that of its letters."""

    MERRY = "merry"
    CALM = "calm"
    SAD = "sad"


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)

    books: Mapped[list["Book"]] = relationship(back_populates="shelf")


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(30))
    blurb: Mapped[str | None] = mapped_column(Text)
    pages: Mapped[int | None] = mapped_column(Integer)
    sold: Mapped[int | None] = mapped_column(BigInteger)
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    weight: Mapped[float | None] = mapped_column(Float)
    bulk: Mapped[float | None] = mapped_column(REAL)
    lent: Mapped[bool | None] = mapped_column(Boolean)
    printed: Mapped[dt.date | None] = mapped_column(Date)
    read_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    mood: Mapped[Mood | None] = mapped_column(Enum(Mood, name="mood"))
    isbn: Mapped[uuid.UUID | None] = mapped_column(Uuid, unique=True)
    is_active: Mapped[bool] = mapped_column(
        Boolean, default=True, server_default=true()
    )
    created_at: Mapped[dt.datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    updated_at: Mapped[dt.datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=func.now()
    )
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))

    shelf: Mapped[Shelf | None] = relationship(back_populates="books")


class Country(Base):
    """A key that people give, and a moment of deletion."""

    __tablename__ = "countries"

    id: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    tongue: Mapped[str] = mapped_column(Text, server_default=text("'en'"))
    deleted_at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))

    # A name is taken only while the row that has it is there.
    __table_args__ = (
        Index(
            "one_name",
            "name",
            unique=True,
            postgresql_where=deleted_at.is_(None),
            sqlite_where=deleted_at.is_(None),
        ),
    )


class Reader(Base):
    __tablename__ = "readers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)

    books: Mapped[list[Book]] = relationship(secondary="readings")


readings = Table(
    "readings",
    Base.metadata,
    Column("reader_id", ForeignKey("readers.id"), primary_key=True),
    Column("book_id", ForeignKey("books.id"), primary_key=True),
)


class Line(Base):
    """A key of two columns."""

    __tablename__ = "lines"

    book_id: Mapped[int] = mapped_column(
        ForeignKey("books.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)


class Token(Base):
    """A key that Python makes."""

    __tablename__ = "tokens"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(Text)


class ShelfWrite(BaseModel):
    name: str = Field(min_length=1, max_length=20)


class ShelfRead(BaseModel):
    id: int
    name: str


class Shelves(Resource[Shelf]):
    create_schema = update_schema = ShelfWrite
    read_schema = ShelfRead
    filters = ("name", "books__title", "books__price")
    sort = ("name",)


class BookCreate(BaseModel):
    title: str = Field(min_length=1)
    blurb: str | None = None
    pages: int | None = None
    sold: int | None = None
    price: OptionalMoney = None
    weight: float | None = None
    bulk: float | None = None
    lent: bool | None = None
    printed: dt.date | None = None
    read_at: AwareDatetime | None = None
    mood: Mood | None = None
    isbn: uuid.UUID | None = None
    shelf_id: int | None = None


class BookUpdate(BookCreate):
    title: str | None = Field(default=None, min_length=1)


class BookRead(BookCreate):
    id: int
    title: str
    price: Money | None
    is_active: bool
    created_at: dt.datetime
    updated_at: dt.datetime | None


ASKED = (
    "title",
    "blurb",
    "pages",
    "sold",
    "price",
    "weight",
    "bulk",
    "lent",
    "printed",
    "read_at",
    "mood",
    "isbn",
)


class Books(Resource[Book]):
    create_schema = BookCreate
    update_schema = BookUpdate
    read_schema = BookRead
    search = ("title", "blurb")
    filters = (*ASKED, "shelf__name", "shelf_id")
    sort = ("id", *ASKED)
    soft_delete = "is_active"
    aliases = {"min_pages": "pages__gte", "on": "shelf__name"}  # noqa: RUF012 - declared


class CarefulBooks(Books):
    require_match = True


class EnvelopedBooks(Books):
    envelope = True


class ShelvedBooks(Books):
    include = {"shelf": Shelves}  # noqa: RUF012 - as people write it


class FullShelves(Shelves):
    include = {"books": Embed(Books, sort=("title",))}  # noqa: RUF012


class ReaderWrite(BaseModel):
    name: str


class ReaderRead(ReaderWrite):
    id: int


class Readers(Resource[Reader]):
    create_schema = update_schema = ReaderWrite
    read_schema = ReaderRead
    relations = ("books",)


class CountryWrite(BaseModel):
    id: str = Field(min_length=2, max_length=2)
    name: str


class CountryUpdate(BaseModel):
    name: str


class Countries(Resource[Country]):
    create_schema = read_schema = CountryWrite
    update_schema = CountryUpdate
    filters = ("id", "name")
    sort = ("name",)
    soft_delete = "deleted_at"


class LineWrite(BaseModel):
    book_id: int
    number: int
    text: str


class LineUpdate(BaseModel):
    text: str


class Lines(Resource[Line]):
    create_schema = read_schema = LineWrite
    update_schema = LineUpdate
    sort = ("text",)


class TokenWrite(BaseModel):
    name: str


class TokenRead(TokenWrite):
    id: uuid.UUID


class Tokens(Resource[Token]):
    create_schema = update_schema = TokenWrite
    read_schema = TokenRead


class WordWrite(BaseModel):
    word: str


class WordedTokens(Tokens):
    create_schema = update_schema = WordWrite
    stored_as = {"word": ("name", lambda word: word[::-1])}  # noqa: RUF012 - declared
