"""Every type of column over HTTP: what goes in comes out, as the schema says."""

import datetime as dt
from typing import Any

import pytest
from catalogue import assert_problem, client_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinds import Colour, Kind, Kinds, Level, create_tables, make_app
from pydantic import BaseModel, TypeAdapter, computed_field, field_validator
from sqlalchemy import text
from sqlmodel import select

from howdah import Database
from howdah.errors import InvalidQuery
from howdah.paging import OffsetPage
from howdah.query import Query
from howdah.rendering import read_position
from howdah.schemas import inexpressible

pytestmark = pytest.mark.anyio

SENT: dict[str, Any] = {
    "small": -32768,
    "whole": 2147483647,
    "big": 9223372036854775807,
    "price": 1234.5,
    "exact": "12345678901234567890.0123456789",
    "loose": "0.00000000001",
    "double": 1e300,
    "real": 0.5,
    "flag": False,
    "word": "naïve 🐘",
    "fixed": "ab ",
    "prose": "two\nlines \\ \" '",
    "ref": "12345678-1234-5678-1234-567812345678",
    "day": "2024-02-29",
    "hour": "23:59:59.5",
    "moment": "2024-02-29T12:00:00.25+02:00",
    "local": "2024-02-29T12:00:00",
    "span": "P1DT2H3M4.5S",
    "blob": "AP+A/w==",
    "colour": "it's blue",
    "level": 10,
    "plain": "b",
    "address": "10.0.0.1/24",
    "extra": {"a": [1, 2.5, None, "x"], "b": {}},
    "tags": ["a", None, ""],
    "numbers": [1, None, -5],
    "sums": [1.25, None],
    "moments": ["2024-02-29T12:00:00Z", None],
    "colours": ["red", None, "it's blue"],
}
SEEN = {
    **SENT,
    "hour": "23:59:59.5",
    "moment": "2024-02-29T10:00:00.25+00:00",
    "span": "P1DT7384.5S",
    "moments": ["2024-02-29T12:00:00+00:00", None],
}


@pytest.fixture
async def client(database_url):
    db = Database(database_url)
    async with db:
        await create_tables(db)
        async with client_of(make_app(db)) as client:
            yield client


_MOST_WALKED = 20


async def walked(client, path):
    """The ids of all pages, and then of those before the last one, backwards."""
    found = {"next": [], "prev": []}
    for relation, ids in found.items():
        while path is not None:
            response = await client.get(path)
            assert response.status_code == 200, response.text
            ids += [row["id"] for row in response.json()]
            assert len(ids) <= _MOST_WALKED, ids
            last, path = path, response.links.get(relation, {}).get("url")
        path = (await client.get(last)).links.get("prev", {}).get("url")
    return found["next"], found["prev"]


# Python has nothing before and behind, and asyncpg takes them for the infinite.
ENDS_OF_TIME = (
    "0001-01-01",
    "0001-01-01T00:00:00Z",
    "9999-12-31",
    "9999-12-31T23:59:59.999999Z",
)


@pytest.mark.parametrize("end", ENDS_OF_TIME)
async def test_the_ends_of_time_are_moments_like_others(client, database_url, end):
    row = {"day": end[:10], "moment": end} if "T" in end else {"day": end}
    many = [row, row]
    created = (await client.post("/kinds/", json=row)).json()
    batched = (await client.post("/kinds/batch", json=many)).json()

    async with Database(database_url) as db, db.engine.begin() as connection:
        finite = "SELECT count(*) FROM kinds WHERE isfinite(day) AND day = :day"
        stored = await connection.scalar(text(finite.replace(":day", f"'{end[:10]}'")))

    assert stored == 3
    assert {each["day"] for each in (created, *batched)} == {end[:10]}
    for name, value in row.items():
        found = await client.get("/kinds/", params={name: value})
        assert len(found.json()) == 3


