"""What a client has said: heard once, for whoever asks.

Reads a body where there is nothing to say about it; all others are left unread, or are
said again to who comes next. What a body means, others know.
"""

from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import Message, Receive, Scope

__all__ = ("Heard", "is_short_json")


class Heard:
    """What a client says, and says again to who comes next."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._said: list[Message] = []

    async def __call__(self) -> Message:
        """Return the next message, those first that have been heard."""
        return self._said.pop(0) if self._said else await self._receive()

    async def body(self, most: int | None) -> bytes | None:
        """Return the body; None where it is larger, or its client has gone."""
        size, more = 0, True
        while more:
            message = await self._receive()
            self._said.append(message)
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or (most is not None and size > most):
                return None
            more = message.get("more_body", False)
        return b"".join(message.get("body", b"") for message in self._said)


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
