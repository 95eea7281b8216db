"""Rows that go straight into COPY: the same rows, and the same refusals, as records."""

import csv
import enum
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    Enum,
    Numeric,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import SQLModel

from howdah import Money
from howdah.errors import HowdahError, Invalid
from howdah.load import LoadOptions, Progress, Source, Target, load
from howdah.load.columns import columns_of
from howdah.load.plan import make_plan
from howdah.load.reader import open_reader
from howdah.load.spelling import types_of
from howdah.load.straight import straight_of

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Columns:
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    note: Mapped[str | None] = mapped_column(Text)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    big: Mapped[int | None] = mapped_column(BigInteger)
    price: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    money: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    exact: Mapped[Decimal | None] = mapped_column(Numeric)
    loose: Mapped[Decimal | None] = mapped_column(Numeric)
    double: Mapped[float | None] = mapped_column(Double)
    flag: Mapped[bool | None]
    day: Mapped[date | None]
    seen: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    wall: Mapped[datetime | None] = mapped_column(DateTime(timezone=False))
    mark: Mapped[UUID | None]
    traits: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour, name="thing_colour"))


class Thing(Columns, Base):
    __tablename__ = "things"
    __table_args__ = (CheckConstraint("small <> 13", name="no_thirteen"),)

    kind: Mapped[str] = mapped_column(Text, default="pla\\in\t")
    serial: Mapped[UUID] = mapped_column(default=uuid4)


class Other(Columns, Base):
    """The same but for its defaults, which are the same in each row."""

    __tablename__ = "others"

    kind: Mapped[str] = mapped_column(Text, default="it's")
    empty: Mapped[str | None]


class ThingCreate(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=12)
    note: str | None = None
    small: int | None = 7
    big: int | None = None
    price: float | None = Field(default=None, ge=0)
    money: Money | None = Field(default=None)
    exact: Decimal | None
    loose: float | None = None
    double: float | None = None
    flag: bool | None = True
    day: date | None = None
    seen: datetime | None = None
    wall: datetime | None = None
    mark: UUID | None = None
    traits: dict[str, Any] | None = None
    colour: Colour | None = None


class Looked(ThingCreate):
    """The same, but for a validator of whole rows, for which they become records."""

    @model_validator(mode="after")
    def every_row_is_looked_at(self) -> "Looked":
        return self


NAMES = tuple(ThingCreate.model_fields)
SHOWN = ", ".join((*NAMES, "kind"))
# Those whose values may stay in the lines of the file.
STAYING = ("name", "note", "big", "price", "money", "exact", "loose", "double")


