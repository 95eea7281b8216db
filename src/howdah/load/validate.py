"""Records through the schema, and what it lets pass as rows for COPY.

A batch is validated in one call; the records that the schema refuses are taken out and
the others are validated again, so that a good file costs one call a batch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from howdah.load.convert import Convert, check_of, convert_of
from howdah.load.plan import Plan, Slot
from howdah.load.records import Bad, Fault, Record

__all__ = ("Rows", "Validator")


@dataclass(slots=True)
class Rows:
    """Rows for COPY, the record behind each, and the records that were refused."""

    values: list[tuple[Any, ...]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)


class Validator:
    """What the schema and the types of the columns demand of a record."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        many: Any = list.__class_getitem__(plan.schema)
        # A text of CSV has no type that it could be strict about.
        validate = TypeAdapter[list[BaseModel]](many).validate_python
        self._validate = partial(validate, strict=False)
        self._converts = [convert_of(slot.column) for slot in plan.slots]
        self._checks = [check_of(slot.column) for slot in plan.slots]
        self._pick = _picker([slot.field for slot in plan.slots])
        self._renamed = {n: key for n, key in plan.keys.items() if n != key}

    def prepare(self, records: Sequence[Record]) -> tuple[list[Record], list[Bad]]:
        """Give the records the schema's keys, in place; refuse unknown names."""
        known = self._plan.keys.keys() | self._plan.relations.keys()
        good, bad = list[Record](), list[Bad]()
        for record in records:
            if record.values.keys() <= known:
                self._arrange(record.values)
                good.append(record)
            else:
                bad.append(self._unknown(record, record.values.keys() - known))
        return good, bad

    def rows(self, records: Sequence[Record]) -> Rows:
        """Validate and convert the records."""
        objects, good, bad = self.validate(records)
        columns: list[Any] = list(
            zip(*map(self._pick, map(vars, objects)), strict=True)
        )
        faults = self._unfit(columns)
        for place, values in enumerate(columns):
            columns[place] = self._convert(place, values, faults)
        if columns:
            count = len(objects)
            columns += [each.values(count) for each in self._plan.defaults]
        rows = Rows(values=list(zip(*columns, strict=True)), records=good, bad=bad)
        return _without(rows, faults) if any(faults.values()) else rows

    def validate(
        self, records: Sequence[Record]
    ) -> tuple[list[BaseModel], list[Record], list[Bad]]:
        """Return what the schema makes of the records, these, and those it refuses."""
        good, bad = list(records), list[Bad]()
        while True:
            try:
                objects = self._validate([record.values for record in good])
            except ValidationError as exc:
                faults = self._faults(exc)
                bad += [_bad(good[index], found) for index, found in faults.items()]
                good = [each for at, each in enumerate(good) if at not in faults]
            else:
                return objects, good, bad

    def hopeless(self, records: Sequence[Record]) -> list[Bad]:
        """Return the records that no key of a related row would make good."""
        try:
            self._validate([record.values for record in records])
        except ValidationError as exc:
            relations = self._plan.relations.keys()
            return [
                _bad(records[index], faults)
                for index, faults in self._faults(exc).items()
                if any(fault.column not in relations for fault in faults)
            ]
        return []

    def _arrange(self, values: dict[str, Any]) -> None:
        for name, key in self._renamed.items():
            if name in values:
                values[key] = values.pop(name)
        for key, parse in self._plan.parsers.items():
            if key in values:
                values[key] = parse(values[key])
        for key in self._plan.nulls:
            values.setdefault(key, None)

    def _unknown(self, record: Record, names: Iterable[str]) -> Bad:
        fields, table = self._plan.schema.model_fields, self._plan.table.name
        faults = [
            Fault(name, "has to be in the first line as well to be loaded")
            if name in fields
            else Fault(name, f"is no column of {table}")
            for name in sorted(names)
        ]
        return _bad(record, faults)

    def _faults(self, exc: ValidationError) -> dict[int, list[Fault]]:
        faults: dict[int, list[Fault]] = {}
        for error in exc.errors(include_url=False, include_input=False):
            index, *inside = error["loc"]
            if inside:
                inside[0] = self._plan.names.get(str(inside[0]), inside[0])
            column = ".".join(map(str, inside)) or None
            reason = _REASONS.get(error["type"]) or error["msg"]
            faults.setdefault(int(index), []).append(Fault(column, reason))
        return faults

    def _unfit(self, columns: Sequence[Sequence[Any]]) -> dict[int, list[Fault]]:
        faults: dict[int, list[Fault]] = {}
        for slot, check, values in zip(
            self._plan.slots, self._checks, columns, strict=False
        ):
            name = self._plan.names.get(slot.field, slot.field)
            for index, reason in check(values) if check else ():
                faults.setdefault(index, []).append(Fault(name, reason))
        return faults

    def _convert(
        self, place: int, values: Sequence[Any], faults: dict[int, list[Fault]]
    ) -> Sequence[Any]:
        convert, slot = self._converts[place], self._plan.slots[place]
        if convert is None:
            return values
        try:
            return convert(values)
        except _UNFIT:
            # Some value of a type of the user's own; find out whose.
            return [
                self._convert_one(convert, value, slot, faults.setdefault(index, []))
                for index, value in enumerate(values)
            ]

    def _convert_one(
        self, convert: Convert, value: Any, slot: Slot, faults: list[Fault]
    ) -> Any:
        try:
            return convert([value])[0]
        except _UNFIT:
            name = self._plan.names.get(slot.field, slot.field)
            faults.append(Fault(name, "does not fit the type of its column"))
            return None


# What converting a value raises that its column cannot hold, such as a moment that is
# beyond the last year in UTC.
_UNFIT = (ValueError, TypeError, AttributeError, OverflowError)
_REASONS = {"missing": "is required and has no value"}


def _picker(fields: Sequence[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(fields) > 1:
        return itemgetter(*fields)
    # With one name, itemgetter returns the value and no tuple.
    return lambda values: tuple(values[field] for field in fields)


def _without(rows: Rows, faults: dict[int, list[Fault]]) -> Rows:
    faults = {index: found for index, found in faults.items() if found}
    pairs = list(zip(rows.values, rows.records, strict=True))
    return Rows(
        values=[row for at, (row, _) in enumerate(pairs) if at not in faults],
        records=[record for at, (_, record) in enumerate(pairs) if at not in faults],
        bad=rows.bad + [_bad(rows.records[at], found) for at, found in faults.items()],
    )


def _bad(record: Record, faults: Iterable[Fault]) -> Bad:
    return Bad(record.line, record.text, tuple(faults))
