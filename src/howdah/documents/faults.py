"""What MongoDB refuses, as our errors: told by codes and labels, never by texts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from howdah.errors import (
    Contention,
    Duplicate,
    Forbidden,
    HowdahError,
    Invalid,
    PoolExhausted,
    ReadOnly,
    Timeout,
    Unavailable,
    Unsupported,
)

__all__ = ("STANDALONE", "error_of", "is_transient", "translated")

STANDALONE = (
    "this MongoDB server is a standalone one, which has no transactions: nothing here "
    "can be all or none; make it a replica set (of one member will do)"
)
# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_CODES: Mapping[int, type[HowdahError]] = {
    6: Unavailable,  # HostUnreachable
    7: Unavailable,  # HostNotFound
    11: Unavailable,  # UserNotFound
    13: Forbidden,  # Unauthorized
    18: Unavailable,  # AuthenticationFailed
    50: Timeout,  # MaxTimeMSExpired
    64: Timeout,  # WriteConcernFailed
    89: Timeout,  # NetworkTimeout
    91: Unavailable,  # ShutdownInProgress
    112: Contention,  # WriteConflict
    121: Invalid,  # DocumentValidationFailure
    189: Unavailable,  # PrimarySteppedDown
    202: Timeout,  # NetworkInterfaceExceededTimeLimit
    246: Contention,  # SnapshotUnavailable
    251: Contention,  # NoSuchTransaction
    262: Timeout,  # ExceededTimeLimit
    263: Unsupported,  # OperationNotSupportedInTransaction
    10107: ReadOnly,  # NotWritablePrimary
    11000: Duplicate,
    11001: Duplicate,
    11600: Unavailable,  # InterruptedAtShutdown
    11602: Unavailable,  # InterruptedDueToReplStateChange
    13435: ReadOnly,  # NotPrimaryNoSecondaryOk
    17280: Invalid,  # KeyTooLong
}
_KINDS: tuple[tuple[type[BaseException], type[HowdahError]], ...] = (
    (WaitQueueTimeoutError, PoolExhausted),
    (NetworkTimeout, Timeout),
    (ConnectionFailure, Unavailable),
    (ExecutionTimeout, Timeout),
    (WTimeoutError, Timeout),
    (DocumentTooLarge, Invalid),
    # A whole number beyond 64 bits.
    (OverflowError, Invalid),
    (BSONError, Invalid),
)


@contextmanager
def translated(fields: Mapping[str, str]) -> Iterator[None]:
    """Raise what MongoDB raises as our errors; fields are by their paths there."""
    try:
        yield
    except (PyMongoError, BSONError, OverflowError) as error:
        raise error_of(error, fields) from error


def is_transient(error: BaseException | None) -> bool:
    """Say whether the whole transaction may succeed if it is tried again."""
    return isinstance(error, PyMongoError) and error.has_error_label(
        "TransientTransactionError"
    )


def error_of(error: BaseException, fields: Mapping[str, str]) -> HowdahError:
    """Return the error that one of the driver's is."""
    if isinstance(error, BulkWriteError):
        return _of_many(error, fields)
    if isinstance(error, OperationFailure):
        return _of_code(error.code, error.details or {}, fields)
    for kind, ours in _KINDS:
        if isinstance(error, kind):
            return ours()
    return HowdahError()


def _of_many(error: BulkWriteError, fields: Mapping[str, str]) -> HowdahError:
    details: Mapping[str, Any] = error.details or {}
    faults: Sequence[Mapping[str, Any]] = details.get("writeErrors", ())
    if not faults:
        return Unavailable()
    found = _of_code(faults[0].get("code"), faults[0], fields)
    index = faults[0].get("index")
    found.errors = tuple(replace(each, index=index) for each in found.errors)
    return found


def _of_code(
    code: int | None, details: Mapping[str, Any], fields: Mapping[str, str]
) -> HowdahError:
    error = _CODES.get(code or 0, HowdahError)()
    if isinstance(error, Duplicate):
        pattern = details.get("keyPattern", {})
        error.naming(tuple(fields.get(path, path) for path in pattern))
    return error
