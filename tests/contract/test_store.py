"""The port: what every store answers, whatever is behind it."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from contract.models import Books, Countries, Lines, Mood, Shelves, Tokens

from howdah.errors import (
    Duplicate,
    IdempotencyMismatch,
    Invalid,
    MissingReference,
    NotFound,
    StaleVersion,
    StillReferenced,
)
from howdah.paging import KeysetPage, OffsetPage
from howdah.query import Filter, Query, Sort
from howdah.store import Once, Replayed, Row

pytestmark = pytest.mark.anyio

FULL = {
    "title": "Emma",
    "blurb": "Ännchen & Co.",
    "pages": 7,
    "sold": 2**40,
    "price": Decimal("12.30"),
    "weight": 0.1,
    "lent": False,
    "printed": date(1815, 12, 23),
    "read_at": datetime(2024, 2, 29, 12, 0, 0, 120_000, tzinfo=UTC),
    "mood": Mood.CALM,
    "isbn": UUID(int=7),
}
SHOWN = {
    "title": "Emma",
    "blurb": "Ännchen & Co.",
    "pages": 7,
    "sold": 2**40,
    "price": 12.3,
    "weight": 0.1,
    "lent": False,
    "printed": "1815-12-23",
    "mood": "calm",
    "isbn": "00000000-0000-0000-0000-000000000007",
}
EMPTY = dict.fromkeys(set(FULL) - {"title"})


def read(answer):
    return json.loads(answer.body)


def titles(answer):
    return [row["title"] for row in read(answer)]


async def test_a_row_goes_in_and_comes_out(store_of):
    books = store_of(Books)

    created = await books.create(FULL)

    row = read(created)
    assert (created.key, row["id"], row["is_active"]) == (1, 1, True)
    assert {name: row[name] for name in SHOWN} == SHOWN
    assert datetime.fromisoformat(row["read_at"]) == FULL["read_at"]
    assert row["updated_at"] is None
    got = await books.get(1)
    assert (read(got), got.tag) == (row, created.tag)
    assert read(await books.list(Query(), OffsetPage())) == [row]
    assert json.loads(await books.create_many([{**FULL, "isbn": None}])) == [
        {**row, "id": 2, "isbn": None, "created_at": ANY}
    ]


async def test_a_moment_keeps_its_microseconds(store_of):
    moment = datetime(2024, 2, 29, 12, 0, 0, 120, tzinfo=UTC)

    created = await store_of(Books).create({"title": "Emma", "read_at": moment})

    assert datetime.fromisoformat(read(created)["read_at"]) == moment


class _Any:
    def __eq__(self, other):
        return other is not None

    __hash__ = None


ANY = _Any()


async def test_an_update_changes_what_is_given_and_the_version(store_of):
    books = store_of(Books)
    created = await books.create(FULL)

    updated = await books.update(1, {"pages": None, "mood": Mood.SAD})

    changes = {"pages": None, "mood": "sad", "updated_at": ANY}
    assert read(updated) == {**read(created), **changes}
    assert updated.tag != created.tag
    assert (await books.get(1)).body == updated.body


async def test_a_change_meant_for_another_version_is_refused(store_of):
    books = store_of(Books)
    old = (await books.create(FULL)).tag
    new = (await books.update(1, {"pages": 8}, match=("none", old))).tag

    for work in (
        books.update(1, {"pages": 9}, match=(old,)),
        books.update(1, {}, match=(old,)),
        books.delete(1, hard=False, match=(old,)),
        books.delete(1, hard=True, match=(old,)),
        books.restore(1, match=()),
    ):
        with pytest.raises(StaleVersion):
            await work

    assert (await books.get(1)).tag == new
    await books.delete(1, hard=True, match=(new,))


async def test_no_such_row_is_said_of_every_verb(store_of):
    books = store_of(Books)

    for key in (1, -1, 2**31, 2**70):
        for work in (
            books.get(key),
            books.update(key, {"pages": 9}),
            books.update(key, {}),
            books.update(key, {"pages": 9}, match=("1",)),
            books.delete(key, hard=False),
            books.delete(key, hard=True),
            books.restore(key),
        ):
            with pytest.raises(NotFound, match=f"Book ID {key} not found"):
                await work


async def test_a_row_marked_by_a_boolean_is_hidden_and_can_be_restored(store_of):
    books = store_of(Books)
    await books.create(FULL)

    await books.delete(1, hard=False)

    assert read(await books.list(Query(), OffsetPage())) == []
    assert await books.count(Query()) == 0
    every = Query(active_only=False)
    assert [
        row["is_active"] for row in read(await books.list(every, OffsetPage()))
    ] == [False]
    assert read(await books.get(1))["is_active"] is False
    assert read(await books.restore(1))["is_active"] is True
    assert await books.count(Query()) == 1


async def test_a_row_marked_by_a_moment_is_gone_until_it_is_restored(store_of):
    countries = store_of(Countries)
    await countries.create({"id": "FR", "name": "France"})

    await countries.delete("FR", hard=False)

    for work in (
        countries.get("FR"),
        countries.update("FR", {"name": "x"}),
        countries.delete("FR", hard=False),
    ):
        with pytest.raises(NotFound):
            await work
    await countries.restore("FR")
    assert read(await countries.get("FR")) == {"id": "FR", "name": "France"}
    await countries.delete("FR", hard=False)
    await countries.delete("FR", hard=True)
    with pytest.raises(NotFound):
        await countries.restore("FR")


async def test_a_unique_value_is_taken_once(store_of):
    shelves, tokens = store_of(Shelves), store_of(Tokens)
    await shelves.create({"name": "a"})
    await shelves.create({"name": "b"})

    for work in (
        shelves.create({"name": "a"}),
        shelves.create_many([{"name": "c"}, {"name": "a"}]),
        shelves.create_many([{"name": "d"}, {"name": "d"}]),
        shelves.update(2, {"name": "a"}),
    ):
        with pytest.raises(Duplicate) as caught:
            await work
        assert caught.value.fields == ("name",)

    assert await shelves.count(Query()) == 2
    assert read(await shelves.update(1, {"name": "a"}))["name"] == "a"
    assert await tokens.count(Query()) == 0


async def test_unknown_values_are_not_taken(store_of):
    books = store_of(Books)

    for number in (1, 2):
        created = await books.create({**FULL, "isbn": None})
        assert created.key == number


async def test_a_taken_key_is_a_duplicate(store_of):
    countries = store_of(Countries)
    await countries.create({"id": "FR", "name": "France"})

    with pytest.raises(Duplicate) as caught:
        await countries.create({"id": "FR", "name": "Francia"})

    assert caught.value.fields == ("id",)


async def test_what_is_unique_among_the_living_is_free_after_a_death(store_of):
    countries = store_of(Countries)
    await countries.create({"id": "FR", "name": "France"})
    with pytest.raises(Duplicate):
        await countries.create({"id": "FX", "name": "France"})
    await countries.delete("FR", hard=False)

    await countries.create({"id": "FX", "name": "France"})

    with pytest.raises(Duplicate) as caught:
        await countries.restore("FR")
    assert caught.value.fields == ("name",)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("values", "field"),
    [
        pytest.param({"title": None}, "title", id="null"),
        pytest.param({"title": "x" * 31}, "title", id="too long"),
        pytest.param({"pages": 2**31}, "pages", id="too large"),
        pytest.param({"sold": -(2**63) - 1}, "sold", id="too small"),
        pytest.param({"price": Decimal("1e10")}, None, id="too many digits"),
    ],
)
async def test_a_value_that_a_column_cannot_hold_is_refused(
    store_of, values, field, many
):
    books = store_of(Books)
    row = {**FULL, **values}

    with pytest.raises(Invalid) as caught:
        await (books.create_many([row]) if many else books.create(row))

    assert caught.value.fields == ((field,) if field else ())
    assert await books.count(Query()) == 0
    await books.create(FULL)
    with pytest.raises(Invalid):
        await books.update((await keys(books))[0], values)


async def keys(store):
    return [row["id"] for row in read(await store.list(Query(), OffsetPage()))]


async def test_a_reference_leads_to_a_row(store_of):
    books, shelves = store_of(Books), store_of(Shelves)

    for work in (
        books.create({**FULL, "shelf_id": 1}),
        books.create_many([{**row, "shelf_id": 1} for row in ROWS]),
    ):
        with pytest.raises(MissingReference) as caught:
            await work
        assert set(caught.value.fields) == {"shelf_id"}

    await shelves.create({"name": "a"})
    key = (await books.create({**FULL, "shelf_id": 1})).key
    with pytest.raises(MissingReference):
        await books.update(key, {"shelf_id": 2})


async def test_what_others_refer_to_stays(store_of):
    books, shelves = store_of(Books), store_of(Shelves)
    await shelves.create({"name": "a"})
    key = (await books.create({**FULL, "shelf_id": 1})).key

    with pytest.raises(StillReferenced):
        await shelves.delete(1, hard=True)

    await books.update(key, {"shelf_id": None})
    await shelves.delete(1, hard=True)


async def test_what_belongs_to_a_row_goes_with_it(store_of):
    books, lines = store_of(Books), store_of(Lines)
    await books.create(FULL)
    await lines.create({"book_id": 1, "number": 1, "text": "One."})

    await books.delete(1, hard=True)

    assert await lines.count(Query()) == 0


async def test_a_key_may_have_two_columns(store_of):
    books, lines = store_of(Books), store_of(Lines)
    await books.create(FULL)
    created = await lines.create({"book_id": 1, "number": 2, "text": "Two."})
    await lines.create({"book_id": 1, "number": 1, "text": "One."})

    await lines.update((1, 2), {"text": "Zwei."})

    assert created.key == (1, 2)
    assert read(await lines.get((1, 2)))["text"] == "Zwei."
    found = read(await lines.list(Query(), OffsetPage()))
    assert [row["number"] for row in found] == [1, 2]
    with pytest.raises(NotFound):
        await lines.get((2, 1))


async def test_a_key_may_be_made_by_python(store_of):
    tokens = store_of(Tokens)

    created = await tokens.create({"name": "a"})
    many = json.loads(await tokens.create_many([{"name": "b"}, {"name": "c"}]))

    assert isinstance(created.key, UUID)
    assert read(await tokens.get(created.key))["name"] == "a"
    assert [row["name"] for row in many] == ["b", "c"]
    assert len({row["id"] for row in many}) == 2


TITLES = {
    "Emma": {"pages": 5, "price": Decimal("1.50"), "mood": Mood.SAD},
    "emma": {"pages": 5, "price": Decimal("2.00"), "mood": Mood.MERRY},
    "a_b": {"pages": None, "price": Decimal("2.00"), "mood": Mood.CALM},
    "a%b\\": {"pages": 9, "price": None, "mood": None},
    "Äpfel": {"pages": -3, "price": Decimal("0.10"), "mood": Mood.SAD},
}
ROWS = [{**FULL, **EMPTY, "title": title, **values} for title, values in TITLES.items()]


@pytest.mark.parametrize(
    ("field", "operator", "value", "found"),
    [
        ("title", "eq", "Emma", ["Emma"]),
        ("title", "ne", "Emma", ["emma", "a_b", "a%b\\", "Äpfel"]),
        ("title", "lt", "a", ["Emma"]),
        ("title", "gt", "emma", ["Äpfel"]),
        ("title", "gte", "emma", ["emma", "Äpfel"]),
        ("title", "lte", "Emma", ["Emma"]),
        ("title", "contains", "m", ["Emma", "emma"]),
        ("title", "contains", "_", ["a_b"]),
        ("title", "contains", "%", ["a%b\\"]),
        ("title", "endswith", "\\", ["a%b\\"]),
        ("title", "startswith", "E", ["Emma"]),
        ("title", "istartswith", "E", ["Emma", "emma"]),
        ("title", "icontains", "ÄP", ["Äpfel"]),
        ("title", "iendswith", "MA", ["Emma", "emma"]),
        ("title", "in", ("Emma", "a_b", "x"), ["Emma", "a_b"]),
        ("title", "between", ("a", "b"), ["a_b", "a%b\\"]),
        ("pages", "eq", 5, ["Emma", "emma"]),
        ("pages", "ne", 5, ["a%b\\", "Äpfel"]),
        ("pages", "in", (9, -3), ["a%b\\", "Äpfel"]),
        ("pages", "not_in", (9, -3), ["Emma", "emma"]),
        ("pages", "isnull", True, ["a_b"]),
        ("pages", "isnull", False, ["Emma", "emma", "a%b\\", "Äpfel"]),
        ("pages", "between", (-3, 5), ["Emma", "emma", "Äpfel"]),
        ("price", "eq", Decimal(2), ["emma", "a_b"]),
        ("price", "eq", Decimal("1.501"), []),
        ("price", "lt", Decimal("1.501"), ["Emma", "Äpfel"]),
        ("price", "lt", Decimal("1e30"), ["Emma", "emma", "a_b", "Äpfel"]),
        ("mood", "eq", Mood.SAD, ["Emma", "Äpfel"]),
        ("mood", "in", (Mood.MERRY, Mood.CALM), ["emma", "a_b"]),
        ("mood", "ne", Mood.SAD, ["emma", "a_b"]),
    ],
)
async def test_a_filter_finds(store_of, field, operator, value, found):
    books = store_of(Books)
    await books.create_many(ROWS)
    query = Query(filters=(Filter(field=field, operator=operator, value=value),))

    assert titles(await books.list(query, OffsetPage())) == found
    assert await books.count(query) == len(found)


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("eq", 2**40),
        ("lt", 2**40),
        ("gt", -(2**70)),
        ("in", (5, 2**70)),
        ("between", (0, 2**70)),
    ],
)
async def test_a_filter_by_a_number_that_no_row_can_hold_is_refused(
    store_of, operator, value
):
    books = store_of(Books)
    query = Query(filters=(Filter(field="pages", operator=operator, value=value),))

    with pytest.raises(Invalid):
        await books.count(query)
    with pytest.raises(Invalid):
        await books.list(query, OffsetPage())


async def test_filters_must_all_be_met(store_of):
    books = store_of(Books)
    await books.create_many(ROWS)
    filters = (
        Filter(field="pages", operator="eq", value=5),
        Filter(field="title", operator="istartswith", value="e"),
        Filter(field="title", operator="ne", value="Emma"),
    )

    assert titles(await books.list(Query(filters=filters), OffsetPage())) == ["emma"]


async def test_a_filter_reaches_through_relations_of_both_kinds(store_of):
    books, shelves = store_of(Books), store_of(Shelves)
    await shelves.create_many([{"name": "a"}, {"name": "b"}])
    placed = [
        {**row, "shelf_id": shelf}
        for row, shelf in zip(ROWS, (1, 1, 2, None, 2), strict=True)
    ]
    await books.create_many(placed)
    on = Filter(field="shelf__name", operator="ne", value="a")
    cheap = Filter(field="books__price", operator="lt", value=Decimal(1))
    merry = Filter(field="books__title", operator="eq", value="a_b")
    empty = Filter(field="shelf__name", operator="isnull", value=True)

    assert titles(await books.list(Query(filters=(on,)), OffsetPage())) == [
        "a_b",
        "Äpfel",
    ]
    assert await books.count(Query(filters=(empty,))) == 0
    # One related row meets one filter, and another the next.
    found = read(await shelves.list(Query(filters=(cheap, merry)), OffsetPage()))
    assert [row["name"] for row in found] == ["b"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ((Sort(field="title"),), ["Emma", "a%b\\", "a_b", "emma", "Äpfel"]),
        ((Sort(field="pages"),), ["Äpfel", "Emma", "emma", "a%b\\", "a_b"]),
        (
            (Sort(field="pages", descending=True), Sort(field="title")),
            ["a%b\\", "Emma", "emma", "Äpfel", "a_b"],
        ),
        (
            (Sort(field="pages", nulls_first=True),),
            ["a_b", "Äpfel", "Emma", "emma", "a%b\\"],
        ),
        (
            (Sort(field="price", descending=True), Sort(field="id", descending=True)),
            ["a_b", "emma", "Emma", "Äpfel", "a%b\\"],
        ),
        ((Sort(field="mood"),), ["emma", "a_b", "Emma", "Äpfel", "a%b\\"]),
        (
            (Sort(field="mood", descending=True, nulls_first=True),),
            ["a%b\\", "Emma", "Äpfel", "a_b", "emma"],
        ),
    ],
    ids=lambda value: ",".join(map(str, value)),
)
async def test_an_order_is_kept_by_pages_of_both_kinds(store_of, sort, order):
    books = store_of(Books)
    await books.create_many(ROWS)
    query = Query(sort=sort)

    assert titles(await books.list(query, OffsetPage())) == order
    assert titles(await books.list(query, OffsetPage(skip=1, limit=2))) == order[1:3]
    assert await walked(books, query, "next") == order
    assert await walked(books, query, "prev") == order


async def walked(store, query, direction):
    """The titles of pages of two, from one end of the order to the other."""
    found, page = [], KeysetPage(limit=2)
    if direction == "prev":
        end = await store.list(query, KeysetPage(limit=100))
        found = titles(end)[-1:]
        page = KeysetPage(limit=2, position=position(end.last), direction="prev")
    while True:
        met = await store.list(query, page)
        forward = direction == "next"
        found = [*found, *titles(met)] if forward else [*titles(met), *found]
        if not met.more:
            return found
        end = met.last if forward else met.first
        page = KeysetPage(limit=2, position=position(end), direction=direction)


def position(text):
    return tuple(json.loads(text, parse_float=Decimal))


async def test_a_page_tells_where_it_ends_and_whether_more_follow(store_of):
    books = store_of(Books)
    await books.create_many(ROWS)

    first = await books.list(Query(count="exact"), OffsetPage(limit=4))
    last = await books.list(Query(), OffsetPage(skip=4, limit=1))
    behind = await books.list(Query(), OffsetPage(skip=9))

    assert (first.more, first.total) == (True, 5)
    assert (last.more, last.total) == (False, None)
    assert (read(behind), behind.first, behind.last) == ([], None, None)


async def test_a_search_takes_words_as_they_are(store_of):
    books = store_of(Books)
    await books.create_many([*ROWS, {**ROWS[0], "blurb": "An apple, ÄPFEL"}])

    found = {
        words: titles(await books.list(Query(search=words), OffsetPage()))
        for words in ("EMM", "_", "%b", "äpf", "nothing")
    }

    assert found == {
        "EMM": ["Emma", "emma", "Emma"],
        "_": ["a_b"],
        "%b": ["a%b\\"],
        "äpf": ["Äpfel", "Emma"],
        "nothing": [],
    }


async def test_a_batch_is_all_or_none_and_in_order(store_of):
    shelves = store_of(Shelves)

    rows = [{"name": f"{number:04}"} for number in range(2000, 0, -1)]
    created = json.loads(await shelves.create_many(rows))

    assert [row["name"] for row in created] == [row["name"] for row in rows]
    assert [row["id"] for row in created] == list(range(1, 2001))
    assert await shelves.create_many([]) == b"[]"


async def test_money_is_rounded_to_the_places_of_its_column(store_of):
    books = store_of(Books)
    prices = ["0.005", "0.015", "-0.005", "1.004999"]

    rows = [{**FULL, "isbn": None, "price": Decimal(price)} for price in prices]
    created = json.loads(await books.create_many(rows), parse_float=Decimal)

    assert [row["price"] for row in created] == [
        Decimal(price) for price in ("0.01", "0.02", "-0.01", "1.00")
    ]


@pytest.mark.parametrize("many", [False, True])
async def test_what_is_asked_again_gets_the_first_answer(store_of, many):
    books = store_of(Books)
    once = Once(key="k", fingerprint=b"f")

    async def create(once):
        if not many:
            return await books.create(FULL, once=once)
        rows = [{**FULL, "isbn": None}, {**FULL, "isbn": None}]
        return Row(body=await books.create_many(rows, once=once), tag="")

    first = await create(once)
    with pytest.raises(Replayed) as again:
        await create(once)
    with pytest.raises(IdempotencyMismatch) as refused:
        await create(Once(key="k", fingerprint=b"g"))

    assert again.value.row == first
    assert refused.value.fields == ("Idempotency-Key",)
    assert await books.count(Query()) == (2 if many else 1)


async def test_what_failed_may_be_asked_again(store_of):
    shelves, once = store_of(Shelves), Once(key="k", fingerprint=b"f")
    name = {"name": "High"}
    await shelves.create(name)

    with pytest.raises(Duplicate):
        await shelves.create(name, once=once)
    await shelves.delete(1, hard=True)
    created = await shelves.create(name, once=once)

    with pytest.raises(Replayed) as again:
        await shelves.create(name, once=once)
    assert again.value.row == created


async def test_a_key_belongs_to_its_resource(store_of):
    once = Once(key="k", fingerprint=b"f")

    await store_of(Shelves).create({"name": "High"}, once=once)
    await store_of(Books).create(FULL, once=once)

    assert await store_of(Books).count(Query()) == 1


async def test_a_walk_over_short_fractions_ends(store_of):
    books = store_of(Books)
    await books.create_many([{**row, "bulk": 1.5750838e16} for row in ROWS])
    query = Query(sort=(Sort(field="bulk"),))
    equal = Filter(field="bulk", operator="eq", value=1.5750838e16)

    assert await walked(books, query, "next") == list(TITLES)
    assert await books.count(Query(filters=(equal,))) == len(TITLES)


async def test_a_taken_key_in_a_batch_is_a_duplicate_whatever_the_defaults(store_of):
    countries = store_of(Countries)
    france = {"id": "FR", "name": "France"}

    with pytest.raises(Duplicate) as caught:
        await countries.create_many([france, {**france, "name": "Francia"}])

    assert set(caught.value.fields) == {"id"}
