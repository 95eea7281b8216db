"""What a condition depends on: its parts, and never the values in it."""

import itertools

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column
from sqlalchemy.sql.elements import BinaryExpression

from howdah.errors import Misconfigured
from howdah.statements.shapes import shape_of


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "shaped_notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int]
    team_id: Mapped[int | None]
    text: Mapped[str]
    public: Mapped[bool]


Other = aliased(Note)
NOTES = Note.__table__
ELSEWHERE = Table(
    "shaped_elsewhere", MetaData(), Column("owner_id", Integer), Column("text", String)
)

# Each is asked for with two numbers and two texts.
CONDITIONS = [
    pytest.param(make, id=name)
    for name, make in {
        "equal": lambda n, _: Note.owner_id == n,
        "column": lambda n, _: NOTES.c.owner_id == n,
        "other column": lambda n, _: Note.id == n,
        "other table": lambda n, _: ELSEWHERE.c.owner_id == n,
        "alias": lambda n, _: Other.owner_id == n,
        "not equal": lambda n, _: Note.owner_id != n,
        "not": lambda n, _: ~(Note.owner_id == n),
        "greater": lambda n, _: Note.owner_id > n,
        "text": lambda _, t: Note.text == t,
        "like": lambda _, t: Note.text.like(t),
        "like, escaped": lambda _, t: Note.text.like(t, escape="/"),
        "starts": lambda _, t: Note.text.startswith(t),
        "own operator": lambda _, t: Note.text.op("~")(t),
        "other operator": lambda _, t: Note.text.op("~*")(t),
        "null": lambda *_: Note.team_id.is_(None),
        "not null": lambda *_: Note.team_id.is_not(None),
        "true": lambda *_: Note.public.is_(True),
        "false": lambda *_: Note.public.is_(False),
        "attribute": lambda *_: Note.public,
        "other attribute": lambda *_: ~Note.public,
        "and": lambda n, t: and_(Note.owner_id == n, Note.text == t),
        "or": lambda n, t: or_(Note.owner_id == n, Note.text == t),
        "and attribute": lambda n, _: and_(Note.owner_id == n, Note.public),
        "other order": lambda n, t: and_(Note.text == t, Note.owner_id == n),
        "nested": lambda n, t: and_(
            Note.public.is_(True), or_(Note.owner_id == n, Note.text == t)
        ),
        "twice": lambda n, _: or_(Note.owner_id == n, Note.team_id == n),
        "in": lambda n, _: Note.owner_id.in_([n, 7]),
        "not in": lambda n, _: Note.owner_id.not_in([n, 7]),
        "two columns": lambda *_: Note.owner_id == Note.team_id,
        "function": lambda n, _: func.abs(Note.owner_id) == n,
        "typed": lambda n, _: (
            Note.owner_id == bindparam("n", n, BigInteger, unique=True)
        ),
        "literal": lambda n, _: (
            Note.owner_id == bindparam("n", n, unique=True, literal_execute=True)
        ),
        "subquery": lambda n, _: Note.id.in_(select(Other.id).where(Other.id == n)),
        "exists": lambda n, _: exists().where(Other.id == Note.id, Other.owner_id == n),
    }.items()
]


def asked(condition):
    """Return what SQLAlchemy says that a condition depends on."""
    return and_(true(), condition)._generate_cache_key().key


def values(condition):
    return [bind.effective_value for bind in shape_of(condition)[1]]


@pytest.mark.parametrize("make", CONDITIONS)
def test_a_shape_is_what_sqlalchemy_says_whatever_the_values(make):
    first, second, third = make(1, "a"), make(2, "b"), make(3, "c")

    shapes = [shape_of(each)[0] for each in (first, second, third)]

    # The values of a literal are part of its text, but not of its shape.
    assert shapes == [asked(first), asked(second), asked(third)]
    assert len({*shapes}) == 1


@pytest.mark.parametrize("make", CONDITIONS)
def test_values_come_in_the_order_of_the_first_time(make):
    shape_of(make(1, "a"))
    condition = make(2, "b")

    _, binds = shape_of(condition)

    known = and_(true(), condition)._generate_cache_key().bindparams
    assert [id(each) for each in binds] == [id(each) for each in known]


def test_every_condition_has_a_shape_of_its_own():
    # Asked twice, so that each is known when the others are looked at.
    made = [param.values[0](1, "a") for param in CONDITIONS * 2]
    shapes = [shape_of(condition)[0] for condition in made]

    count = len(CONDITIONS)
    assert shapes[:count] == shapes[count:]
    for (one, first), (other, second) in itertools.combinations(
        enumerate(shapes[:count]), 2
    ):
        same = asked(made[one]) == asked(made[other])
        assert (first == second) is same


def test_a_column_of_a_table_that_is_gone_is_not_taken_for_another():
    for size in range(100):
        table = Table("passing", MetaData(), Column("owner_id", String(size + 1)))
        condition = table.c.owner_id == "a"

        assert shape_of(condition)[0] == asked(condition)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: Note.owner_id == n, id="equal"),
        pytest.param(lambda n: Note.owner_id.in_([n]), id="in"),
        pytest.param(
            lambda n: or_(Note.owner_id == n, Note.public.is_(True)), id="list"
        ),
        pytest.param(
            lambda n: and_(Note.team_id.is_(None), Note.owner_id == n), id="null"
        ),
    ],
)
def test_sqlalchemy_is_asked_once_for_a_usual_condition(make, monkeypatch):
    shape_of(make(1))
    condition, another = make(2), shape_of(Note.id == 1)

    def ask(_):
        raise AssertionError("it is known")

    kind = type(condition)
    monkeypatch.setattr(kind, "_generate_cache_key", ask)
    if kind is not BinaryExpression:
        monkeypatch.setattr(BinaryExpression, "_generate_cache_key", ask)

    assert shape_of(condition)[0] != another[0]
    assert values(make(5))[-1] in (5, [5])


@pytest.mark.parametrize("known", [False, True])
def test_a_value_with_a_name_is_refused_even_beside_known_ones(known):
    if known:
        shape_of(Note.owner_id == 1)

    with pytest.raises(Misconfigured, match="unique=True"):
        shape_of(Note.owner_id == bindparam("owner", 1))