@pytest.fixture
async def things(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return db


async def loaded(
    db, text: str, schema, tmp_path, model=Thing, *, kind="csv", **options
) -> str:
    """Load a file into the empty table; return all that can be seen of it."""
    bad = tmp_path / "bad.csv"
    bad.unlink(missing_ok=True)
    target = Target(model=model, schema=schema)
    kept = LoadOptions(skip_bad=bad, force=True, **options)
    await execute(db, f"TRUNCATE {model.__tablename__}")
    try:
        source = Source(file=BytesIO(text.encode()), format=kind)
        report = repr(await load(db, source, target=target, options=kept))
    except HowdahError as error:
        report = repr(error)
    left = bad.read_bytes() if bad.exists() else b""
    # As text: NaN equals no other NaN, and 1.50 would equal 1.5.
    return f"{report}\n{await rows_of(db, SHOWN, model)}\n{left!r}"


async def rows_of(db, columns, model=Thing):
    async with db.lane.connection() as connection:
        found = await connection.fetch(
            f"SELECT {columns} FROM {model.__tablename__} ORDER BY id"
        )
    return [tuple(row) for row in found]


async def execute(db, statement):
    async with db.lane.connection() as connection:
        await connection.execute(statement)


async def goes_straight(db, text, schema, null=""):
    """Say whether the rows of a file go straight: all of them, in one piece."""
    return await as_rows(db, text, schema, Thing, null=null) is not None


async def as_rows(db, text, schema, model, **written):
    """Return the rows for COPY that a file is made, if it is, in one piece."""
    source = Source(file=BytesIO(text.encode()), **written)
    target = Target(model=model, schema=schema)
    async with db.lane.connection() as connection:
        types = await types_of(connection, model.__table__)
    with open_reader(source) as reader:
        plan = make_plan(target, reader.names, sparse=reader.sparse)
        way = straight_of(plan, reader.names, source=source, types=types)
        return way and way.rows(next(reader.batches(1000)))


# --- the same both ways -------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=14),
    st.text("ab\\\"\n\r\t,; .'N1", max_size=10),
    st.sampled_from(
        ["", " ", "\\N", "\\.", "NULL", "é€😀", "\ufeff", "\u2028", "\x85"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-40000, 40000).map(str),
    st.integers().map(str),
    st.floats().map(repr),
    st.decimals(allow_nan=True).map(str),
    st.sampled_from("0 -0 -0.0 007 +5 1_000 1e3 1.50 1.005 0.1 13 1_0".split()),  # noqa: SIM905 - words
    st.sampled_from("NaN nan inf -inf Infinity 1e400 1e-400 .5 5. 0x1F".split()),  # noqa: SIM905 - words
    st.sampled_from("32767 32768 999999.99 999999.995 1000000".split()),  # noqa: SIM905 - words
    st.sampled_from(["9223372036854775807", "9223372036854775808", "\u0661"]),
    st.sampled_from([" 5", "5 ", "5\t", "5\u2003", "1 2"]),
)
MOMENTS = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.dates().map(date.isoformat),
    st.sampled_from(
        [
            "2026-01-02T03:04:05+02:00",
            "2026-01-02 03:04:05.1234567Z",
            "2026-01-02T03:04:05+15:59",
            "2026-01-02T03:04:05+23:59",
            "0001-01-01T00:00:00+05:00",
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31",
            "0001-01-01",
            "2026-02-30",
            "1767312000",
            "infinity",
            "now",
            "today",
        ]
    ),
)
FLAGS = st.sampled_from(
    "true false t f yes no on off 1 0 TRUE y n tr 2".split()  # noqa: SIM905 - words
)
OTHERS = {
    "flag": FLAGS,
    "mark": st.one_of(
        st.uuids().map(str), st.uuids().map(lambda mark: mark.hex), st.just("{x}")
    ),
    "traits": st.sampled_from(
        [
            "{}",
            '{"a": "b\\\\n\\tc\\u0000"}',
            '{"a": [1, 2.50, null]}',
            "[1]",
            "{",
            "null",
        ]
    ),
    "colour": st.sampled_from(["red", "blue", "RED", "green"]),
}
CELLS = {
    **dict.fromkeys(("name", "note"), TEXTS),
    **dict.fromkeys(("small", "big", "price", "money", "exact", "loose"), NUMBERS),
    "double": NUMBERS,
    **dict.fromkeys(("day", "seen", "wall"), MOMENTS),
    **OTHERS,
}


def quoted(cell: str, *, always: bool) -> str:
    needed = always or any(character in cell for character in ',"\n\r')
    return '"' + cell.replace('"', '""') + '"' if needed else cell


@st.composite
def files(draw: Any) -> str:
    """Draw a CSV file with some of the columns, most of whose rows are good."""
    known = draw(st.sampled_from([NAMES, STAYING]))
    names = draw(st.lists(st.sampled_from(known), max_size=4, unique=True))
    names = list(dict.fromkeys(["name", "exact", *names]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    good = {"name": st.sampled_from(["a", "b c", "ü"]), "exact": st.just("1.50")}
    lines = [",".join(names)]
    for _ in range(draw(st.integers(0, 7))):
        odd = draw(st.sampled_from([None, *names]))
        cells = [
            draw(CELLS[name] if name == odd else good.get(name, st.just("")))
            for name in names
        ]
        lines.append(
            ",".join(quoted(each, always=draw(st.booleans())) for each in cells)
        )
    if draw(st.integers(0, 4)) == 0:
        odd_lines = ["", "x", "a\x00,1", "a,b,c,d,e,f,g", '"a"b,1', 'a"b', '"a']
        extra = draw(st.sampled_from(odd_lines))
        lines.insert(draw(st.integers(1, len(lines))), extra)
    return end.join(lines) + draw(st.sampled_from(["", end]))


@pytest.mark.parametrize(
    ("model", "chunk"),
    [
        pytest.param(Thing, 1000, id="written anew"),
        pytest.param(Other, 1000, id="as it is"),
        pytest.param(Other, 2, id="in pieces"),
    ],
)
async def test_a_file_comes_to_the_same_straight_and_by_records(
    things, tmp_path, model, chunk
):
    drawn: list[str] = []

    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(files())
    def draw(text: str) -> None:
        drawn.append(text)

    draw()
    for text in drawn:
        straight, records = [
            await loaded(things, text, schema, tmp_path, model, chunk=chunk)
            for schema in (ThingCreate, Looked)
        ]
        assert straight == records, text


NESTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner),
    max_leaves=3,
)