@pytest.mark.parametrize("name", ["loose", "double", "real", "moment", "local", "day"])
async def test_a_walk_goes_past_values_that_no_client_can_send(
    client, database_url, name
):
    numbers = {"NaN", "Infinity", "-Infinity", "1", "-0"}
    moments = {"infinity", "-infinity", "2024-02-29", *ENDS_OF_TIME}
    values = numbers if name in {"loose", "double", "real"} else moments
    async with Database(database_url) as db, db.engine.begin() as connection:
        for value in [*values, *values]:
            made = text(f"INSERT INTO kinds (id, {name}) VALUES (DEFAULT, '{value}')")
            await connection.execute(made)

    for sign in ("", "-"):
        there, back = await walked(client, f"/kinds/?limit=1&sort={sign}{name}")

        assert sorted(there) == list(range(1, 2 * len(values) + 1))
        assert back == there[-2::-1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Kind.moment, "0001-01-01T00:00:00+14:00"),
        (Kind.moment, "2024-02-29T12:00:00"),
        (Kind.local, "2024-02-29T12:00:00Z"),
    ],
)
def test_a_cursor_holds_moments_as_their_column_does(column, value):
    with pytest.raises(InvalidQuery):
        read_position([Kind.__table__.columns[column.key]], [value])


async def test_what_goes_in_comes_out(client):
    created = await client.post("/kinds/", json=SENT)

    assert created.status_code == 201, created.text
    row = created.json()
    assert {name: row[name] for name in SENT} == SEEN
    assert (row["doubled"], row["served"], row["given"]) == (-65536, "AB", 7)
    again = await client.get(created.headers["Location"])
    assert again.json() == row
    Kinds.read_schema.model_validate(row)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("moments", [0]),
        ("numbers", ["1"]),
        ("address", 1),
        ("address", "one"),
        ("address", "fe80::1%eth0"),
    ],
)
async def test_a_value_of_another_kind_is_refused_by_the_name_of_its_field(
    client, name, value
):
    response = await client.post("/kinds/", json={name: value})

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == [name]


async def test_null_goes_in_and_comes_out_of_all_that_may_be_null(client):
    place = (await client.post("/kinds/", json=SENT)).headers["Location"]

    changed = await client.patch(place, json=dict.fromkeys(SENT))

    assert changed.status_code == 200, changed.text
    assert {name: changed.json()[name] for name in SENT} == dict.fromkeys(SENT)
    kept = await client.get("/kinds/?extra__isnull=true")
    assert len(kept.json()) == 1


async def test_rows_of_a_batch_are_as_rows_made_alone(client):
    alone = (await client.post("/kinds/", json=SENT)).json()

    rows = (await client.post("/kinds/batch", json=[SENT, {}])).json()

    assert {n: rows[0][n] for n in SENT} == {n: alone[n] for n in SENT}
    assert (rows[1]["served"], rows[1]["given"]) == ("AB", 7)


async def test_each_type_is_found_by_what_it_shows(client):
    row = (await client.post("/kinds/", json=SENT)).json()
    await client.post("/kinds/", json={})
    found = {}

    for name in SENT:
        value = str(row[name]).lower() if name == "flag" else row[name]
        listed = isinstance(value, list | dict)
        asked = {f"{name}__isnull": "false"} if listed else {name: value}
        answer = await client.get("/kinds/", params=asked)
        found[name] = [it["id"] for it in answer.json()]

    assert found == {name: [row["id"]] for name in SENT}


WORDS = [n for n in SENT if not isinstance(SENT[n], list) and n != "extra"]


async def test_a_walk_over_each_type_meets_each_row_once(client):
    for row in (SENT, {}, SENT, {}):
        await client.post("/kinds/", json=row)
    met = {name: [] for name in WORDS}

    for name in WORDS:
        url = f"/kinds/?sort={name}&limit=1&cursor="
        while url and len(met[name]) <= 4:
            answer = await client.get(url)
            met[name] += [row["id"] for row in answer.json()]
            url = answer.links.get("next", {}).get("url")

    assert [sorted(ids) for ids in met.values()] == [[1, 2, 3, 4]] * len(WORDS)


