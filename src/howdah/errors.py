"""What can go wrong, as a small tree of errors that carry data first, text second.

    HowdahError                     internal            500
    ├── Invalid                     invalid             422
    │   ├── InvalidQuery            invalid             422
    │   └── IdempotencyMismatch     idempotency_mismatch 422
    ├── NotFound                    not_found           404
    ├── Forbidden                   forbidden           403
    ├── Conflict                    conflict            409
    │   ├── Duplicate               duplicate           409
    │   ├── MissingReference        missing_reference   409
    │   ├── StillReferenced         still_referenced    409
    │   ├── StaleVersion            stale               412
    │   └── StillRunning            still_running       409
    ├── PreconditionRequired        precondition_required 428
    ├── Unavailable                 unavailable         503
    │   ├── PoolExhausted           unavailable         503
    │   ├── Timeout                 timeout             503
    │   ├── ReadOnly                read_only           503
    │   └── Contention              contention          503
    ├── Unsupported                 unsupported         501
    ├── TransactionAborted          internal            500
    └── Misconfigured               internal            500

`from_sqlstate` turns a code of PostgreSQL into one of them. No driver is imported
here: `drivers` finds the code, this file knows what it means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

__all__ = (
    "Conflict",
    "Contention",
    "Duplicate",
    "FieldError",
    "Forbidden",
    "HowdahError",
    "IdempotencyMismatch",
    "Invalid",
    "InvalidQuery",
    "Misconfigured",
    "MissingReference",
    "NotFound",
    "PoolExhausted",
    "PreconditionRequired",
    "ReadOnly",
    "StaleVersion",
    "StillReferenced",
    "StillRunning",
    "Timeout",
    "TransactionAborted",
    "Unavailable",
    "Unsupported",
    "from_sqlstate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field; `index` counts the rows of a batch from 0."""

    field: str
    code: str
    message: str
    index: int | None = None