@st.composite
def objects(draw: Any) -> str:
    """Draw a file of JSON objects, most of them good and most with the same keys."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    names = list(dict.fromkeys(["name", "exact", *names]))
    good = {"name": st.sampled_from(["a", "ü"]), "exact": st.sampled_from([1.5, 2])}
    lines = []
    for _ in range(draw(st.integers(1, 7))):
        odd = draw(st.sampled_from([None, None, *names]))
        row = {name: draw(good.get(name, st.none())) for name in names}
        if odd:
            row[odd] = draw(st.one_of(CELLS[odd], NESTED, st.integers(), st.floats()))
        if draw(st.integers(0, 9)) == 0:
            del row[draw(st.sampled_from(names))]
        ascii_ = draw(st.booleans())
        lines.append(json.dumps(row, ensure_ascii=ascii_))
    if draw(st.integers(0, 4)) == 0:
        odd_lines = ["", " ", "0", "{}", "{}\r{}", '{"name": "a"', '"exact": 1}']
        odd_lines += ['{"name": "a", "exact": 1, "name": "b"}', "{},0,{}", "[{}]"]
        lines.insert(draw(st.integers(1, len(lines))), draw(st.sampled_from(odd_lines)))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@pytest.mark.parametrize("chunk", [2, 1000])
async def test_objects_come_to_the_same_straight_and_by_records(
    things, tmp_path, chunk
):
    drawn: list[str] = []

    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(objects())
    def draw(text: str) -> None:
        drawn.append(text)

    draw()
    for text in drawn:
        if any("\ud800" <= each <= "\udfff" for each in text):
            continue
        straight, records = [
            await loaded(things, text, each, tmp_path, kind="ndjson", chunk=chunk)
            for each in (ThingCreate, Looked)
        ]
        assert straight == records, text


@settings(deadline=None, database=None)
@given(st.text('ab,"\n\r\x1e', max_size=30), st.integers(1, 3))
def test_columns_at_one_stroke_are_those_of_the_rows(text, width):
    found = columns_of(text, width=width, delimiter=",")

    if found is not None:
        read = csv.reader(StringIO(text, newline=""), strict=True)
        assert list(map(list, zip(*read, strict=True))) == found.fields
        if found.lines is not None:
            read = csv.reader(found.lines.removesuffix("\n").split("\n"), strict=True)
            assert list(map(list, zip(*read, strict=True))) == found.fields


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a,b\nc,d\n", id="plain"),
        pytest.param("a,b\nc,d", id="no end"),
        pytest.param('a,"b,b"\r\n"c",d\r\n', id="quoted"),
        pytest.param('a,"b\nb"\nc,"""d"', id="line breaks"),
        pytest.param("a" * 40_000 + ",b\n" + "c,d\n" * 40_000, id="long"),
    ],
)
def test_a_plain_text_is_read_at_one_stroke(text):
    found = columns_of(text, width=2, delimiter=",")

    read = csv.reader(StringIO(text, newline=""), strict=True)
    assert found is not None
    assert found.fields == list(map(list, zip(*read, strict=True)))


def test_a_field_that_is_too_long_is_left_to_the_reader_of_rows():
    text = "a" * csv.field_size_limit() + "a,b\n"

    assert columns_of(text, width=2, delimiter=",") is None


# --- what goes straight -------------------------------------------------------------

PLAIN = {
    "name": "a\\b\nc\td",
    "note": "",
    "small": "-32768",
    "big": "9223372036854775807",
    "price": "999999.99",
    "money": "1.50",
    "exact": "12345678901234567890.50",
    "loose": "1e-7",
    "double": "1e300",
    "flag": "yes",
    "day": "2026-01-02",
    "seen": "2026-01-02T03:04:05.5+02:00",
    "wall": "2026-01-02T03:04:05",
    "mark": "00000000-0000-0000-0000-000000000001",
    "traits": '{"a": "b"}',
    "colour": "red",
}


