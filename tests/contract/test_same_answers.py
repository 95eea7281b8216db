"""Random models, rows and questions: every store gives the same answer.

The suite asks a few, always the same ones; `make fuzz` asks new ones, and more.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from contract.backends import BACKENDS, Backend
from contract.shapes import PROSE, Fuzzed, Kind, Shape, shape, texts
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from howdah.errors import HowdahError, NotFound
from howdah.paging import KeysetPage, OffsetPage
from howdah.query import Filter, Query, Show, Sort
from howdah.store import Store

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
SHAPES = 100 if EXAMPLES else 16
BUDGET = 30.0  # seconds of the suite's time, on however slow a machine
EVERY = Query(active_only=False)


@dataclass
class Place:
    """One store of a shape's things, one of their parents, and what is known there."""

    name: str
    things: Store
    parents: Store
    unanswered: frozenset[str]
    tags: dict[Any, list[str]] = field(default_factory=dict)

    def match(self, key: Any, version: str) -> tuple[str, ...] | None:
        """Return a tag that is current, or was; or none."""
        known = self.tags.get(key, [])
        if version == "any" or not known:
            return None
        return (known[-1],) if version == "current" else tuple(known[:-1])

    def saw(self, key: Any, tag: str) -> None:
        self.tags.setdefault(key, []).append(tag)


@dataclass(frozen=True)
class Create:
    rows: tuple[dict[str, Any], ...]
    many: bool

    async def do(self, at: Place) -> Any:
        if self.many:
            return json.loads(await at.things.create_many(self.rows))
        row = await at.things.create(self.rows[0])
        at.saw(row.key, row.tag)
        return row.key, json.loads(row.body)


@dataclass(frozen=True)
class Update:
    key: Any
    values: dict[str, Any]
    version: str

    async def do(self, at: Place) -> Any:
        match = at.match(self.key, self.version)
        row = await at.things.update(self.key, self.values, match=match)
        at.saw(self.key, row.tag)
        return json.loads(row.body)


@dataclass(frozen=True)
class Delete:
    key: Any
    hard: bool
    version: str

    async def do(self, at: Place) -> Any:
        match = at.match(self.key, self.version)
        return await at.things.delete(self.key, hard=self.hard, match=match)


@dataclass(frozen=True)
class Restore:
    key: Any

    async def do(self, at: Place) -> Any:
        return json.loads((await at.things.restore(self.key)).body)


@dataclass(frozen=True)
class Orphan:
    parent: int

    async def do(self, at: Place) -> Any:
        return await at.parents.delete(self.parent, hard=True)


@dataclass(frozen=True)
class Get:
    key: Any

    async def do(self, at: Place) -> Any:
        row = await at.things.get(self.key)
        known = at.tags.get(self.key, [row.tag])
        return json.loads(row.body), row.tag == known[-1]


@dataclass(frozen=True)
class Ask:
    query: Query
    skip: int
    limit: int

    async def do(self, at: Place) -> Any:
        page = OffsetPage(skip=self.skip, limit=self.limit)
        found = await at.things.list(self.query, page)
        walks = [
            await walk(at.things, self.query, self.limit, direction)
            for direction in ("next", "prev")
        ]
        total = await at.things.count(self.query)
        return json.loads(found.body), found.more, found.total, total, *walks


@dataclass(frozen=True)
class AskParents:
    query: Query

    async def do(self, at: Place) -> Any:
        found = await at.parents.list(self.query, OffsetPage())
        return json.loads(found.body)


async def walk(store: Store, query: Query, limit: int, direction: Any) -> list[Any]:
    """Follow the cursors from the beginning, or from the end, to the other end."""
    pages, position = [], None
    for _ in range(100):
        page = KeysetPage(limit=limit, position=position, direction=direction)
        found = await store.list(query, page)
        pages.append(json.loads(found.body))
        if not found.more:
            return pages
        end = found.last if direction == "next" else found.first
        position = tuple(json.loads(end, parse_float=Decimal))
    raise AssertionError(f"no end of pages: {pages[:3]}...")


@dataclass(frozen=True)
class Story:
    """What happens to one shape: parents, then steps."""

    shape: Shape
    parents: tuple[str, ...]
    steps: tuple[Any, ...]


@st.composite
def stories(draw: Callable[..., Any]) -> Story:
    chosen = shape(draw(st.integers(0, SHAPES - 1)))
    parents = draw(st.lists(texts, min_size=1, max_size=3))
    keys = draw(st.lists(_keys(chosen), min_size=1, max_size=8, unique=True))
    rows = [draw(_rows(chosen, st.just(key), len(parents))) for key in keys]
    seen = Seen(chosen, keys, rows, parents)
    asks = st.lists(seen.asks(), min_size=2, max_size=4)
    steps = [
        *(Create(rows=(row,), many=False) for row in rows),
        *draw(asks),
        *draw(st.lists(seen.writes(), max_size=6)),
        *draw(asks),
    ]
    return Story(chosen, tuple(parents), tuple(steps))


