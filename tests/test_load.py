"""Files into tables: what is loaded, what is refused, and how it is said."""

import asyncio
import enum
import io
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from catalogue import Item, ItemCreate, create_tables
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Numeric,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah.errors import Invalid, Misconfigured, MissingReference, NotFound, Timeout
from howdah.load import LoadOptions, Refusal, Source, Target, load

pytestmark = pytest.mark.anyio

TRACKS = Path(__file__).parents[2] / "shared" / "data" / "tracks.csv"
ITEMS = Target(model=Item, schema=ItemCreate)
RELATED = LoadOptions(create_related=True)
TOO_LONG = "String should have at most 100 characters"


class Base(DeclarativeBase):
    pass


class Maker(Base):
    __tablename__ = "makers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    since: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: datetime.now(UTC)
    )


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(20), unique=True)
    floor: Mapped[int]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Part(Base):
    __tablename__ = "parts"
    __table_args__ = (
        UniqueConstraint("maker_id", "serial", name="one_serial_a_maker"),
        CheckConstraint("amount <> 13", name="no_thirteen"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(Text, unique=True)
    amount: Mapped[int] = mapped_column(SmallInteger)
    weight: Mapped[float | None] = mapped_column(Double)
    exact: Mapped[Decimal | None] = mapped_column(Numeric)
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour, name="colour"))
    traits: Mapped[dict | None] = mapped_column(JSONB)
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    seen: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    serial: Mapped[int | None]
    mark: Mapped[UUID] = mapped_column(default=uuid4)
    kind: Mapped[str] = mapped_column(Text, default="plain")
    made: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    changed: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=func.now()
    )
    maker_id: Mapped[int | None] = mapped_column(ForeignKey("makers.id"))
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))
    owner_id: Mapped[int | None] = mapped_column(
        ForeignKey("makers.id", deferrable=True, initially="DEFERRED")
    )
    maker: Mapped[Maker | None] = relationship(foreign_keys=[maker_id])


class PartCreate(BaseModel):
    id: int | None = None
    code: str = Field(validation_alias="Code")
    amount: int = 1
    weight: float | None = None
    exact: Decimal | None = None
    colour: Colour | None = None
    traits: dict | None = None
    tags: list[str] | None = None
    seen: datetime | None = None
    serial: int | None = None
    maker_id: int | None = None
    shelf_id: int | None = None
    owner_id: int | None = None
    secret: str | None = None

    @model_validator(mode="after")
    def heavy_parts_are_few(self):
        if self.weight and self.weight > 1000 and self.amount > 10:
            raise ValueError("heavy parts are few")
        return self


PARTS = Target(model=Part, schema=PartCreate)


@pytest.fixture
async def items(db):
    await create_tables(db)
    return db


