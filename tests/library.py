"""Authors, books and tags: relations of every kind, for what is embedded."""

import datetime as dt

from pydantic import BaseModel
from sqlalchemy import Column, ForeignKey, Index, Integer, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah import Resource
from howdah.resource import Embed


class Base(DeclarativeBase):
    pass


# A book may have a tag twice, as tables made by hand allow it.
BOOK_TAGS = Table(
    "library_book_tags",
    Base.metadata,
    Column("book", ForeignKey("library_books.id"), nullable=False),
    Column("tag", ForeignKey("library_tags.id"), nullable=False),
    Column("id", Integer, primary_key=True),
    Index("ix_library_book_tags", "book", "tag"),
)


class Author(Base):
    __tablename__ = "library_authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    deleted_at: Mapped[dt.datetime | None]

    books: Mapped[list["Book"]] = relationship(back_populates="author")


class Tag(Base):
    __tablename__ = "library_tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)


class Book(Base):
    __tablename__ = "library_books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    secret: Mapped[str] = mapped_column(default="hush")
    author_id: Mapped[int | None] = mapped_column(
        ForeignKey("library_authors.id"), index=True
    )
    sequel_of: Mapped[int | None] = mapped_column(
        ForeignKey("library_books.id"), index=True
    )

    author: Mapped[Author | None] = relationship(back_populates="books")
    tags: Mapped[list[Tag]] = relationship(secondary=BOOK_TAGS)
    before: Mapped["Book | None"] = relationship(
        remote_side="Book.id", back_populates="after"
    )
    after: Mapped[list["Book"]] = relationship(back_populates="before")


class AuthorRow(BaseModel):
    id: int
    name: str


class AuthorWrite(BaseModel):
    name: str


class TagRow(BaseModel):
    id: int
    word: str


class TagWrite(BaseModel):
    word: str


class BookRow(BaseModel):
    id: int
    title: str
    author_id: int | None


class BookTitle(BaseModel):
    title: str


class BookWrite(BaseModel):
    title: str
    author_id: int | None = None


class Authors(Resource[Author]):
    create_schema = update_schema = AuthorWrite
    read_schema = AuthorRow
    soft_delete = "deleted_at"
    include = {"books": Embed(lambda: Books, limit=3, sort=("-title",))}  # noqa: RUF012 - a declaration


class Tags(Resource[Tag]):
    create_schema = update_schema = TagWrite
    read_schema = TagRow
    soft_delete = "is_active"


class Books(Resource[Book]):
    create_schema = update_schema = BookWrite
    read_schema = BookRow
    search = ("title",)
    filters = ("title", "author_id", "tags__word")
    sort = ("title", "author_id")
    include = {  # noqa: RUF012 - a declaration
        "author": Authors,
        "tags": Tags,
        "before": Embed(lambda: Books),
        "after": BookTitle,
    }