def _keys(chosen: Shape) -> st.SearchStrategy[Any]:
    parts = list(chosen.keys.values())
    return st.tuples(*parts) if len(parts) > 1 else parts[0]


def _rows(
    chosen: Shape, key: st.SearchStrategy[Any], parents: int
) -> st.SearchStrategy[Any]:
    names = tuple(chosen.keys)
    values = {
        **{name: _values(chosen, name) for name in chosen.columns},
        "parent_id": st.none() | st.integers(1, parents) | st.integers(1, 4),
    }

    def row(key: Any, values: dict[str, Any]) -> dict[str, Any]:
        parts = key if len(names) > 1 else (key,)
        return {**dict(zip(names, parts, strict=True)), **values}

    return st.builds(row, key, st.fixed_dictionaries(values))


def _values(chosen: Shape, name: str) -> st.SearchStrategy[Any]:
    values = chosen.columns[name].values
    # A value that is missing where one is needed is refused; not too often, though.
    rare = st.integers(0, 30).flatmap(lambda n: st.none() if n == 7 else values)
    return rare if name in chosen.needed else st.none() | values


@dataclass(frozen=True)
class Seen:
    """What there is to speak of: a shape, and rows of it."""

    shape: Shape
    keys: list[Any]
    rows: list[dict[str, Any]]
    parents: list[str]

    def writes(self) -> st.SearchStrategy[Any]:
        version = st.sampled_from(["any", "any", "current", "stale"])
        key = st.sampled_from(self.keys) | _keys(self.shape)
        row = _rows(self.shape, key, len(self.parents))
        changes = {name: _values(self.shape, name) for name in self.shape.columns}
        return st.one_of(
            st.builds(Create, rows=st.tuples(row), many=st.booleans()),
            st.builds(
                Create,
                rows=st.lists(row, min_size=1, max_size=4).map(tuple),
                many=st.just(True),
            ),
            st.builds(
                Update,
                key=key,
                values=st.fixed_dictionaries({}, optional=changes),
                version=version,
            ),
            st.builds(Delete, key=key, hard=st.booleans(), version=version),
            st.builds(Orphan, parent=st.integers(1, 3)),
            st.builds(Restore if self.shape.things.soft_delete else Get, key=key),
        )

    def asks(self) -> st.SearchStrategy[Any]:
        page = {"skip": st.integers(0, 4), "limit": st.integers(1, 4)}
        key = st.sampled_from(self.keys) | _keys(self.shape)
        asking = st.builds(Ask, query=self._queries(), **page)
        through = st.builds(AskParents, query=self._parent_queries())
        return st.one_of(asking, asking, asking, through, st.builds(Get, key=key))

    def _queries(self) -> st.SearchStrategy[Query]:
        fields = [
            self._filters(name, kind, [row[name] for row in self.rows])
            for name, kind in self.shape.columns.items()
        ]
        through = self._filters("parent__name", PROSE, self.parents)
        words = texts.filter(bool) if self.shape.things.search else st.none()
        return st.builds(
            Query,
            filters=st.lists(st.one_of(*fields, through), max_size=2).map(tuple),
            sort=_sorts(self.shape.things.sort),
            search=st.sampled_from([False, False, True]).flatmap(
                lambda asked: words if asked else st.none()
            ),
            active_only=st.booleans(),
            count=st.sampled_from([None, "exact"]),
            show=self._shows(),
        )

    def _shows(self) -> st.SearchStrategy[Show]:
        names = st.sampled_from(sorted(self.shape.things.read_schema.model_fields))
        some = st.lists(names, min_size=1, max_size=4, unique=True).map(tuple)
        return st.builds(Show, fields=st.none() | st.none() | some, include=st.just(()))

    def _parent_queries(self) -> st.SearchStrategy[Query]:
        through = [
            self._filters(f"things__{name}", kind, [row[name] for row in self.rows])
            for name, kind in self.shape.columns.items()
        ]
        return st.builds(
            Query,
            filters=st.lists(st.one_of(*through), min_size=1, max_size=2).map(tuple),
            sort=_sorts(("name",)),
            active_only=st.just(False),
        )

    def _filters(
        self, name: str, kind: Kind, there: list[Any]
    ) -> st.SearchStrategy[Filter]:
        """Ask for values that there are, mostly: others find nothing."""
        known = [value for value in there if value is not None]
        values = kind.values
        return _filters(
            name, kind, st.sampled_from(known) | values if known else values
        )


def _sorts(names: Sequence[str]) -> st.SearchStrategy[tuple[Sort, ...]]:
    one = st.builds(
        Sort,
        field=st.sampled_from(names),
        descending=st.booleans(),
        nulls_first=st.booleans(),
    )
    return st.lists(one, max_size=3, unique_by=lambda sort: sort.field).map(tuple)


def _filters(
    name: str, kind: Kind, values: st.SearchStrategy[Any]
) -> st.SearchStrategy[Filter]:
    def of(operator: str) -> st.SearchStrategy[Filter]:
        if operator == "isnull":
            value = st.booleans()
        elif operator == "between":
            value = st.tuples(values, values)
        elif operator in {"in", "not_in"}:
            value = st.lists(values, min_size=1, max_size=3).map(tuple)
        else:
            value = values
        return st.builds(
            Filter, field=st.just(name), operator=st.just(operator), value=value
        )

    return st.sampled_from(kind.operators).flatmap(of)