@pytest.fixture
async def parts(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return db


@pytest.fixture
def write(tmp_path):
    def write(text, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


async def rows(db, statement):
    async with db.lane.connection() as connection:
        return [tuple(row) for row in await connection.fetch(statement)]


async def count(db, table="items"):
    return await db.lane.fetchval(f"SELECT count(*) FROM {table}")


def lines_of(report):
    return [(refusal.line, refusal.column) for refusal in report.refusals]


async def load_parts(db, path, options=None, **source):
    if path.suffix == ".ndjson":
        source["format"] = "ndjson"
    return await load(
        db, Source(file=path, **source), target=PARTS, options=options or LoadOptions()
    )


# --- the real file ------------------------------------------------------------------

needs_tracks = pytest.mark.skipif(
    not TRACKS.exists(), reason="the tracks of ../shared/data are not there"
)


@needs_tracks
async def test_three_long_names_of_the_tracks_stop_all(items):
    report = await load(items, Source(file=TRACKS), target=ITEMS, options=RELATED)

    assert (report.read, report.loaded, report.refused) == (3503, 0, 3)
    assert report.refusals == tuple(
        Refusal(line=line, column="name", reason=TOO_LONG)
        for line in (1135, 1145, 3486)
    )
    assert report.created_related == {}
    assert (await count(items), await count(items, "categories")) == (0, 0)


@needs_tracks
async def test_the_other_tracks_load_and_the_three_can_be_mended(items, tmp_path):
    bad = tmp_path / "bad.csv"
    options = LoadOptions(create_related=True, skip_bad=bad)

    report = await load(items, Source(file=TRACKS), target=ITEMS, options=options)

    assert (report.loaded, report.refused) == (3500, 3)
    assert report.created_related == {"categories": 25}
    assert await count(items) == 3500
    assert await count(items, "categories") == 25
    original = TRACKS.read_bytes().splitlines(keepends=True)
    assert bad.read_bytes().splitlines(keepends=True) == [
        original[0],
        *(original[line - 1] for line in (1135, 1145, 3486)),
    ]

    mended = tmp_path / "mended.csv"
    table = [line.split(b",") for line in bad.read_bytes().splitlines()]
    mended.write_bytes(b"\n".join([b",".join(table[0]), b"Jesus,,0.99,,Rock", b""]))
    report = await load(items, Source(file=mended), target=ITEMS)
    assert report.loaded == 1


@pytest.mark.slow
@needs_tracks
@pytest.mark.parametrize(
    ("column", "value"),
    [
        pytest.param("category", "Rock", id="records"),
        pytest.param("is_active", "1", id="straight"),
    ],
)
async def test_memory_does_not_grow_with_the_file(
    items, tmp_path, database_url, column, value
):
    text = "".join(
        f'"Name, {n}","A description of some length for row {n}",0.99,,{value}\n'
        for n in range(200_000)
    )
    path = tmp_path / "big.csv"
    path.write_text(f"name,description,price,tax,{column}\n" + text)
    script = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from catalogue import Item, ItemCreate
from howdah import Database
from howdah.load import LoadOptions, Source, Target, load

async def main():
    async with Database({database_url!r}) as db:
        target = Target(model=Item, schema=ItemCreate)
        source = Source(file=Path({str(path)!r}))
        options = LoadOptions(create_related=True)
        report = await load(db, source, target=target, options=options)
        # Of this program alone: getrusage would count what its parent was before.
        status = Path("/proc/self/status").read_text()
        print(report.loaded, status.partition("VmHWM:")[2].split()[0])

asyncio.run(main())
"""

    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    loaded, kilobytes = map(int, done.stdout.split())
    assert loaded == 200_000
    assert kilobytes < 200 * 1024


# --- CSV as people have it ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param(b"name,price\ncaf\xc3\xa9,1\n", "utf-8", id="plain"),
        pytest.param(b"\xef\xbb\xbfname,price\ncaf\xc3\xa9,1\n", "utf-8", id="BOM"),
        pytest.param(b"name,price\r\ncaf\xc3\xa9,1\r\n", "utf-8", id="CRLF"),
        pytest.param(b"name,price\rcaf\xc3\xa9,1\r", "utf-8", id="CR"),
        pytest.param(b"name,price\ncaf\xc3\xa9,1", "utf-8", id="no last newline"),
        pytest.param(b"\n\nname,price\n\n\ncaf\xc3\xa9,1\n\n", "utf-8", id="gaps"),
        pytest.param(b" name , price \ncaf\xc3\xa9,1\n", "utf-8", id="padded names"),
        pytest.param(b"name,price\ncaf\xe9,1\n", "latin-1", id="latin-1"),
        pytest.param("name,price\ncafé,1\n".encode("utf-16"), "utf-16", id="utf-16"),
    ],
)
async def test_a_file_is_read_as_it_was_saved(items, write, text, encoding):
    source = Source(file=write(text), encoding=encoding)

    report = await load(items, source, target=ITEMS)

    assert report.loaded == 1
    assert await rows(items, "SELECT name, price FROM items") == [("café", 1)]


async def test_quoted_fields_hold_commas_quotes_and_lines(items, write):
    text = 'name,description,price\n"a, ""b""","one\ntwo\r\nthree",1\nc,d,0\ne,f,2\n'

    report = await load(items, Source(file=write(text)), target=ITEMS)

    # The record before it spans lines 2 to 4.
    assert lines_of(report) == [(5, "price")]
    good = write(text.replace("c,d,0\n", ""))
    await load(items, Source(file=good), target=ITEMS)
    assert await rows(items, "SELECT name, description FROM items ORDER BY price") == [
        ('a, "b"', "one\ntwo\r\nthree"),
        ("e", "f"),
    ]


async def test_another_delimiter_is_taken_and_asked_for(items, write):
    path = write("name;price\na;1\n")

    with pytest.raises(Invalid, match="--delimiter ';'"):
        await load(items, Source(file=path), target=ITEMS)
    report = await load(items, Source(file=path, delimiter=";"), target=ITEMS)

    assert report.loaded == 1


async def test_an_empty_field_is_the_default_and_never_an_empty_text(items, write):
    text = "name,description,price,tax,is_active\na,,1,,\n,x,1,1,true\n"

    report = await load(items, Source(file=write(text)), target=ITEMS)

    reason = "is required and has no value"
    assert report.refusals == (Refusal(line=3, column="name", reason=reason),)
    await load(items, Source(file=write(text[: text.index("\n,")])), target=ITEMS)
    found = await rows(items, "SELECT description, tax, is_active FROM items")
    assert found == [(None, None, True)]


async def test_null_may_have_a_text_of_its_own(items, write):
    path = write("name,description,price\na,,1\nb,NULL,2\n")

    await load(items, Source(file=path, null="NULL"), target=ITEMS)

    found = await rows(items, "SELECT name, description FROM items ORDER BY price")
    assert found == [("a", ""), ("b", None)]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        pytest.param(b"a", None, "has 1 fields where line 1 names 2", id="too few"),
        pytest.param(b"a,1,2", None, "has 3 fields where line 1", id="too many"),
        pytest.param(b"a\x00b,1", "name", "NUL byte", id="NUL"),
        pytest.param(b"caf\xe9,1", "name", "not valid in the file's", id="not UTF-8"),
        pytest.param(b"a,NaN", "price", "finite", id="NaN"),
        pytest.param(b"a,1e400", "price", "12 digits", id="1e400"),
        pytest.param(b"a,0", "price", "greater than 0", id="rule"),
        pytest.param(b'"a"b,1', None, "no line of CSV", id="quote inside"),
        pytest.param(b"a" * 140_000 + b",1", None, "field limit", id="huge field"),
    ],
)
async def test_a_bad_row_is_named_and_kept_as_it_was(
    items, write, tmp_path, row, column, reason
):
    path = write(b"name,price\ngood,1\n" + row + b"\nfine,2\n")
    bad = tmp_path / "bad.csv"

    report = await load(
        items, Source(file=path), target=ITEMS, options=LoadOptions(skip_bad=bad)
    )

    assert (report.read, report.loaded, report.skipped_to) == (3, 2, bad)
    assert lines_of(report) == [(3, column)]
    assert reason in report.refusals[0].reason
    assert bad.read_bytes() == b"name,price\n" + row + b"\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "the file is empty", id="empty"),
        pytest.param("\n\n", "the file is empty", id="only empty lines"),
        pytest.param("name,price,name\n", "'name' twice", id="twice"),
        pytest.param("name,,price\n", "column 2 no name", id="nameless"),
        pytest.param("name,prise\n", "no column 'prise'; it knows price", id="typo"),
        pytest.param("name,zzz\n", "'zzz'; it knows category, category_id", id="other"),
        pytest.param("name\na\n", "no column 'price', which ItemCreate", id="lacking"),
        pytest.param("name,price,category,category_id\n", "both give", id="both"),
        pytest.param('name,price\na,1\n"b,2\nc,3\n', "line 3: a quoted", id="unclosed"),
        pytest.param('name,price\n"' + "x\n" * 99_999, "line 2: a quoted", id="long"),
        pytest.param(b"n\xe4me,price\n", "bytes that are no text", id="head encoding"),
    ],
)
async def test_a_file_that_cannot_be_loaded_at_all_says_why(
    items, write, text, message
):
    with pytest.raises(Invalid) as caught:
        await load(items, Source(file=write(text)), target=ITEMS)

    assert message in caught.value.message
    assert await count(items) == 0