async def test_every_plain_type_goes_straight_and_comes_whole(things, tmp_path):
    text = ",".join(PLAIN) + "\n"
    text += ",".join(quoted(cell, always=False) for cell in PLAIN.values()) + "\n"

    assert await goes_straight(things, text, ThingCreate)
    await loaded(things, text, ThingCreate, tmp_path)

    assert await rows_of(things, f"{SHOWN}, serial IS NULL") == [
        (
            "a\\b\nc\td",
            None,
            -32768,
            9223372036854775807,
            Decimal("999999.99"),
            Decimal("1.50"),
            Decimal("12345678901234567890.50"),
            Decimal("0.0000001"),
            1e300,
            True,
            date(2026, 1, 2),
            datetime(2026, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC),
            datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - as the column has it
            UUID(int=1),
            '{"a": "b"}',
            "RED",
            "pla\\in\t",
            False,
        )
    ]


class Named(BaseModel):
    name: str
    exact: Decimal | None = None


@pytest.mark.parametrize(
    ("text", "format", "rows"),
    [
        pytest.param("a b,1.50\r\nc,\r\n", "text", "a b,1.50,{}\nc,,{}\n", id="plain"),
        pytest.param('"a,b",1\n', "csv", '"a,b",1,{}\n', id="quoted"),
        pytest.param('a,""\n', "csv", 'a,"",{}\n', id="quoted nothing"),
        pytest.param('"a ""b""",1\n', "text", None, id="quote"),
        pytest.param('a"b"c,1\n', "text", None, id="bare quote"),
        pytest.param("\\N,1\n", "text", None, id="backslash"),
        pytest.param('"a\nb",1\n', "text", None, id="line break"),
    ],
)
async def test_lines_stay_as_they_are_where_they_may(things, text, format, rows):  # noqa: A002
    found = await as_rows(things, "name,exact\n" + text, Named, Other)

    assert found.form.format == format
    if rows is None:
        assert found.form.delimiter is None
    else:
        assert found.text.decode() == rows.replace("{}", "it's")


@pytest.mark.parametrize(
    "more",
    [
        pytest.param('{"name": "b", "exact": 1}\n', id="the same keys"),
        pytest.param('{"exact": 1, "name": "\\u00fc\\n\\t"}', id="in another order"),
    ],
)
async def test_objects_with_the_same_keys_go_straight(things, more):
    text = '{"name": "a", "exact": null}\n' + more

    found = await as_rows(things, text, Named, Other, format="ndjson")

    assert found.text.startswith(b"a\t\\N\t")
    assert found.text.count(b"\n") == 2


async def test_ways_of_writing_change_within_a_file(things, tmp_path):
    names = [f"{n}\t" if n % 50 else f'"{n}"' for n in range(200)]
    lines = [quoted(name, always=n > 90) + ",1\n" for n, name in enumerate(names)]
    text = "name,exact\n" + "".join(lines)

    report = await loaded(things, text, Named, tmp_path, Other, chunk=1)

    assert "loaded=200" in report
    assert [name for (name,) in await rows_of(things, "name", Other)] == names


class Seen(Named):
    seen: datetime


class Noted(Named):
    note: str | None = None


class Small(Named):
    small: int


class WithModelValidator(Named):
    @model_validator(mode="before")
    @classmethod
    def look(cls, data: Any) -> Any:
        return data


class WithInfo(Named):
    @field_validator("exact")
    @classmethod
    def look(cls, value: Any, info: ValidationInfo) -> Any:
        return None if info.data.get("name") == "none" else value


class WithDefaultOfData(Named):
    note: str = Field(default_factory=lambda data: data["name"])


class WithJudgedDefault(Named):
    small: int = Field(default="5", validate_default=True)


class WithInit(Named):
    def __init__(self, **data: Any) -> None:
        super().__init__(**{**data, "exact": 1})


class WithEnding(Named):
    def model_post_init(self, _context: Any) -> None:
        self.exact = Decimal(1)


class WithSwappedNames(Named):
    note: str | None = None
    exact: Decimal | None = Field(default=None, validation_alias="note")


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(each, id=each.__name__)
        for each in (
            *(WithModelValidator, WithInfo, WithDefaultOfData, WithJudgedDefault),
            *(WithInit, WithEnding, WithSwappedNames),
        )
    ],
)
async def test_a_schema_that_may_look_at_a_whole_row_goes_by_records(things, schema):
    text = "name\na\n"

    assert await goes_straight(things, text, Named)
    assert not await goes_straight(things, text, schema)