NO_FILTERS = [
    ("small", "32768"),
    ("whole", "2147483648"),
    ("big", "9223372036854775808"),
    ("price", "1.001"),
    ("price", "1000000"),
    ("word", "x" * 21),
    ("day", "10000-01-01"),
    ("moment", "2024-01-01T00:00:00"),
    ("moment", "1700000000"),
    ("day", "1700000000"),
    ("span", "2024-01-01T00:00:00Z"),
    ("span", "90"),
    ("hour", "90"),
    ("double", "nan"),
    ("colour", "RED"),
    ("flag", "maybe"),
    ("ref", "x"),
]


async def test_a_filter_that_no_column_holds_is_refused_by_name(client):
    for name, value in NO_FILTERS:
        answer = await client.get("/kinds/", params={name: value})

        problem = assert_problem(answer, 422, "invalid")
        assert [it["field"] for it in problem["errors"]] == [name]


NO_VALUES = [
    ("small", 32768),
    ("small", "1"),
    ("whole", True),
    ("price", "1.001"),
    ("price", "NaN"),
    ("loose", "Infinity"),
    ("double", "NaN"),
    ("word", "x" * 21),
    ("fixed", "abcd"),
    ("flag", "yes"),
    ("moment", "2024-01-01T00:00:00"),
    ("moment", 1700000000),
    ("day", "2024-01-01T10:00:00"),
    ("span", 90),
    ("blob", "no base64!"),
    ("colour", "RED"),
    ("tags", ["x" * 10]),
    ("numbers", [2147483648]),
    ("colours", ["green"]),
]


async def test_a_value_that_no_column_holds_is_refused_by_name(client):
    for name, value in NO_VALUES:
        answer = await client.post("/kinds/", json={name: value})

        problem = assert_problem(answer, 422, "invalid")
        assert problem["errors"][0]["field"].startswith(name)


async def test_numbers_that_are_none_are_null_and_infinite_moments_are_the_ends_of_time(
    client, database_url
):
    async with Database(database_url) as db, db.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO kinds (double, real, price, moment, day, local, span) "
                "VALUES ('NaN', '-Infinity', 'NaN', 'infinity', '-infinity', "
                "'infinity', '1 mon -1 day')"
            )
        )

    row = (await client.get("/kinds/1")).json()

    assert (row["double"], row["real"], row["price"]) == (None, None, None)
    assert row["moment"] == "9999-12-31T23:59:59.999999+00:00"
    assert (row["day"], row["span"]) == ("0001-01-01", "P29DT0S")
    Kinds.read_schema.model_validate(row)
    for name in ("double", "real", "moment", "day"):
        page = await client.get(f"/kinds/?sort={name}&limit=1&cursor=")
        assert "next" not in page.links


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(
    dt.datetime.fromisoformat("0001-01-02"), dt.datetime.fromisoformat("9999-12-30")
)
AWARE = MOMENTS.map(lambda it: it.replace(tzinfo=dt.UTC))
DIGITS = st.decimals(-99999, 99999, places=2, allow_nan=False)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9
)
VALUES: dict[str, Any] = {
    "small": st.integers(-32768, 32767).filter(lambda it: abs(it) < 16000),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "price": DIGITS,
    "exact": st.decimals(-(10**9), 10**9, places=10, allow_nan=False),
    "loose": st.decimals(allow_nan=False, allow_infinity=False, places=4),
    "double": FLOATS,
    # Four bytes of a float have a shorter text in PostgreSQL than Python's eight.
    "real": st.integers(-9999, 9999).map(lambda it: it / 8),
    "flag": st.booleans(),
    "word": TEXTS,
    "fixed": st.text("abc", min_size=3, max_size=3),
    "prose": TEXTS,
    "ref": st.uuids(),
    "day": st.dates(),
    "hour": st.times(),
    "moment": AWARE,
    "local": MOMENTS,
    "span": st.timedeltas(dt.timedelta(days=-99999), dt.timedelta(days=99999)),
    "blob": st.binary(max_size=99),
    "colour": st.sampled_from(Colour),
    "level": st.sampled_from(Level),
    "plain": st.sampled_from("ab"),
    "extra": st.recursive(
        st.none() | st.booleans() | st.integers(-(2**40), 2**40) | FLOATS | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
        max_leaves=5,
    ),
    "tags": st.lists(TEXTS | st.none(), max_size=3),
    "numbers": st.lists(st.integers(-99, 99) | st.none(), max_size=3),
    "sums": st.lists(DIGITS | st.none(), max_size=3),
    "moments": st.lists(AWARE | st.none(), max_size=3),
    "colours": st.lists(st.sampled_from(Colour) | st.none(), max_size=3),
}
ROWS = st.fixed_dictionaries({n: st.none() | it for n, it in VALUES.items()})