async def test_a_head_without_rows_loads_nothing_and_is_no_error(items, write):
    report = await load(items, Source(file=write("name,price\n")), target=ITEMS)

    assert (report.read, report.loaded, report.refused) == (0, 0, 0)


async def test_a_file_that_is_not_there_is_named(items, tmp_path):
    with pytest.raises(NotFound, match=r"none\.csv"):
        await load(items, Source(file=tmp_path / "none.csv"), target=ITEMS)
    with pytest.raises(Invalid, match="cannot be read"):
        await load(items, Source(file=tmp_path), target=ITEMS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"encoding": "klingon"}, "no encoding 'klingon'", id="encoding"),
        pytest.param({"delimiter": "::"}, "'::' is not one", id="delimiter"),
    ],
)
async def test_a_source_that_makes_no_sense_is_refused(items, write, options, message):
    path = write("name,price\n")

    with pytest.raises(Misconfigured, match=message):
        await load(items, Source(file=path, **options), target=ITEMS)


async def test_a_stream_is_read_once_and_left_open(items):
    stream = io.BytesIO(b"name,price\na,1\n")

    report = await load(items, Source(file=stream), target=ITEMS)

    assert report.loaded == 1
    assert not stream.closed


async def test_a_line_without_end_is_not_read_into_memory(items):
    stream = io.BytesIO(b"name,price\n" + b"x" * (17 * 1024 * 1024))

    with pytest.raises(Invalid, match="line 2 is longer than"):
        await load(items, Source(file=stream), target=ITEMS)