class Everywhere:
    """All stores, open, in one event loop."""

    def __init__(
        self, runner: asyncio.Runner, opened: list[tuple[Backend, Any]]
    ) -> None:
        self._runner = runner
        self._opened = opened
        self._places: dict[int, list[Place]] = {}
        self.until = time.monotonic() + BUDGET

    def tell(self, story: Story) -> None:
        """Let a story happen in every store; fail where two answers differ."""
        self._runner.run(self._tell(story))

    async def _tell(self, story: Story) -> None:
        places = self._places.get(story.shape.seed)
        if places is None:
            chosen = story.shape
            asked = {*chosen.keys, *chosen.columns, f"unique {chosen.unique}"}
            places = [
                self._place(backend, db, chosen)
                for backend, db in self._opened
                if backend.unanswered.keys().isdisjoint(asked)
            ]
            self._places[story.shape.seed] = places
        there = places
        try:
            for number, name in enumerate(story.parents, start=1):
                for place in places:
                    await place.parents.create({"id": number, "name": name})
            for step in story.steps:
                those = [p for p in there if p.unanswered.isdisjoint(words(step))]
                if not isinstance(step, Ask | AskParents):
                    # From here on it is another story to whom did not hear this.
                    there = those
                answers = {p.name: await answer(step, p) for p in those}
                first = answers["fast"]
                alike = [same(first, *other) for other in answers.items()]
                assert all(alike), told(step, answers)
        finally:
            for place in places:
                await empty(place, story.shape)

    def _place(self, backend: Backend, db: Any, chosen: Shape) -> Place:
        things, parents = (
            backend.resource(resource, db).store
            for resource in (chosen.things, chosen.parents)
        )
        return Place(backend.name, things, parents, frozenset(backend.unanswered))


def same(first: Any, name: str, other: Any) -> bool:
    """Say whether a store's answer is that of the first one."""
    if other == first:
        return True
    # MongoDB asks for what is linked before it stores, not behind it.
    faults = ["Duplicate", "MissingReference"]
    return name == "mongodb" and first in faults and other in faults


def words(step: Any) -> set[str]:
    """Return what of a step some stores may not understand."""
    found = {type(step).__name__}
    if isinstance(step, Ask | AskParents):
        found |= {each.operator for each in step.query.filters}
        found |= {"search"} if step.query.search is not None else set()
    return found


async def answer(step: Any, place: Place) -> Any:
    try:
        return plain(await step.do(place))
    except HowdahError as error:
        # Of several faults, each store may find another one first.
        return type(error).__name__


async def empty(place: Place, chosen: Shape) -> None:
    place.tags.clear()
    for store, names in ((place.things, tuple(chosen.keys)), (place.parents, ("id",))):
        found = await store.list(EVERY, OffsetPage(limit=1000))
        for row in json.loads(found.body):
            key = tuple(row[name] for name in names)
            with suppress(NotFound):
                await store.delete(typed(key), hard=True)


def typed(key: tuple[Any, ...]) -> Any:
    """Return a key out of JSON as the store takes it."""
    values = tuple(
        uuid.UUID(v) if isinstance(v, str) and len(v) == 36 else v for v in key
    )
    return values if len(values) > 1 else values[0]


def plain(value: Any, name: str = "") -> Any:
    """Return an answer so that what means the same is the same."""
    if isinstance(value, dict):
        return [(key, plain(each, key)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if name == "touched_at":
        return value is not None
    return value


def told(step: Any, answers: dict[str, Any]) -> str:
    lines = [f"  {name}: {answer}" for name, answer in answers.items()]
    return "\n".join([f"{step} is answered in different ways:", *lines])


@pytest.fixture(scope="module")
def everywhere(server, tmp_path_factory):
    for number in range(SHAPES):
        shape(number)
    Fuzzed.registry.configure()
    with asyncio.Runner() as runner, ExitStack() as stack:
        opened = AsyncExitStack()
        stack.callback(lambda: runner.run(opened.aclose()))
        dbs = []
        for backend in BACKENDS:
            folder = tmp_path_factory.mktemp(backend.name)
            address = stack.enter_context(
                backend.prepared(server, folder, Fuzzed.metadata)
            )
            database = backend.fuzzed or backend.database
            entered = backend.opened(database(address), Fuzzed.metadata)
            db = runner.run(opened.enter_async_context(entered))
            dbs.append((backend, db))
        yield Everywhere(runner, dbs)


@pytest.mark.timeout(7200 if EXAMPLES else 300)
@settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    # To make a story short, or to explain it, takes longer than to read it.
    phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(story=stories())
def test_every_store_gives_the_same_answers(everywhere, story):
    if EXAMPLES or time.monotonic() < everywhere.until:
        everywhere.tell(story)
