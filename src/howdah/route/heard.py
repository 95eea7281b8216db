"""What a client has said: heard once, for whoever asks.

Reads a body where there is nothing to say about it; all others are left unread, or are
said again to who comes next. What a body means, others know.
"""

from collections import deque

from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import Message, Receive, Scope

__all__ = ("Heard", "is_short_json")


class Heard:
    """What a client says, and says again to who comes next."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._said: deque[Message] = deque()
        self._failed: Exception | None = None

    async def __call__(self) -> Message:
        """Return the next message, those first that have been heard."""
        if self._said:
            return self._said.popleft()
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        return await self._receive()

    async def body(self, most: int | None) -> bytes | None:
        """Return the body; None where it is larger, or cannot be received."""
        size, more = 0, True
        while more:
            try:
                message = await self._receive()
            except Exception as exc:  # noqa: BLE001 - raised again for who comes next
                self._failed = exc
                return None
            if message.get("body") or not message.get("more_body"):
                self._said.append(message)
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or (most is not None and size > most):
                return None
            more = message.get("more_body", False)
        return b"".join(message.get("body", b"") for message in self._said)

    def forget(self) -> None:
        """Say nothing again that has been heard: whoever asks has it."""
        self._said.clear()


_JSON = frozenset(
    (
        b"application/json",
        b"application/json;charset=utf-8",
        b"application/json; charset=utf-8",
    )
)


def is_short_json(scope: Scope, most: int | None) -> bool:
    """Say whether the headers announce a body that there is nothing to say about."""
    if MAX_BODY_SIZE_SCOPE_KEY in scope:
        return False
    headers = dict(reversed(list(scope["headers"])))
    length = headers.get(b"content-length", b"0")
    return headers.get(b"content-type", b"").lower() in _JSON and (
        most is None or (length.isdigit() and int(length) <= most)
    )