# --- NDJSON -------------------------------------------------------------------------


async def test_objects_with_other_keys_and_exact_numbers_are_loaded(parts, write):
    lines = [
        '{"Code": "a", "exact": 0.1234567890123456789012345, "traits": {"x": 0.5}}',
        "",
        '{"code": "b", "tags": ["t", "u"], "colour": "red", "amount": 2}',
        '{"code": "c", "seen": "2026-01-02T03:04:05", "weight": 1.5, "traits": null}',
    ]

    report = await load_parts(parts, write("\n".join(lines), "rows.ndjson"))

    assert report.loaded == 3
    found = await rows(
        parts,
        "SELECT code, exact, traits, tags, colour::text, amount, seen, weight "
        "FROM parts ORDER BY code",
    )
    exact = Decimal("0.1234567890123456789012345")
    seen = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found == [
        ("a", exact, '{"x": 0.5}', None, None, 1, None, None),
        ("b", None, None, ["t", "u"], "RED", 2, None, None),
        ("c", None, None, None, None, 1, seen, 1.5),
    ]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        pytest.param(b'{"code": "\\ud800"}', "code", "lone surrogate", id="surrogate"),
        pytest.param(b'{"code": "\\u0000"}', "code", "NUL byte", id="NUL"),
        pytest.param(b'{"traits": {"a": ["\\u0000"]}, "code": "x"}', "traits", "NUL"),
        pytest.param(b'{"code": "\xe9"}', None, "not valid in", id="not UTF-8"),
        pytest.param(b'{"code": "x", "code": "y"}', None, "'code' comes twice"),
        pytest.param(b'{"code": "x", "weight": NaN}', None, "NaN is no number"),
        pytest.param(b'{"code": "x", "weight": 1e400}', "weight", "finite", id="inf"),
        pytest.param(b'{"code": "x"', None, "is no JSON: ", id="broken"),
        pytest.param(b'{"code": "x"} {}', None, "is no JSON: ", id="two"),
        pytest.param(b"[1]", None, "is no JSON object", id="list"),
        pytest.param(b"[" * 100_000, None, "is no JSON", id="deep"),
        pytest.param(b'{"code": "x", "amount": 99999}', "amount", "between -32768"),
        pytest.param(b'{"code": "x", "amount": %d}' % 2**200, "amount", "between"),
        pytest.param(b'{"code": "x", "colr": 1}', "colr", "no column of parts"),
        pytest.param(b'{"code": "x", "id": 7}', "id", "first line", id="late id"),
        pytest.param(b'{"amount": 7}', "code", "required", id="missing"),
        pytest.param(b'{"code": "x", "maker": 7}', "maker", "a name, in a text"),
        pytest.param(b'{"code": "x", "weight": 1001, "amount": 11}', None, "are few"),
    ],
)
async def test_a_bad_line_is_named_and_kept_as_it_was(
    parts, write, tmp_path, line, column, reason
):
    path = write(b'{"code": "good"}\n' + line + b'\n{"code": "fine"}', "rows.ndjson")
    bad = tmp_path / "bad.ndjson"

    report = await load_parts(parts, path, LoadOptions(skip_bad=bad))

    assert (report.loaded, report.refused) == (2, 1)
    assert lines_of(report) == [(2, column)]
    assert reason in report.refusals[0].reason
    assert bad.read_bytes() == line + b"\n"


