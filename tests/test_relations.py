"""Relations of many to many over HTTP: ids listed, set, added and removed."""

import asyncio
from datetime import datetime
from typing import Annotated, ClassVar

import pytest
from catalogue import assert_problem, client_of
from fastapi import FastAPI, Header
from pydantic import BaseModel
from sqlalchemy import Column, DateTime, ForeignKey, MetaData, Table, func, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from howdah import Misconfigured, Resource, problems
from howdah.memory import MemoryDatabase

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}


TAGGED = Table(
    "tagged",
    Base.metadata,
    Column("post_id", ForeignKey("posts.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)
LOOSE = Table(
    "loose",
    Base.metadata,
    Column("post_id", ForeignKey("posts.id")),
    Column("tag_id", ForeignKey("tags.id")),
)


class Tag(Base):
    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner: Mapped[str] = mapped_column(server_default="")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())


class Post(Base):
    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    updated_at: Mapped[datetime | None] = mapped_column(onupdate=func.now())
    deleted_at: Mapped[datetime | None]
    tags: Mapped[list[Tag]] = relationship(secondary=TAGGED)
    loose: Mapped[list[Tag]] = relationship(secondary=LOOSE)


class PostWrite(BaseModel):
    title: str


class PostRead(PostWrite):
    id: int


class Posts(Resource[Post]):
    create_schema = update_schema = PostWrite
    read_schema = PostRead
    soft_delete = "deleted_at"
    relations = ("tags",)


class Shown(Posts):
    read_only = True


class TagRow(BaseModel):
    id: int
    owner: str = ""


class Tags(Resource[Tag]):
    create_schema = read_schema = TagRow
    update_schema = type("TagUpdate", (BaseModel,), {})


class OwnTags(Tags):
    soft_delete = "is_active"

    def scope(self, owner: Annotated[str, Header()] = ""):
        return Tag.owner == owner


class Owned(Posts):
    relations = {"tags": Tags}  # noqa: RUF012 - as people write it

    def scope(self, owner: Annotated[str, Header()]):
        return Post.title == owner


class Labelled(Posts):
    """Posts of everybody, whose tags belong to somebody."""

    relations = {"tags": lambda: OwnTags}  # noqa: RUF012 - as people write it


class Included(Posts):
    """The same, said once, in what may be embedded."""

    include = {"tags": OwnTags}  # noqa: RUF012 - as people write it


@pytest.fixture(params=["fast", "orm", "memory"], scope="module")
def app(request, closed_db):
    """An app over one kind of store."""
    app = FastAPI()
    app.state.db = MemoryDatabase() if request.param == "memory" else closed_db
    problems.install(app)

    def served(resource):
        members = {"orm": True} if request.param == "orm" else {}
        return type(resource.__name__, (resource,), members)(app.state.db)

    app.include_router(served(Posts).router(prefix="/posts"))
    app.include_router(served(Owned).router(prefix="/owned"))
    app.include_router(served(Shown).router(prefix="/shown"))
    app.include_router(served(Labelled).router(prefix="/labelled"))
    app.include_router(served(Included).router(prefix="/included"))
    app.include_router(served(Tags).router(prefix="/tags"))
    app.include_router(served(OwnTags).router(prefix="/own-tags"))
    return app


@pytest.fixture
async def client(app, db):
    """A client of two posts and tags 1 to 5."""
    if isinstance(app.state.db, MemoryDatabase):
        app.state.db.clear()
    async with db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with client_of(app) as client:
        for title in "ab":
            await client.post("/posts/", json={"title": title})
        made = await client.post("/tags/batch", json=[{"id": n} for n in range(1, 6)])
        assert made.status_code == 201, made.text
        yield client


async def ids(client, number=1):
    return (await client.get(f"/posts/{number}/tags")).json()


async def tag_of(client, number=1):
    return (await client.get(f"/posts/{number}")).headers["etag"]


async def test_related_ids_are_set_added_and_removed(client):
    assert await ids(client) == []
    for method, given, want in [
        ("PUT", [3, 1], [1, 3]),
        ("POST", [2, 3, 2], [1, 2, 3]),
        ("DELETE", [1, 5, 99], [2, 3]),
        ("PUT", [5, 2], [2, 5]),
        ("PUT", [], []),
    ]:
        response = await client.request(method, "/posts/1/tags", json=given)
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["etag"] == await tag_of(client)
        assert await ids(client) == want
    assert await ids(client, 2) == []


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("given", [[True], ["1"], [1.5], {"id": 1}, 1, [[1]], [None]])
async def test_an_id_is_of_its_own_type(client, method, given):
    await client.put("/posts/1/tags", json=[1, 2])

    refused = await client.request(method, "/posts/1/tags", json=given)

    assert_problem(refused, 422, "invalid")
    assert await ids(client) == [1, 2]


async def test_ids_may_be_removed_by_parameters(client):
    await client.put("/posts/1/tags", json=[1, 2, 3])

    response = await client.delete("/posts/1/tags?id=1&id=3")

    assert response.status_code == 204
    assert await ids(client) == [2]
    assert_problem(await client.delete("/posts/1/tags"), 422, "invalid")


async def test_a_change_gives_a_version_and_none_gives_none(client):
    first = await tag_of(client)
    await client.put("/posts/1/tags", json=[1, 2])
    second = await tag_of(client)

    for method, given in [("PUT", [2, 1]), ("POST", [1]), ("DELETE", [5])]:
        await client.request(method, "/posts/1/tags", json=given)

    assert first != second == await tag_of(client)


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_ids_of_no_row_are_named_and_nothing_changes(client, method):
    await client.put("/posts/1/tags", json=[1])

    for given, index in [([2, 99, 3], 1), ([2, 2**40], 1)]:
        response = await client.request(method, "/posts/1/tags", json=given)

        members = assert_problem(response, 409, "missing_reference")
        assert [(e["field"], e["index"]) for e in members["errors"]] == [
            ("tags", index)
        ]
    assert await ids(client) == [1]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_a_row_that_is_not_there_has_no_relations(client, method):
    await client.put("/posts/2/tags", json=[1])
    await client.delete("/posts/2")
    body = None if method == "GET" else [1]

    for number in (2, 9, 2**40):
        response = await client.request(method, f"/posts/{number}/tags", json=body)
        assert_problem(response, 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_relations_of_a_row_beyond_the_scope_are_not_there(client, method):
    await client.put("/posts/1/tags", json=[1])
    body = None if method == "GET" else [1, 2]

    for owner, status in (("b", 404), ("a", 200 if body is None else 204)):
        response = await client.request(
            method, "/owned/1/tags", json=body, headers={"owner": owner}
        )
        assert response.status_code == status
        if status == 404:
            assert await ids(client) == [1]


@pytest.fixture(params=["labelled", "included"])
async def anns(request, client):
    """A path of a post's tags, of which 1 and 2 are Ann's, and 2 is deleted."""
    for number in (11, 12):
        own = {"id": number, "owner": "ann"}
        await client.post("/tags/", json=own)
        await client.post("/posts/1/tags", json=[number])
    gone = await client.delete("/own-tags/12", headers={"owner": "ann"})
    assert gone.status_code == 204
    await client.post("/posts/1/tags", json=[1])
    return f"/{request.param}/1/tags"


async def test_related_rows_of_others_and_deleted_ones_are_not_seen(client, anns):
    mine = (await client.get(anns, headers={"owner": "ann"})).json()
    others = (await client.get(anns)).json()

    assert (mine, others) == ([11], [1])


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(("owner", "number"), [("bob", 11), ("ann", 1), ("ann", 12)])
async def test_rows_of_others_and_deleted_ones_cannot_be_related_to(
    client, anns, method, owner, number
):
    before = await ids(client)

    answer = await client.request(method, anns, json=[number], headers={"owner": owner})

    members = assert_problem(answer, 409, "missing_reference")
    assert members["errors"][0]["index"] == 0
    assert await ids(client) == before


async def test_what_a_caller_does_not_see_stays_related(client, anns):
    bob = {"owner": "bob"}
    version = await tag_of(client)

    for method, given in [("PUT", []), ("DELETE", [11, 12, 1])]:
        answer = await client.request(method, anns, json=given, headers=bob)
        assert answer.status_code == 204

    assert (await ids(client), await tag_of(client)) == ([1, 11, 12], version)
    await client.put(anns, json=[2], headers={"owner": ""})
    assert await ids(client) == [2, 11, 12]


def test_a_resource_with_a_scope_says_which_related_rows_there_are():
    silent = type("Silent", (Owned,), {"relations": ("tags",)})
    included = type("Included", (silent,), {"include": {"tags": Tags}})
    all_tags = type("AllTags", (silent,), {"relations": {"tags": Tag}})

    with pytest.raises(Misconfigured, match=r"relations = \{'tags': "):
        silent(MemoryDatabase())
    included(MemoryDatabase())
    all_tags(MemoryDatabase())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Post, "Post'>; give a resource of Tag"),
        (Shown, "is Shown, a resource of Post, but the relation leads to Tag"),
        ("Tags", "is 'Tags'; give a resource of Tag"),
    ],
)
def test_relations_lead_to_a_resource_of_their_model(given, message):
    wrong = type("Wrong", (Posts,), {"relations": {"tags": given}})

    with pytest.raises(Misconfigured, match=message):
        wrong(MemoryDatabase())


