"""What a resource lets people ask without an index is told, while it is developed."""

import enum
import logging

import pytest
from sqlalchemy import Index, text
from sqlmodel import Field, Relationship, SQLModel

from howdah import Database, Misconfigured, Resource, Settings
from howdah.resource.advice import unserved
from howdah.resource.declaration import read_layout
from howdah.search import FullText, search_vector, trigram_index


class Colour(enum.Enum):
    RED = "red"


class Breed(SQLModel, table=True):
    __tablename__ = "advised_breeds"

    id: int | None = Field(default=None, primary_key=True)
    name: str


@search_vector("name", language="simple")
class Dog(SQLModel, table=True):
    __tablename__ = "advised_dogs"
    __table_args__ = (
        Index("ix_age", text("age DESC"), "id"),
        Index("ix_weight", "weight", postgresql_where=text("is_active")),
        Index("ix_height", "height", postgresql_where=text("height > 10")),
        Index("ix_length", "id", "length"),
        trigram_index("ix_words", "name"),
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str
    chip: str = Field(unique=True)
    age: int
    weight: int
    height: int
    length: int
    colour: Colour
    is_active: bool = True
    breed_id: int | None = Field(default=None, foreign_key="advised_breeds.id")

    breed: Breed | None = Relationship()


FIELDS = ("id", "chip", "age", "weight", "colour", "is_active")


class Dogs(Resource[Dog]):
    soft_delete = "is_active"
    search = ("name",)
    filters = (*FIELDS, "name")
    sort = FIELDS


class Served(Dogs):
    search = FullText()


class Bold(Dogs):
    search = ("name", "chip")
    filters = ("height", "length", "breed__name")
    sort = ("name", "length")


class Silent(Bold):
    unindexed = ("height", "length", "breed__name", "name", "search")


class Slip(Dogs):
    unindexed = ("colou",)


@pytest.mark.parametrize("resource", [Dogs, Served, Silent])
def test_there_is_nothing_to_say_where_indexes_serve(resource):
    assert unserved(resource, read_layout(resource)) == {}


def test_what_no_index_serves_is_named_with_the_index_that_would():
    assert unserved(Bold, read_layout(Bold)) == {
        "height": 'Index("ix_advised_dogs_height", "height")',
        "length": 'Index("ix_advised_dogs_length", "length")',
        "breed__name": 'Index("ix_advised_breeds_name", "name"), '
        'Index("ix_advised_dogs_breed_id", "breed_id")',
        "name": 'Index("ix_advised_dogs_name", "name")',
        "search": 'trigram_index("ix_advised_dogs_search", "name", "chip")',
    }


def test_a_name_that_means_nothing_is_refused():
    with pytest.raises(Misconfigured, match="unindexed names colou, by which nobody"):
        unserved(Slip, read_layout(Slip))


@pytest.mark.parametrize(("developing", "times"), [(True, 1), (False, 0)])
def test_it_is_said_once_and_only_while_developing(caplog, developing, times):
    db = Database(Settings(howdah_dev=developing, database_url="postgresql://h/d"))

    with caplog.at_level(logging.WARNING, "howdah.resource"):
        bold = Bold(db)
        bold.router(prefix="/a")
        bold.router(prefix="/b")

    said = [record.getMessage() for record in caplog.records]
    assert len(said) == times
    assert all(message.startswith("Bold: no index serves ") for message in said)
    assert all('unindexed = ("name", "length", ' in message for message in said)
