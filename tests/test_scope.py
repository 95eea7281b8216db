"""A scope at the store: rows beyond it are not there, and none is written there."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import (
    CHAR,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    mapped_column,
    relationship,
)

from howdah.errors import Duplicate, Forbidden, Misconfigured, NotFound, StaleVersion
from howdah.fast import FastStore
from howdah.models import idempotency_table, mapped_columns
from howdah.paging import OffsetPage
from howdah.query import Filter, Query, Show
from howdah.statements import Embed, Layout, Scope, Target, guard
from howdah.store import Once, Replayed

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    pass


class Team(Base):
    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int]


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int]
    text: Mapped[str] = mapped_column(Text, unique=True)
    public: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("notes.id"))
    team: Mapped[Team | None] = relationship()
    parent: Mapped["Note | None"] = relationship(remote_side="Note.id")


NOTES = Note.__table__
FIELDS = mapped_columns(Note)
SHOWN = {name: FIELDS[name] for name in ("id", "text")}


@pytest.fixture
async def store(db):
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(
            insert(Team), [{"id": 1, "tenant_id": 10}, {"id": 2, "tenant_id": 20}]
        )
    layout = Layout(
        table=NOTES, columns=SHOWN, fields=FIELDS, soft_delete=FIELDS["is_active"]
    )
    return FastStore(db, layout, model="Note")


@pytest.fixture
async def notes(store):
    """Four notes: 1 and 2 of Ann (1) in team 1, 3 and 4 of Bob (2) in team 2."""
    for number, owner in enumerate((1, 1, 2, 2), start=1):
        values = {"text": f"note {number}", "owner_id": owner, "team_id": owner}
        await store.create(values)
    return store


async def texts(store):
    found = await store.list(Query(active_only=False), OffsetPage())
    return [row["text"] for row in json.loads(found.body)]


async def table(db):
    query = select(NOTES, literal_column("xmin")).order_by(NOTES.c.id)
    async with db.engine.connect() as connection:
        return (await connection.execute(query)).all()


ANN = Note.owner_id == 1
Other = aliased(Note)


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(ANN, id="equal"),
        pytest.param(Note.owner_id.in_([1, 7]), id="in"),
        pytest.param(Note.owner_id.not_in([2, 3]), id="not in"),
        pytest.param(or_(Note.owner_id == 1, Note.owner_id == 9), id="or"),
        pytest.param(and_(ANN, Note.owner_id != 4, ~Note.public), id="and"),
        pytest.param(Note.team.has(Team.tenant_id == 10), id="relation"),
        pytest.param(Note.team.has(Team.tenant_id.in_([10])), id="relation in"),
        pytest.param(
            Note.team_id.in_(select(Team.id).where(Team.tenant_id == 10)),
            id="subquery",
        ),
        pytest.param(
            exists().where(Team.id == Note.team_id, Team.tenant_id == 10),
            id="correlated",
        ),
        pytest.param(
            Note.id.not_in(select(Note.id).where(Note.owner_id == 2)), id="same table"
        ),
        pytest.param(
            ~exists().where(Other.id == Note.id, Other.owner_id == 2), id="alias"
        ),
        pytest.param(literal_column("notes.owner_id") == 1, id="literal column"),
        pytest.param(text("owner_id = 1"), id="text"),
        pytest.param(
            text("owner_id = :me").bindparams(bindparam("me", 1, unique=True)),
            id="text with value",
        ),
        pytest.param(func.abs(Note.owner_id) == 1, id="function"),
    ],
)
async def test_rows_out_of_scope_are_not_there(notes, db, condition):
    ann = notes.within(condition)
    before = await table(db)

    assert await texts(ann) == ["note 1", "note 2"]
    assert await ann.count(Query(active_only=False)) == 2
    for number in (3, 4):
        with pytest.raises(NotFound):
            await ann.get(number)
        with pytest.raises(NotFound):
            await ann.update(number, {"text": "mine"})
        with pytest.raises(NotFound):
            await ann.update(number, {"owner_id": 1, "team_id": 1})
        with pytest.raises(NotFound):
            await ann.update(number, {"text": "mine"}, match=("0",))
        with pytest.raises(NotFound):
            await ann.delete(number, hard=False)
        with pytest.raises(NotFound):
            await ann.delete(number, hard=True)
        with pytest.raises(NotFound):
            await ann.delete(number, hard=True, match=("0",))
        with pytest.raises(NotFound):
            await ann.restore(number)
    assert await table(db) == before

    assert json.loads((await ann.get(1)).body) == {"id": 1, "text": "note 1"}
    with pytest.raises(StaleVersion):
        await ann.update(1, {"text": "late"}, match=("0",))
    await ann.update(1, {"text": "mine"})
    await ann.delete(1, hard=False)
    await ann.restore(1)
    await ann.delete(1, hard=True)
    assert await texts(ann) == ["note 2"]


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(ANN, id="equal"),
        pytest.param(Note.owner_id.in_([1, 7]), id="in"),
        pytest.param(
            or_(Note.team.has(Team.tenant_id == 10), Note.owner_id == 1), id="relation"
        ),
        pytest.param(
            exists().where(
                Team.id == Note.team_id, Team.tenant_id == 10, Note.owner_id == 1
            ),
            id="correlated",
        ),
        pytest.param(
            select(Team.tenant_id).where(Team.id == Note.team_id).scalar_subquery()
            == 10,
            id="scalar",
        ),
        pytest.param(~exists().where(Team.id == Note.team_id, Team.id == 2), id="not"),
        pytest.param(Note.parent.has(Note.owner_id == 1), id="parent"),
    ],
)
async def test_no_row_leaves_its_scope_or_is_made_beyond_it(notes, db, condition):
    ann = notes.within(condition)
    await notes.update(1, {"parent_id": 2})
    mine = {"owner_id": 1, "team_id": 1, "parent_id": 1}
    beyond = {"owner_id": 2, "team_id": 2, "parent_id": 3}
    stamped = dict.fromkeys({"owner_id"} if condition is ANN else ())
    before = await table(db)

    with pytest.raises(Forbidden):
        await ann.update(1, beyond)
    if not stamped:
        with pytest.raises(Forbidden):
            await ann.create({"text": "theirs", **beyond})
        with pytest.raises(Forbidden):
            await ann.create_many(
                [{"text": "a", **mine}, {"text": "b", **beyond}, {"text": "c", **mine}]
            )
    assert await table(db) == before

    await ann.create({"text": "mine", **mine})
    await ann.create_many([{"text": f"mine {n}", **mine} for n in range(3)])
    await ann.update(1, mine)
    assert {"mine", "mine 0", "mine 1", "mine 2"} <= set(await texts(ann))


@pytest.mark.parametrize(
    ("condition", "name", "value"),
    [
        pytest.param(ANN, "owner_id", 1, id="equal"),
        pytest.param(and_(ANN, Note.id > 0), "owner_id", 1, id="one of several"),
        pytest.param(and_(Note.id > 0, and_(ANN)), "owner_id", 1, id="nested"),
        pytest.param(Note.public, "public", True, id="column"),
        pytest.param(Note.public == true(), "public", True, id="true"),
        pytest.param(Note.public.is_(False), "public", False, id="false"),
        pytest.param(and_(~Note.public, ANN), "public", False, id="not"),
        pytest.param(Note.team_id.is_(None), "team_id", None, id="null"),
    ],
)
async def test_new_rows_get_what_the_scope_says(store, db, condition, name, value):
    scoped = store.within(condition)
    sent = {"text": "a", "owner_id": 1, "public": not value, "team_id": 2}
    given = {key: given for key, given in sent.items() if key != name}
    if name == "owner_id":
        sent = {**sent, "owner_id": 2}

    await scoped.create(sent)
    await scoped.create({**given, "text": "b"})
    await scoped.create_many([{**sent, "text": "c"}, {**sent, "text": "d"}])
    await scoped.create_many([{**given, "text": "e"}, {**given, "text": "f"}])

    assert [getattr(row, name) for row in await table(db)] == [value] * 6


async def test_a_scope_of_nothing_has_no_rows_and_makes_none(notes, db):
    nothing = notes.within(false())
    before = await table(db)

    assert await texts(nothing) == []
    for key in (1, 99):
        with pytest.raises(NotFound):
            await nothing.get(key)
        with pytest.raises(NotFound):
            await nothing.update(key, {"text": "mine"})
        with pytest.raises(NotFound):
            await nothing.delete(key, hard=True)
    with pytest.raises(Forbidden):
        await nothing.create({"text": "new", "owner_id": 1})
    assert await table(db) == before


async def test_a_scope_of_everything_has_all_rows(notes):
    everything = notes.within(true())

    assert len(await texts(everything)) == 4
    await everything.create({"text": "new", "owner_id": 3})


async def test_a_scope_inside_a_scope_meets_both(notes):
    both = notes.within(ANN).within(Note.id > 1)

    assert await texts(both) == ["note 2"]
    await both.create({"text": "new"})
    with pytest.raises(NotFound):
        await both.get(1)
    assert len(await texts(notes)) == 5


async def test_a_plan_serves_all_values_of_its_scope(notes):
    for owners in ([1], [2, 3], [], [1, 2, 7, 8]):
        scoped = notes.within(and_(Note.owner_id.in_(owners), Note.id < 100))
        found = [1, 1, 2, 2]
        assert await scoped.count(Query()) == sum(o in owners for o in found)
    for owner, own in ((1, ["note 1", "note 2"]), (2, ["note 3", "note 4"])):
        assert await texts(notes.within(Note.owner_id == owner)) == own

    assert len(notes._plans) == 3  # create, and count and list within


async def test_what_a_trigger_makes_of_a_row_has_to_be_in_scope(notes, db):
    async with db.engine.begin() as connection:
        for line in TRIGGER:
            await connection.exec_driver_sql(line)
    before = await table(db)

    for change in ({"text": "stolen"}, {"text": "fine"}):
        if change["text"] == "fine":
            await notes.within(ANN).update(1, change)
            continue
        with pytest.raises(Forbidden):
            await notes.within(ANN).update(1, change)
        with pytest.raises(Forbidden):
            await notes.within(ANN).create(change)
        assert await table(db) == before


TRIGGER = (
    """
    CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.text = 'stolen' THEN NEW.owner_id = 2; END IF; RETURN NEW; END $$
    """,
    """
    CREATE TRIGGER t BEFORE INSERT OR UPDATE ON notes FOR EACH ROW
    EXECUTE FUNCTION steal()
    """,
)


async def test_a_unique_value_of_others_is_taken_all_the_same(notes):
    with pytest.raises(Duplicate) as caught:
        await notes.within(ANN).create({"text": "note 3"})

    assert caught.value.fields == ("text",)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        pytest.param(
            text("owner_id = :limit").bindparams(limit=1), "'limit'", id="named"
        ),
        pytest.param(
            tuple_(Note.id, Note.owner_id).in_([(1, 1)]), "several columns", id="tuples"
        ),
    ],
)
async def test_a_condition_that_cannot_be_kept_is_refused(notes, condition, said):
    with pytest.raises(Misconfigured) as caught:
        await notes.within(condition).count(Query())

    assert said in str(caught.value)


def scoped_layout():
    return Layout(table=NOTES, columns=SHOWN, fields=FIELDS, scope=Scope.of(ANN))


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(lambda _: select(NOTES), id="read"),
        pytest.param(lambda _: select(update(NOTES).cte()), id="update"),
        pytest.param(
            lambda layout: update(NOTES).where(*layout.within), id="update out of scope"
        ),
        pytest.param(
            lambda layout: update(NOTES).returning(*layout.held), id="update of all"
        ),
        pytest.param(lambda _: NOTES.delete(), id="delete"),
        pytest.param(lambda _: insert(NOTES).returning(NOTES.c.id), id="insert"),
        pytest.param(
            lambda layout: (
                postgresql.insert(NOTES)
                .on_conflict_do_update(index_elements=["id"], set_={"text": "a"})
                .returning(*layout.held)
            ),
            id="upsert",
        ),
    ],
)
def test_a_statement_that_forgets_the_scope_is_never_run(statement):
    layout = scoped_layout()

    with pytest.raises(Misconfigured):
        guard(statement(layout), layout.scope, NOTES)


@pytest.mark.parametrize("kind", ["plain", "padded"])
async def test_a_stamp_has_the_type_of_its_column(db, kind):
    metadata = MetaData()
    owner = String(10) if kind == "plain" else CHAR(10)
    things = Table(
        "things",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("owner", owner),
        Column("done", Boolean),
    )
    async with db.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    fields = {column.key: column for column in things.columns}
    store = FastStore(
        db, Layout(table=things, columns=fields, fields=fields), model="Thing"
    )

    row = await store.within(things.c.owner == "ann").create({"done": True})

    assert json.loads(row.body)["owner"].strip() == "ann"


BOB = Note.owner_id == 2


@pytest.fixture
async def embedding(db, notes):
    """The same notes, with their teams and parents embedded and filtered by."""
    team = mapped_columns(Team)
    teams = Layout(table=Team.__table__, columns=team, fields=team)
    parents = Layout(table=NOTES, columns=SHOWN, fields=FIELDS)
    layout = Layout(
        table=NOTES,
        columns=SHOWN,
        fields=FIELDS,
        filters={
            "team__tenant_id": Target(column=team["tenant_id"], via=Note.team),
            "parent__text": Target(column=FIELDS["text"], via=Note.parent),
        },
        embeds={
            "team": Embed(relation=Note.team, layout=teams, many=False),
            "parent": Embed(relation=Note.parent, layout=parents, many=False),
        },
    )
    for key, parent in ((1, 3), (2, 1), (3, 2), (4, 3)):
        await notes.update(key, {"parent_id": parent, "team_id": 2 - key % 2})
    return FastStore(db, layout, model="Note")


async def test_related_rows_out_of_their_scope_are_not_embedded(embedding):
    show = Show(include=("team", "parent"))
    related = {"team": Team.tenant_id == 10, "parent": BOB}
    ann = embedding.within(ANN, related=related)

    listed = await ann.list(Query(show=show), OffsetPage())
    got = await ann.get(2, show=show)

    first, second = json.loads(listed.body)
    assert (first["team"]["id"], first["parent"]["id"]) == (1, 3)
    assert (second["team"], second["parent"]) == (None, None)
    assert json.loads(got.body) == second


@pytest.mark.parametrize(
    ("field", "value", "ids"),
    [
        pytest.param("team__tenant_id", 10, [1, 3], id="in scope"),
        pytest.param("team__tenant_id", 20, [], id="beyond"),
        pytest.param("parent__text", "note 3", [1, 4], id="same table in scope"),
        pytest.param("parent__text", "note 1", [], id="same table beyond"),
    ],
)
async def test_filters_do_not_reach_rows_out_of_scope(embedding, field, value, ids):
    related = {"team": Team.tenant_id == 10, "parent": BOB}
    asked = Query(filters=(Filter(field=field, operator="eq", value=value),))

    found = await embedding.within(true(), related=related).list(asked, OffsetPage())

    assert [row["id"] for row in json.loads(found.body)] == ids
    assert len(json.loads((await embedding.list(asked, OffsetPage())).body)) > 0


async def test_batches_do_not_reach_rows_out_of_scope(notes, db):
    ann = notes.within(ANN)
    before = await table(db)

    for key, index in ((3, 1), (99, 1)):
        with pytest.raises(NotFound) as updated:
            await ann.update_many([{"id": 1, "text": "a"}, {"id": key, "text": "b"}])
        with pytest.raises(NotFound) as deleted:
            await ann.delete_many([2, key], hard=True)
        for caught in (updated, deleted):
            assert [error.index for error in caught.value.errors] == [index]
    with pytest.raises(Forbidden):
        await ann.update_many([{"id": 1, "text": "a"}, {"id": 2, "owner_id": 2}])
    with pytest.raises(Forbidden):
        await notes.within(Note.is_active).delete_many([1], hard=False)
    assert await table(db) == before

    changed = await ann.update_many([{"id": 2, "text": "a"}, {"id": 1}])
    assert [row["text"] for row in json.loads(changed)] == ["a", "note 1"]
    await ann.delete_many([1, 2], hard=False)
    await ann.delete_many([1, 2], hard=True)
    assert await texts(ann) == []


async def test_a_key_of_somebody_else_is_a_key_of_nobody(notes, db):
    keys = idempotency_table(Base.metadata)
    async with db.engine.begin() as connection:
        await connection.run_sync(keys.create)
    layout = Layout(table=NOTES, columns=SHOWN, fields=FIELDS, kept=keys)
    store = FastStore(db, layout, model="Note")
    once = Once(key="same", fingerprint=b"same")

    await store.within(ANN).create({"text": "first"}, once=once)
    await store.within(BOB).create({"text": "second"}, once=once)
    await store.within(BOB).create_many([{"text": "third"}], once=replace(once, key=""))
    with pytest.raises(Replayed) as caught:
        await store.within(ANN).create({"text": "fourth"}, once=once)
    with pytest.raises(Forbidden):
        await store.within(Note.owner_id < 2).create(
            {"text": "fifth", "owner_id": 2}, once=once
        )
    with pytest.raises(Forbidden):
        await store.within(Note.owner_id < 2).create_many(
            [{"text": "fifth", "owner_id": 2}], once=once
        )

    assert json.loads(caught.value.row.body)["text"] == "first"
    owners = {row.text: row.owner_id for row in await table(db)}
    assert owners == {f"note {n}": (n + 1) // 2 for n in range(1, 5)} | {
        "first": 1,
        "second": 2,
        "third": 2,
    }


MINE = {"text": "note 1", "owner_id": 9, "public": True}
HIS = {"text": "note 3", "public": True}


async def test_an_upsert_makes_and_changes_rows_in_scope_alone(notes, db):
    mine = notes.within(ANN)
    new = await mine.upsert({**MINE, "text": "new"}, on=["text"], changing=[])
    known = await mine.upsert(MINE, on=["text"], changing=["public", "owner_id"])
    before = await table(db)

    with pytest.raises(Duplicate) as caught:
        await mine.upsert(HIS, on=["text"], changing=["public"])

    assert (new.created, known.created) == (True, False)
    assert caught.value.fields == ("text",)
    assert await table(db) == before
    assert [(r.text, r.owner_id, r.public) for r in before] == [
        ("note 1", 1, True),
        ("note 2", 1, False),
        ("note 3", 2, False),
        ("note 4", 2, False),
        ("new", 1, True),
    ]


async def test_upserts_with_one_beyond_the_scope_change_nothing(notes, db):
    mine = notes.within(ANN)
    before = await table(db)
    rows = [MINE, {**MINE, "text": "new"}]
    changing = [["public"], []]

    with pytest.raises(Duplicate):
        await mine.upsert_many(
            [*rows, HIS], on=["text"], changing=[*changing, ["public"]]
        )

    assert await table(db) == before
    body = await mine.upsert_many(rows, on=["text"], changing=changing)
    assert [row["text"] for row in json.loads(body)] == ["note 1", "new"]
    kept = {row.text: (row.owner_id, row.public) for row in await table(db)}
    assert (kept["note 1"], kept["new"]) == ((1, True), (1, True))


async def test_an_upsert_moves_no_row_out_of_scope(notes, db):
    public = notes.within(Note.public | (Note.text != "note 1"))
    await notes.update(1, {"public": True})
    before = await table(db)

    with pytest.raises(Forbidden):
        await public.upsert({**MINE, "public": False}, on=["text"], changing=["public"])

    assert await table(db) == before