def test_a_relation_that_is_embedded_and_written_has_one_resource():
    members = {"relations": {"tags": Tags}, "include": {"tags": OwnTags}}

    with pytest.raises(Misconfigured, match="give one resource for both"):
        type("Wrong", (Posts,), members)(MemoryDatabase())


async def test_a_resource_to_be_read_changes_no_relations(client):
    statuses = [
        (await client.request(method, "/shown/1/tags", json=[1])).status_code
        for method in ("PUT", "POST", "DELETE")
    ]

    assert statuses == [405] * 3
    assert (await client.get("/shown/1/tags")).json() == []


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
async def test_a_change_may_be_meant_for_one_version(client, method):
    await client.put("/posts/1/tags", json=[1])
    stale = {"If-Match": '"0"'}

    refused = await client.request(method, "/posts/1/tags", json=[2], headers=stale)
    current = {"If-Match": await tag_of(client)}
    made = await client.request(method, "/posts/1/tags", json=[1], headers=current)

    assert_problem(refused, 412, "stale")
    assert made.status_code == 204


async def test_of_many_sets_at_once_one_is_what_remains(client):
    sets = [[1, 2], [3], [4, 5], [2, 3, 4]]

    answers = await asyncio.gather(
        *(client.put("/posts/1/tags", json=sets[n % 4]) for n in range(24))
    )

    assert {answer.status_code for answer in answers} == {204}
    assert await ids(client) in sets


async def test_many_may_add_the_same_ids_at_once(client):
    orders = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]

    answers = await asyncio.gather(
        *(client.post("/posts/1/tags", json=orders[n % 2]) for n in range(30))
    )

    assert {answer.status_code for answer in answers} == {204}
    assert await ids(client) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tog", "has no such relation; it has tags, loose"),
        ("loose", "'loose' needs a primary key of just the columns"),
    ],
)
def test_a_relation_that_cannot_be_written_is_refused(name, message):
    wrong = type("Wrong", (Posts,), {"relations": (name,)})

    with pytest.raises(Misconfigured, match=message):
        wrong(None)