async def test_the_first_line_tells_at_once_that_a_key_is_wrong(parts, write):
    with pytest.raises(Invalid, match="no column 'weihgt'; it knows weight"):
        await load_parts(parts, write('{"code": "x", "weihgt": 1}\n', "rows.ndjson"))
    with pytest.raises(Invalid, match="line 2 is no JSON"):
        await load_parts(parts, write("\n[[}\n", "rows.ndjson"))


async def test_an_empty_ndjson_file_loads_nothing(parts, write):
    report = await load_parts(parts, write("", "rows.ndjson"))

    assert report.read == 0


# --- columns, types, defaults -------------------------------------------------------


async def test_csv_reaches_every_type_of_column(parts, write):
    text = (
        "Code,amount,weight,exact,colour,traits,tags,seen\n"
        'a,-32768,1e-3,12345678901234567890.5,blue,"{""k"": [1, 2.5]}","[""x,y""]",'
        "2026-01-02T03:04:05+02:00\n"
    )

    await load_parts(parts, write(text))

    found = await rows(
        parts,
        "SELECT amount, weight, exact, colour::text, traits, tags, seen FROM parts",
    )
    assert found == [
        (
            -32768,
            0.001,
            Decimal("12345678901234567890.5"),
            "BLUE",
            '{"k": [1, 2.5]}',
            ["x,y"],
            datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC),
        )
    ]


async def test_defaults_of_python_and_of_the_server_are_applied(parts, write):
    await load_parts(parts, write("Code\na\nb\n"))

    found = await rows(
        parts, "SELECT id, amount, kind, mark, made, changed FROM parts ORDER BY id"
    )
    assert [(row[0], row[1], row[2], row[5]) for row in found] == [
        (1, 1, "plain", None),
        (2, 1, "plain", None),
    ]
    assert found[0][3] != found[1][3]
    assert found[0][4] is not None


async def test_an_id_may_be_given_where_the_schema_has_one(parts, items, write):
    await load_parts(parts, write("id,Code\n41,a\n"))

    assert await rows(parts, "SELECT id FROM parts") == [(41,)]
    with pytest.raises(Invalid, match="takes no column 'id'"):
        await load(items, Source(file=write("id,name,price\n1,a,1\n")), target=ITEMS)


async def test_a_field_without_a_column_cannot_be_loaded(parts, write):
    with pytest.raises(Invalid, match="'secret', but parts has no such column"):
        await load_parts(parts, write("Code,secret\na,b\n"))


async def test_a_table_is_no_schema(items, write):
    target = Target(model=Item, schema=Item)

    with pytest.raises(Misconfigured, match="create_schema"):
        await load(items, Source(file=write("name,price\n")), target=target)


async def test_a_table_that_is_not_migrated_says_so(db, write):
    with pytest.raises(Misconfigured, match="alembic upgrade head"):
        await load(db, Source(file=write("name,price\na,1\n")), target=ITEMS)


async def test_a_strict_schema_reads_the_texts_of_a_csv(items, write):
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)

        name: str
        price: Decimal

    target = Target(model=Item, schema=Strict)

    report = await load(items, Source(file=write("name,price\na,1.5\n")), target=target)

    assert report.loaded == 1