class HowdahError(Exception):
    """Something went wrong inside."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retry_after: ClassVar[int | None] = None
    field_message: ClassVar[str] = "is not acceptable"

    def __init__(
        self,
        message: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        constraint: str | None = None,
        table: str | None = None,
    ) -> None:
        super().__init__(message or _first_line(type(self)))
        self.errors = errors
        self.constraint = constraint
        self.table = table

    @property
    def message(self) -> str:
        """The text for a person; never holds SQL, a secret or another row's value."""
        return str(self.args[0])

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are to blame."""
        return tuple(error.field for error in self.errors)

    def naming(self, fields: tuple[str, ...]) -> Self:
        """Blame these fields, where none is blamed yet."""
        if not self.errors:
            self.errors = tuple(
                FieldError(field=name, code=self.code, message=self.field_message)
                for name in fields
            )
        return self


class Invalid(HowdahError):
    """A value is not acceptable."""

    code = "invalid"
    status = 422

    def __init__(
        self,
        message: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        constraint: str | None = None,
        table: str | None = None,
    ) -> None:
        said = message or (_summary(errors) if errors else None)
        super().__init__(said, errors=errors, constraint=constraint, table=table)


class InvalidQuery(Invalid):
    """The query cannot be answered as it was asked."""


class IdempotencyMismatch(Invalid):
    """The idempotency key has been used for another request; take a new one."""

    code = "idempotency_mismatch"
    field_message = "has been used for another request"


class NotFound(HowdahError):
    """There is no such row."""

    code = "not_found"
    status = 404

    def __init__(
        self, message: str | None = None, *, model: str = "", key: object = None
    ) -> None:
        if message is None and model:
            message = f"{model} ID {key} not found"
        super().__init__(message)
        self.model = model
        self.key = key


class Forbidden(HowdahError):
    """This may not be done."""

    code = "forbidden"
    status = 403


class Conflict(HowdahError):
    """The change contradicts other rows."""

    code = "conflict"
    status = 409
    field_message = "contradicts another row"


class Duplicate(Conflict):
    """Another row already has this value."""

    code = "duplicate"
    field_message = "is already taken by another row"


class MissingReference(Conflict):
    """The row refers to one that does not exist."""

    code = "missing_reference"
    field_message = "refers to a row that does not exist"


class StillReferenced(Conflict):
    """Other rows still refer to this one."""

    code = "still_referenced"
    field_message = "is still referred to by another row"


class StaleVersion(Conflict):
    """The row has changed since it was read."""

    code = "stale"
    status = 412


class StillRunning(Conflict):
    """A request with this idempotency key is still running; send it again later."""

    code = "still_running"
    retry_after = 1
    field_message = "belongs to a request that is still running"


class PreconditionRequired(HowdahError):
    """The change has to say which version of the row it is meant for: send If-Match."""

    code = "precondition_required"
    status = 428


class Unavailable(HowdahError):
    """The database cannot be reached at the moment."""

    code = "unavailable"
    status = 503
    retry_after = 1


class PoolExhausted(Unavailable):
    """No connection came free in time."""


class Timeout(Unavailable):
    """The database took longer than it may."""

    code = "timeout"


class ReadOnly(Unavailable):
    """The database accepts no writes at the moment."""

    code = "read_only"


class Contention(Unavailable):
    """Other transactions were in the way; the same request may work now."""

    code = "contention"


class Unsupported(HowdahError):
    """The server that the rows are on cannot do this."""

    code = "unsupported"
    status = 501


class TransactionAborted(HowdahError):
    """A statement of this transaction failed and was ignored; nothing was stored.

    Put optional work inside `async with session.begin_nested()`.
    """


class Misconfigured(HowdahError):
    """A setting or a declaration cannot work."""


# Codes: https://www.postgresql.org/docs/18/errcodes-appendix.html
_EXACT: Mapping[str, type[HowdahError]] = {
    # Nobody's own: what a scope raises for a row that was written out of it.
    "2201G": Forbidden,
    # Likewise, what an upsert raises for a row in its way that is out of scope.
    "2201E": Duplicate,
    "23505": Duplicate,
    "23503": MissingReference,
    "23001": StillReferenced,
    "23P01": Conflict,
    "23502": Invalid,
    "23514": Invalid,
    "25006": ReadOnly,
    "25P02": TransactionAborted,
    "25P03": Unavailable,
    "25P04": Timeout,
    "40001": Contention,
    "40002": Conflict,
    "40003": Unavailable,
    "40P01": Contention,
    "42501": Forbidden,
    "42P17": Misconfigured,
    # A value too large for an index, or nested too deeply for the server's stack.
    "54000": Invalid,
    "54001": Invalid,
    "55P03": Timeout,
    "57014": Timeout,
    "57P01": Unavailable,
    "57P02": Unavailable,
    "57P03": Unavailable,
    "57P05": Unavailable,
    "72000": Unavailable,
    # RAISE EXCEPTION in a trigger is a rule that its owner wrote.
    "P0001": Invalid,
}
_CLASSES: Mapping[str, type[HowdahError]] = {
    "08": Unavailable,
    "22": Invalid,
    "23": Conflict,
    "28": Unavailable,
    "3D": Unavailable,
    "40": Contention,
    "44": Invalid,
    "53": Unavailable,
    "57": Unavailable,
    "58": Unavailable,
}
_MESSAGES: Mapping[str, str] = {
    "2201E": "A row is in the way that you may not touch.",
    "2201G": "The row would be outside of what you may touch.",
    "22001": "A value is longer than its column allows.",
    "22003": "A number is larger than its column allows.",
    "22P02": "A value has not the form that its column demands.",
    "23502": "A required value is missing.",
    "23514": "A value breaks a rule of the table.",
    "28000": "The database refused the connection.",
    "28P01": "The database refused the connection.",
    "3D000": "The database does not exist.",
    "54000": "A value is larger than an index or the server can hold.",
    "54001": "A value is nested more deeply than the server can read.",
    "53300": "The database has no connection to spare.",
    "55P03": "Another transaction holds the row; try again.",
    "P0001": "A rule of the database refuses this change.",
}


def from_sqlstate(
    sqlstate: str,
    *,
    constraint: str | None = None,
    table: str | None = None,
    column: str | None = None,
) -> HowdahError:
    """Return the error that a code of PostgreSQL means; unknown codes are internal."""
    cls = _EXACT.get(sqlstate) or _CLASSES.get(sqlstate[:2]) or HowdahError
    error = cls(_MESSAGES.get(sqlstate))
    error.constraint, error.table = constraint, table
    return error.naming((column,)) if column and issubclass(cls, Invalid) else error


def _first_line(cls: type) -> str:
    return (cls.__doc__ or cls.__name__).splitlines()[0]


def _summary(faults: Sequence[FieldError]) -> str:
    """Say the first faults in one line; `errors` has them all."""
    said = "; ".join(
        f"{_place(fault)}: {fault.message}" for fault in faults[:_SUMMARISED]
    )
    more = len(faults) - _SUMMARISED
    return f"{said}; and {more} more" if more > 0 else said


_SUMMARISED = 3


def _place(fault: FieldError) -> str:
    return fault.field if fault.index is None else f"row {fault.index}, {fault.field}"