async def test_a_rule_of_one_value_is_heard_on_the_straight_way(things, tmp_path):
    class Doubling(BaseModel):
        name: Annotated[str, AfterValidator(str.upper)]
        exact: Annotated[Decimal, AfterValidator(lambda value: value * 2)]
        note: str = Field(default_factory=lambda: "made")

    text = "name,exact,note\na,1.5,\nb,2,given\n"

    assert await goes_straight(things, text, Doubling)
    await loaded(things, text, Doubling, tmp_path)

    found = await rows_of(things, "name, exact, note")
    assert found == [("A", Decimal("3.0"), "made"), ("B", Decimal(4), "given")]


async def test_a_schema_of_sqlmodel_goes_straight(things):
    class Made(SQLModel):
        name: str
        exact: Decimal | None = None

    assert await goes_straight(things, "name,exact\na,1\n", Made)


async def test_the_types_of_the_database_decide_what_goes_straight(things, tmp_path):
    text = "name,seen\na,2026-01-02T03:04:05+02:00\n"
    await execute(things, "ALTER TABLE things ALTER seen TYPE timestamp")

    assert not await goes_straight(things, text, Seen)
    straight = await loaded(things, text, Seen, tmp_path)

    # As text, the hour would be in the table, and the zone nowhere.
    assert "does not fit the type of its column" in straight


async def test_a_null_of_its_own_leaves_an_empty_text(things):
    text = "name,note,exact\na,,NULL\nb,NULL,1\n\\N,\\N,2\n"
    target = Target(model=Thing, schema=Noted)

    await load(things, Source(file=BytesIO(text.encode()), null="NULL"), target=target)

    assert await goes_straight(things, text, Noted, null="NULL")
    found = await rows_of(things, "name, note, exact")
    assert found == [("a", "", None), ("b", None, 1), ("\\N", "\\N", 2)]


async def test_a_row_that_the_table_refuses_is_found_among_pieces(things, tmp_path):
    lines = [f"a{n},{n % 12}\n" for n in range(4000)]
    lines[2500] = "bad,13\n"
    path = tmp_path / "rows.csv"
    path.write_text("name,small\n" + "".join(lines))
    told: list[Progress] = []
    options = LoadOptions(
        chunk=500, skip_bad=tmp_path / "bad.csv", progress=told.append
    )
    target = Target(model=Thing, schema=Small)

    report = await load(things, Source(file=path), target=target, options=options)

    assert (report.read, report.loaded) == (4000, 3999)
    assert [(each.line, each.reason) for each in report.refusals] == [
        (2502, "breaks the rule no_thirteen")
    ]
    assert [each.read for each in told] == [500 * n for n in range(1, 9)]
    names = [name for (name,) in await rows_of(things, "name")]
    assert names == [f"a{n}" for n in range(4000) if n != 2500]


async def test_a_bad_row_far_behind_leaves_nothing(things, tmp_path):
    text = "name,small\n" + "a,1\n" * 3000 + "b,x\n"
    target = Target(model=Thing, schema=Small)
    options = LoadOptions(chunk=500)

    report = await load(
        things, Source(file=BytesIO(text.encode())), target=target, options=options
    )

    assert (report.loaded, report.refused) == (0, 1)
    assert [each.line for each in report.refusals] == [3002]
    assert await rows_of(things, "id") == []


@pytest.mark.parametrize("refused", ["a,1\n", "a,13\n"])
async def test_a_line_that_ends_the_load_ends_a_copy_as_well(things, refused):
    text = "name,small\n" + refused + "a,1\n" * 2999 + '"b,2\nc,3\n'
    target = Target(model=Thing, schema=Small)
    options = LoadOptions(chunk=500)
    source = Source(file=BytesIO(text.encode()))

    with pytest.raises(Invalid, match="line 3002: a quoted field"):
        await load(things, source, target=target, options=options)

    assert await rows_of(things, "id") == []


async def test_more_rows_than_one_copy_takes_come_in_order(things):
    note = "x" * 100_000
    text = "name,note\n" + "".join(f"a{n},{note}\n" for n in range(100))
    target = Target(model=Thing, schema=Noted)
    options = LoadOptions(chunk=5)

    report = await load(
        things, Source(file=BytesIO(text.encode())), target=target, options=options
    )

    assert report.loaded == 100
    names = [name for (name,) in await rows_of(things, "name")]
    assert names == [f"a{n}" for n in range(100)]