# --- relations ----------------------------------------------------------------------


async def test_an_unknown_name_of_a_relation_names_the_cure(items, write):
    path = write("name,price,category\na,1,Rock\nb,1,\n")

    report = await load(items, Source(file=path), target=ITEMS)

    assert lines_of(report) == [(2, "category")]
    assert "--create-related" in report.refusals[0].reason


async def test_a_refused_row_creates_no_related_row(items, write, tmp_path):
    path = write("name,price,category\na,1,Rock\nb,0,Jazz\nc,1,Rock\n")
    options = LoadOptions(create_related=True, skip_bad=tmp_path / "bad.csv")

    report = await load(items, Source(file=path), target=ITEMS, options=options)

    assert lines_of(report) == [(3, "price")]
    assert report.created_related == {"categories": 1}
    assert await rows(items, "SELECT name FROM categories") == [("Rock",)]


async def test_a_related_row_that_the_table_refuses_is_named(items, write, tmp_path):
    path = write(f"name,price,category\na,1,{'x' * 51}\nb,1,Rock\n")
    options = LoadOptions(create_related=True, skip_bad=tmp_path / "bad.csv")

    report = await load(items, Source(file=path), target=ITEMS, options=options)

    assert (report.loaded, lines_of(report)) == (1, [(2, "category")])
    assert "longer than its column" in report.refusals[0].reason


async def test_related_rows_get_their_defaults(parts, write):
    report = await load_parts(parts, write("Code,maker\na,ACME\n"), RELATED)

    assert report.created_related == {"makers": 1}
    found = await rows(
        parts,
        "SELECT parts.code, makers.name FROM parts JOIN makers "
        "ON makers.id = maker_id WHERE since IS NOT NULL",
    )
    assert found == [("a", "ACME")]


async def test_related_rows_that_need_more_than_a_name_are_not_made(parts, write):
    path = write("Code,shelf\na,S1\n")

    with pytest.raises(Misconfigured, match="shelves needs 'floor' as well"):
        await load_parts(parts, path, RELATED)
    await parts.lane.fetchval("INSERT INTO shelves (code, floor) VALUES ('S1', 2)")
    report = await load_parts(parts, path)

    assert report.loaded == 1


# --- what only the table knows ------------------------------------------------------


async def test_rows_that_the_table_refuses_are_found_in_a_large_block(
    parts, write, tmp_path
):
    await parts.lane.fetchval(
        "INSERT INTO makers (id, name, since) VALUES (1, 'ACME', now())"
    )
    lines = [f"p{n},1,1,{n}\n" for n in range(3000)]
    lines[10] = "p9,1,1,10\n"
    lines[500] = "p500,13,1,500\n"
    lines[501] = "p501,1,99,501\n"
    lines[2000] = "p2000,1,1,1999\n"
    lines[2999] = "p0,1,1,2999\n"
    bad = tmp_path / "bad.csv"
    path = write("Code,amount,maker_id,serial\n" + "".join(lines))

    report = await load_parts(parts, path, LoadOptions(skip_bad=bad, chunk=1000))

    assert [(one.line, one.column, one.reason) for one in report.refusals] == [
        (12, "Code", "is already taken by another row"),
        (502, "amount", "breaks the rule no_thirteen"),
        (503, "maker_id", "refers to a row that does not exist"),
        (2002, "maker_id, serial", "is already taken by another row"),
        (3001, "Code", "is already taken by another row"),
    ]
    assert report.loaded == await count(parts, "parts") == 2995
    assert len(bad.read_text().splitlines()) == 6


async def test_a_second_load_of_the_same_rows_refuses_each(parts, write):
    path = write("Code\n" + "".join(f"p{n}\n" for n in range(300)))
    await load_parts(parts, path)

    report = await load_parts(parts, path, LoadOptions(show=2))

    assert (report.loaded, report.refused) == (0, 300)
    assert lines_of(report) == [(2, "Code"), (3, "Code")]
    assert await count(parts, "parts") == 300


