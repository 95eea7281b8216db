"""Sentry: errors and transactions, on a transport that keeps them."""

from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport


class Kept(Transport):
    """Keeps what it is to send."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self._events += [item.payload.json for item in envelope.items]

    def take(self) -> Any:
        events, self._events = [it for it in self._events if it], []
        return {
            "transactions": [
                (
                    event["transaction"],
                    event["transaction_info"]["source"],
                    event["contexts"]["trace"]["status"],
                )
                for event in events
                if event.get("type") == "transaction"
            ],
            "errors": [_error(event) for event in events if "exception" in event],
        }


def _error(event: Any) -> Any:
    raised = [(it["type"], it["value"]) for it in event["exception"]["values"]]
    request = event["request"]
    return event["transaction"], raised, request["method"], request["url"]


async def seen() -> Any:
    kept = Kept()
    sentry_sdk.init(
        "https://key@sentry.invalid/1",
        transport=kept,
        traces_sample_rate=1.0,
        integrations=[StarletteIntegration(), FastApiIntegration()],
        # Looking for all others takes longer than the rest.
        auto_enabling_integrations=False,
    )
    from tools.notes import make_app, watched

    return await watched(make_app(), kept.take)
