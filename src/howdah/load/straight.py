"""Plain rows straight into COPY: judged by the column, sent as text.

Where no field of a schema looks at another one, a column is judged in one call, which
costs a tenth of what its rows would. Here nothing is ever refused: where a value fails,
or anything is not plain, the rows become records, and those are told what is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from howdah.load.convert import Check, Convert, Parse, check_of, convert_of
from howdah.load.defaults import Default, Maker
from howdah.load.plan import Plan, Slot
from howdah.load.rules import Rules, rules_of
from howdah.load.separated import Sheet
from howdah.load.spelling import Spell, Stand, rows_of, speller_of, stander_of

__all__ = ("Straight", "straight_of")

Values = Sequence[Any]
Texts = Sequence[str]


class Straight:
    """Makes rows for COPY of the sheets of one file."""

    def __init__(self, columns: Sequence["_Column"]) -> None:
        self._columns = columns

    def rows(self, sheet: Sheet) -> bytes | None:
        """Return the rows for COPY, or None where each has to be looked at."""
        given = sheet.columns()
        try:
            return rows_of([each.texts(given, sheet.count) for each in self._columns])
        except (ValueError, TypeError, AttributeError, ArithmeticError):
            # Whatever it was: the way of records meets it again, and names it.
            return None


def straight_of(
    plan: Plan, names: Sequence[str], *, null: str, types: Mapping[str, str]
) -> Straight | None:
    """Return the straight way for a file with these names, where there is one.

    The types are those of the table's columns in the database.
    """
    rules = rules_of(plan.schema)
    plain = rules is not None and plan.relations.keys().isdisjoint(names)
    if rules is None or not plain or not plan.slots:
        return None
    columns = [_given(plan, slot, rules, null, types) for slot in plan.slots]
    made = [_made(each, types) for each in plan.defaults]
    known = [column for column in (*columns, *made) if column is not None]
    return Straight(known) if len(known) == len(plan.columns) else None


class _NotPlainError(ValueError):
    """Some value of a sheet is not one that could go straight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """What happens to the values of a column once the schema has let them pass."""

    check: Check | None = None
    convert: Convert | None
    spell: Spell
    stands: Stand | None = None

    def texts(self, values: Values, given: Sequence[Any] | None = None) -> Texts:
        """Return the values as COPY takes them; they were made of what was given."""
        if self.check is not None and any(self.check(values)):
            raise _NotPlainError
        if given and self.stands is not None and self.stands(given):
            return given
        texts = self.spell(values if self.convert is None else self.convert(values))
        if texts is None:
            raise _NotPlainError
        return texts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column of the table: the texts that the file gives, and the values it lacks."""

    name: str | None = None
    null: str = ""
    nullable: bool = False
    """Whether a text that is null is None for the schema, and not a missing value."""
    validate: Callable[[list[Any]], Values] = list
    default: Maker | None
    ending: _Ending

    def texts(self, given: Mapping[str, Texts], count: int) -> Texts:
        """Return the column of so many rows as COPY takes it."""
        if self.name is None:
            return self._missing(count)
        texts, null = given[self.name], self.null
        if null not in texts:
            return self._valid(list(texts))
        if self.nullable:
            values = [None if text == null else text for text in texts]
            return self.ending.texts(self.validate(values))
        valid = self._valid([text for text in texts if text != null])
        missing, there = self._missing(len(texts) - len(valid)), iter(valid)
        if self.default is not None and self.default.fixed:
            word = missing[0]
            return [word if text == null else next(there) for text in texts]
        made = iter(missing)
        return [next(made if text == null else there) for text in texts]

    def _valid(self, texts: list[Any]) -> Texts:
        return self.ending.texts(self.validate(texts), texts)

    def _missing(self, count: int) -> Texts:
        if self.default is None:
            raise _NotPlainError
        if self.default.fixed:
            return list(self.ending.texts([self.default.make()])) * count
        return self.ending.texts([self.default.make() for _ in range(count)])


def _given(
    plan: Plan, slot: Slot, rules: Rules, null: str, types: Mapping[str, str]
) -> _Column | None:
    kind = types.get(slot.column.name)
    spell = speller_of(kind)
    if spell is None:
        return None
    key = plan.keys.get(slot.field, slot.field)
    return _Column(
        name=plan.names.get(slot.field),
        null=null,
        nullable=key in plan.nulls,
        validate=_validate(rules, slot.field, plan.parsers.get(key)),
        default=rules.default(slot.field),
        ending=_Ending(
            check=check_of(slot.column),
            convert=convert_of(slot.column, spelled=True),
            spell=spell,
            stands=stander_of(kind, rules.type_of(slot.field)),
        ),
    )


def _validate(
    rules: Rules, field: str, parse: Parse | None
) -> Callable[[list[Any]], Values]:
    validate = rules.validator(field)
    if parse is None:
        return validate
    return lambda texts: validate(
        [text if text is None else parse(text) for text in texts]
    )


def _made(default: Default, types: Mapping[str, str]) -> _Column | None:
    spell = speller_of(types.get(default.column.name))
    if spell is None:
        return None
    convert = convert_of(default.column, spelled=True)
    ending = _Ending(convert=convert, spell=spell)
    return _Column(default=default.maker, ending=ending)