async def test_the_fast_json_is_the_json_of_the_read_schema(database_url):
    rows: list[dict[str, Any]] = []

    @settings(
        max_examples=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(ROWS)
    def draw(row: dict[str, Any]) -> None:
        rows.append(row)

    draw()
    async with Database(database_url) as db:
        await create_tables(db)
        async with db.transaction() as session:
            session.add_all([Kind(**row) for row in rows])
        async with db.transaction() as session:
            found = (await session.exec(select(Kind).order_by(Kind.id))).all()
        page = OffsetPage(skip=0, limit=1000)
        fast = (await Kinds(db).list(Query(), page)).body

    schema = Kinds.read_schema
    many: TypeAdapter[Any] = TypeAdapter(list[schema])  # type: ignore[valid-type]
    slow = many.validate_python(found, from_attributes=True)
    # The same fields of the same kinds of JSON, and in them the same values.
    assert many.validate_json(fast) == slow
    mine, theirs = (
        TypeAdapter(Any).validate_json(j) for j in (fast, many.dump_json(slow))
    )
    for one, other in zip(mine, theirs, strict=True):
        assert one.keys() == other.keys()
        assert {n: kind(v) for n, v in one.items()} == {
            n: kind(v) for n, v in other.items()
        }


def kind(value: Any) -> str:
    """Return what JSON calls a value; a number is a number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


class Plain(BaseModel):
    id: int
    word: str | None


class Computing(Plain):
    @computed_field
    @property
    def twice(self) -> int:
        return self.id * 2


class Changing(Plain):
    @field_validator("word")
    @classmethod
    def upper(cls, value: str) -> str:
        return value.upper()


class Inner(BaseModel):
    a: int


class Nesting(BaseModel):
    extra: Inner


class Mistaken(BaseModel):
    whole: str


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (Plain, None),
        (Kinds.read_schema, None),
        (Computing, "computed fields (twice)"),
        (Changing, "validators (upper)"),
        (Nesting, "extra is"),
        (Mistaken, "whole is"),
    ],
)
def test_what_postgresql_cannot_write_has_a_reason(schema, reason):
    columns = dict(Kind.__table__.columns)

    found = inexpressible(schema, columns)

    assert found is None if reason is None else reason in found


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "%", ".", "..", "ü 🐘", "?#&", "a.b"])
async def test_a_text_is_a_key_as_it_is(name, client):
    created = await client.post("/places/", json={"name": name, "note": "x"})

    found = await client.get(created.headers["Location"])

    assert created.status_code == 201
    assert found.json() == created.json()
    changed = await client.patch(created.headers["Location"], json={"note": "y"})
    assert changed.json()["note"] == "y"
    assert (await client.delete(created.headers["Location"])).status_code == 204