async def test_a_trigger_may_refuse_a_row_in_its_own_words(parts, write, tmp_path):
    async with parts.lane.connection() as connection:
        await connection.execute(
            """
            CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.code = 'b' THEN RAISE EXCEPTION 'we take no b'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER picky BEFORE INSERT ON parts
                FOR EACH ROW EXECUTE FUNCTION picky();
            """
        )

    report = await load_parts(parts, write("Code\na\nb\nc\n"))

    assert report.refusals == (Refusal(line=3, column=None, reason="we take no b"),)


async def test_a_constraint_deferred_to_the_commit_loads_nothing(
    parts, write, tmp_path
):
    bad = tmp_path / "bad.csv"
    path = write("Code,owner_id,amount\na,99,1\nb,,99999\n")

    with pytest.raises(MissingReference) as caught:
        await load_parts(parts, path, LoadOptions(skip_bad=bad))

    assert caught.value.fields == ("owner_id",)
    assert await count(parts, "parts") == 0
    assert list(tmp_path.iterdir()) == [path]


async def test_a_value_of_a_row_stays_out_of_the_refusal(parts, write):
    path = write("Code,amount\nsecret-1,1\nsecret-1,secret-2\nsecret-1,1\n")

    report = await load_parts(parts, path)

    assert lines_of(report) == [(3, "amount"), (4, "Code")]
    assert "secret" not in repr(report)


async def test_a_statement_timeout_does_not_end_a_load(parts, write):
    async with parts.lane.connection() as connection:
        await connection.execute(
            """
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON parts
                FOR EACH STATEMENT EXECUTE FUNCTION slow();
            SET statement_timeout = 100
            """
        )

    report = await load_parts(parts, write("Code\na\n"))

    assert report.loaded == 1
    # And it is only for the load that the limit is off.
    with pytest.raises(Timeout):
        await parts.lane.fetchval("SELECT pg_sleep(1)")


async def test_progress_tells_bytes_and_rows(items, write):
    path = write("name,price\n" + "a,1\n" * 5 + "b,0\n")
    told = []
    options = LoadOptions(chunk=4, progress=told.append)

    await load(items, Source(file=path), target=ITEMS, options=options)

    assert [(each.read, each.refused) for each in told] == [(4, 0), (6, 1)]
    assert told[-1].bytes == told[-1].total == path.stat().st_size


async def test_a_cancelled_load_leaves_nothing(items, tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"name,price\n" + b"a,1\n" * 12_000)
    bad = tmp_path / "bad.csv"
    with os.fdopen(reading, "rb", buffering=0) as stream:
        source = Source(file=stream)
        options = LoadOptions(skip_bad=bad, chunk=1000)
        task = asyncio.create_task(load(items, source, target=ITEMS, options=options))
        await asyncio.sleep(0.5)

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert await count(items) == 0
        # The server is told to stop the COPY before the connection is closed.
        await asyncio.wait_for(given_back(items), 20)
        assert list(tmp_path.iterdir()) == []
        os.close(writing)


# --- the file of refused rows -------------------------------------------------------


async def test_an_existing_file_is_overwritten_only_by_force(items, write, tmp_path):
    path = write("name,price\na,0\n")
    bad = tmp_path / "bad.csv"
    bad.write_text("precious")

    with pytest.raises(Misconfigured, match="exists already"):
        await load(
            items, Source(file=path), target=ITEMS, options=LoadOptions(skip_bad=bad)
        )
    assert bad.read_text() == "precious"
    options = LoadOptions(skip_bad=bad, force=True)
    await load(items, Source(file=path), target=ITEMS, options=options)

    assert bad.read_text() == "name,price\na,0\n"


async def test_the_loaded_file_is_never_the_file_of_refused_rows(items, write):
    path = write("name,price\na,0\n")
    options = LoadOptions(skip_bad=path, force=True)

    with pytest.raises(Misconfigured, match="is the file that is loaded"):
        await load(items, Source(file=path), target=ITEMS, options=options)

    assert path.read_text() == "name,price\na,0\n"


