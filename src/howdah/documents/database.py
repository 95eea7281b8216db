"""A MongoDB database: the client, Beanie's start, transactions, health."""

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

from beanie import Document, init_beanie
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from howdah.database import Health
from howdah.documents.codec import DECIMALS
from howdah.documents.faults import STANDALONE, error_of, is_transient, translated
from howdah.documents.server import DEFAULT_FOLDER, DevelopmentServer
from howdah.errors import Contention, HowdahError, Misconfigured, Unsupported
from howdah.settings import Settings

__all__ = ("ANSWERS", "NUMBERS", "MongoDatabase")

T = TypeVar("T")
Raw = dict[str, Any]
Session = AsyncClientSession | None
ANSWERS = "howdah_idempotency"
"""The collection of answers that are kept for a day."""
NUMBERS = "howdah_numbers"
"""The collection of the last numbers that keys were given."""
_DAY = 86_400  # seconds
# How often a transaction is tried, where others were in its way.
_TRIES = 10
_NO_FIELDS: Mapping[str, str] = {}


class MongoDatabase:
    """Stand where a Database stands, for resources of Beanie's documents.

    Opened, it has Beanie know the documents and makes their indexes. Without an address
    it goes to MONGODB_URL of the environment or `.env`, and where that is not set, to a
    server for development.
    """

    def __init__(
        self,
        settings: Settings | str | None = None,
        *,
        documents: Sequence[type[Document]],
        name: str | None = None,
        timeout: float = 5.0,
        folder: Path = DEFAULT_FOLDER,
    ) -> None:
        self._settings = settings if isinstance(settings, Settings) else None
        self._url = settings if isinstance(settings, str) else None
        self._documents = tuple(documents)
        self._name = name
        self._timeout = timeout
        self._server = DevelopmentServer(folder)
        self._client: AsyncMongoClient[Raw] | None = None
        self._database: AsyncDatabase[Raw] | None = None
        self._ready = False
        self._preparing: asyncio.Lock | None = None
        self._replicated = False

    def __repr__(self) -> str:
        return f"MongoDatabase({_shown(self._url) or 'MONGODB_URL'!r})"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def client(self) -> AsyncMongoClient[Raw]:
        """PyMongo's client, for whatever Beanie has no words for."""
        if self._client is None:
            raise Misconfigured(
                "the MongoDatabase is not open; use it as `async with db`, or connect "
                "it to the app"
            )
        return self._client

    @contextmanager
    def redirected(self, url: str, *, name: str | None = None) -> Iterator[Self]:
        """Lead it elsewhere inside the block, while it is not open: for tests."""
        if self._client is not None:
            raise Misconfigured("close an open MongoDatabase before it is redirected")
        before = self._url, self._name
        self._url, self._name = url, name
        try:
            yield self
        finally:
            self._url, self._name = before

    async def open(self, *, wait: bool = True) -> None:
        """Connect; with `wait=False` a server that is away is looked for later."""
        if self._client is None:
            self._client = self._connected()
        if wait:
            await self.prepare()
            return
        try:
            await self.prepare()
        except HowdahError as error:
            if isinstance(error, Misconfigured):
                raise

    async def close(self) -> None:
        """Close all connections, and end the server for development."""
        client, self._client, self._ready = self._client, None, False
        self._database = self._preparing = None
        if client is not None:
            await client.close()
        self._server.stop()

    async def prepare(self) -> AsyncDatabase[Raw]:
        """Return the database, once Beanie knows the documents and indexes are made."""
        if self._ready and self._database is not None:
            return self._database
        # One for each loop that it is opened in.
        self._preparing = self._preparing or asyncio.Lock()
        async with self._preparing:
            if not self._ready or self._database is None:
                with translated(_NO_FIELDS):
                    self._database = await self._prepared()
                self._ready = True
        return self._database

    async def collection(self, name: str) -> AsyncCollection[Raw]:
        """Return a collection of the database."""
        return (await self.prepare())[name]

    async def health(self) -> Health:
        """Ask the server for a word; never raises."""
        began = time.perf_counter()
        try:
            database = await self.prepare()
            await database.command("ping")
        except (HowdahError, PyMongoError) as error:
            ours = error if isinstance(error, HowdahError) else error_of(error, {})
            return self._health(began, ours.message)
        return self._health(began, "")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncClientSession]:
        """Give a session whose work is stored whole, at the end of the block, or not.

        `await item.insert(session=session)`. Raises Unsupported on a standalone server,
        and Contention where another transaction was in the way: try the whole again.
        """
        await self.prepare()
        self._refuse_standalone()
        with translated(_NO_FIELDS):
            async with (
                self.client.start_session() as session,
                await session.start_transaction(),
            ):
                yield session

    async def run(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """Do work in a transaction, and again where another one was in its way."""
        for attempt in range(_TRIES):
            try:
                async with self.transaction() as session:
                    return await work(session)
            except HowdahError as error:
                again = is_transient(error.__cause__) or isinstance(error, Contention)
                if not again or attempt == _TRIES - 1:
                    raise
            await asyncio.sleep(0.002 * 2**attempt)
        raise Contention

    async def numbers(self, name: str, count: int) -> range:
        """Return that many numbers that no key of a collection has had."""
        numbers = await self.collection(NUMBERS)
        found = await numbers.find_one_and_update(
            {"_id": name}, {"$inc": {"last": count}}, upsert=True, return_document=True
        )
        last: int = found["last"] if found else count
        return range(last - count + 1, last + 1)

    def session(self) -> NoReturn:
        """Refuse: there are no sessions of SQL here."""
        raise Misconfigured(
            "a MongoDatabase has no sessions of SQL; use Beanie's documents, and "
            "`async with db.transaction() as session` for what belongs together"
        )

    def sync_session(self) -> NoReturn:
        """Refuse likewise."""
        self.session()

    def _connected(self) -> AsyncMongoClient[Raw]:
        url = self._url or _named(self._settings or Settings())
        url = url or self._server.start()
        return AsyncMongoClient(
            url,
            tz_aware=True,
            uuidRepresentation="standard",
            serverSelectionTimeoutMS=int(self._timeout * 1000),
            type_registry=DECIMALS,
        )

    async def _prepared(self) -> AsyncDatabase[Raw]:
        named = self.client.get_default_database("howdah")
        database = self.client[self._name] if self._name else named
        hello = await database.command("hello")
        self._replicated = "setName" in hello or hello.get("msg") == "isdbgrid"
        await init_beanie(database=database, document_models=list(self._documents))
        answers = database[ANSWERS]
        await answers.create_index("created_at", expireAfterSeconds=_DAY)
        return database

    def _refuse_standalone(self) -> None:
        if not self._replicated:
            raise Unsupported(STANDALONE)

    def _health(self, began: float, reason: str) -> Health:
        seconds = time.perf_counter() - began
        return Health(ok=not reason, seconds=seconds, reason=reason, busy=0, budget=0)


def _named(settings: Settings) -> str | None:
    url = settings.mongodb_url
    return None if url is None else url.get_secret_value()


def _shown(url: str | None) -> str:
    """Return an address without its password."""
    head, at, tail = (url or "").rpartition("@")
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}:***@{tail}" if at else tail