async def test_without_refused_rows_no_file_is_made(items, write, tmp_path):
    path = write("name,price\na,1\n")
    options = LoadOptions(skip_bad=tmp_path / "bad.csv")

    report = await load(items, Source(file=path), target=ITEMS, options=options)

    assert report.skipped_to is None
    assert list(tmp_path.iterdir()) == [path]


# --- the command line ---------------------------------------------------------------

APP = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from catalogue import make_app
from howdah import Database
app = make_app(Database())
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text(APP)
    return folder


def command(database_url, *arguments):
    environment = {**os.environ, "DATABASE_URL": database_url}
    return {
        "args": [sys.executable, "-m", "howdah", "load", *map(str, arguments)],
        "env": environment,
    }


async def howdah_load(project, database_url, *arguments, stdin=b""):
    return await asyncio.to_thread(
        subprocess.run,
        **command(database_url, *arguments),
        cwd=project,
        input=stdin,
        capture_output=True,
    )


async def test_the_command_loads_standard_input(items, project, database_url):
    done = await howdah_load(
        project,
        database_url,
        *("-", "--format", "ndjson", "--table", "items", "--create-related"),
        stdin=b'{"name": "a", "price": 1, "category": "Rock"}\n',
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"1 row loaded into items, 1 made in categories\n"
    assert await count(items) == 1


async def test_the_command_lists_what_was_refused(items, project, database_url, write):
    path = write("name,price\na,0\n\x1b[31m,1,2\nb,\nc,1\n")

    done = await howdah_load(
        project, database_url, path, "--table", "items", "--show", "2"
    )

    assert done.returncode == 1
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert lines[0] == f"{path}:2: price: Input should be greater than 0"
    assert lines[1] == f"{path}:3: has 3 fields where line 1 names 2 columns"
    assert lines[2] == "... and 1 more (--show)"
    assert lines[3].startswith("error: nothing was loaded into items: 3 of 4 rows")
    assert await count(items) == 0


async def test_the_command_skips_what_is_bad(items, project, database_url, write):
    path = write("name,price\na,0\nb,1\n")

    done = await howdah_load(
        project, database_url, path, "--table", "items", "--skip-bad", "bad.csv"
    )

    assert done.returncode == 0, done.stderr
    assert b"1 row loaded into items, 1 row refused, kept in bad.csv" in done.stdout
    assert (project / "bad.csv").read_text() == "name,price\na,0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["none.csv", "--table", "items"], "no file none.csv", id="file"),
        pytest.param(["-", "--table", "items"], "--format", id="no format"),
        pytest.param(["x.txt", "--table", "items"], "--format", id="suffix"),
        pytest.param(["x", "--table", "a", "--format", "xml"], "'xml'", id="format"),
        pytest.param(
            ["x.csv", "--table", "itms"], "it has categories, items", id="table"
        ),
    ],
)
async def test_a_wrong_call_ends_with_code_two(
    project, database_url, arguments, message
):
    done = await howdah_load(project, database_url, *arguments)

    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


async def test_outside_a_project_the_command_says_so(tmp_path, database_url):
    done = await howdah_load(tmp_path, database_url, "x.csv", "--table", "items")

    assert done.returncode == 2
    assert b"no app src.main:app" in done.stderr


async def test_an_interrupted_command_loads_nothing(items, project, database_url):
    process = subprocess.Popen(  # noqa: ASYNC220 - it only starts
        **command(database_url, "-", "--format", "csv", "--table", "items"),
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        process.stdin.write(b"name,price\n" + b"a,1\n" * 12_000)
        process.stdin.flush()
        await wait_for_copy(items)

        process.send_signal(signal.SIGINT)

        assert await asyncio.to_thread(process.wait, 10) == 130
    assert await count(items) == 0


async def given_back(db):
    while db.lane.busy:  # noqa: ASYNC110 - a lane has no event to wait for
        await asyncio.sleep(0.01)


async def wait_for_copy(db):
    """Wait until a connection other than ours is inside its load."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        loading = await db.lane.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%SAVEPOINT "
            "howdah_load%' AND datname = current_database() AND state LIKE 'idle in%'"
        )
        if loading:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the load has not begun")
