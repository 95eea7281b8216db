"""Plain rows straight into COPY: judged by the column, sent as text.

Where no field of a schema looks at another one, a column is judged in one call, which
costs a tenth of what its rows would. Here nothing is ever refused: where a value fails,
or anything is not plain, the rows become records, and those are told what is wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from howdah.load.convert import Check, Convert, Parse, check_of, convert_of
from howdah.load.defaults import Default, Maker
from howdah.load.plan import Plan, Slot
from howdah.load.rules import Rules, rules_of
from howdah.load.separated import Sheet
from howdah.load.spelling import (
    NULL,
    Spell,
    Stand,
    rows_of,
    speller_of,
    stander_of,
)
from howdah.load.terms import Source
from howdah.load.verbatim import Form, Rows, Verbatim, verbatim_of

__all__ = ("Straight", "straight_of")

Values = Sequence[Any]
Texts = Sequence[str]


class Straight:
    """Makes rows for COPY of the sheets of one file."""

    def __init__(
        self,
        given: Sequence["_Given"],
        made: Sequence["_Made"],
        verbatim: Callable[[Mapping[str, str]], Verbatim | None],
    ) -> None:
        self._given = given
        self._made = made
        columns = [each.column for each in given] + [each.column for each in made]
        self._form = Form(columns=tuple(columns))
        self._verbatim = verbatim

    def rows(self, sheet: Sheet) -> Rows | None:
        """Return the rows for COPY, or None where each has to be looked at."""
        fields, lines = sheet.columns()
        try:
            found = [each.found(fields[each.name]) for each in self._given]
            if lines and self._own and all(each.stands for each in found):
                return self._own.rows(lines)
            columns = [each.texts() for each in found]
            columns += [each.texts(sheet.count) for each in self._made]
            return Rows(rows_of(columns), self._form)
        except (ValueError, TypeError, AttributeError, ArithmeticError):
            # Whatever it was: the way of records meets it again, and names it.
            return None

    @cached_property
    def _own(self) -> Verbatim | None:
        """What makes rows of the lines of the file, if anything does."""
        if not all(each.maker.fixed for each in self._made):
            return None
        return self._verbatim({each.column: each.texts(1)[0] for each in self._made})


def straight_of(
    plan: Plan, names: Sequence[str], *, source: Source, types: Mapping[str, str]
) -> Straight | None:
    """Return the straight way for a source with these names, where there is one.

    The types are those of the table's columns in the database.
    """
    rules = rules_of(plan.schema)
    plain = rules is not None and plan.relations.keys().isdisjoint(names)
    if rules is None or not plain or not plan.slots:
        return None
    known = [_slot(plan, slot, rules, source.null, types) for slot in plan.slots]
    known += [_default(each, types) for each in plan.defaults]
    given = [each for each in known if isinstance(each, _Given)]
    made = [each for each in known if isinstance(each, _Made)]
    if len(given) + len(made) < len(known):
        return None
    column_of = {each.name: each.column for each in given}
    columns = [column_of[name] for name in names]
    verbatim = partial(
        verbatim_of, columns, delimiter=source.delimiter, null=source.null
    )
    return Straight(given, made, verbatim)


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


@dataclass(frozen=True, slots=True)
class _Found:
    """What became of a column of the file: its values, and those that it lacks."""

    values: Texts
    stands: bool
    """Whether COPY may take the texts of the file for the same values."""
    lacking: Callable[[], Texts] | None = None

    def texts(self) -> Texts:
        """Return the column as COPY takes it."""
        return self.values if self.lacking is None else self.lacking()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A column of the table that the file does not have."""

    column: str
    maker: Maker
    ending: _Ending

    def texts(self, count: int) -> Texts:
        """Return the column of so many rows as COPY takes it."""
        if self.maker.fixed:
            return list(self.ending.texts([self.maker.make()])) * count
        return self.ending.texts([self.maker.make() for _ in range(count)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """A column of the file, and what stands where it has no value."""

    name: str
    column: str
    null: str
    nullable: bool
    """Whether a text that is null is None for the schema, and not a missing value."""
    validate: Callable[[list[Any]], Values]
    missing: _Made | None
    ending: _Ending

    def found(self, texts: list[str]) -> _Found:
        """Judge the texts of some rows."""
        if self.null not in texts:
            return _Found(*self._valid(texts))
        if self.nullable:
            values = [None if text == self.null else text for text in texts]
            return _Found(self.ending.texts(self.validate(values)), stands=False)
        return self._with_missing(texts)

    def _with_missing(self, texts: list[str]) -> _Found:
        if self.missing is None:
            raise _NotPlainError
        null = self.null
        valid, stands = self._valid([text for text in texts if text != null])
        missing = self.missing.texts(len(texts) - len(valid))
        fixed = self.missing.maker.fixed

        def texts_with_missing() -> Texts:
            there, made = iter(valid), iter(missing)
            if fixed:
                word = missing[0]
                return [word if text == null else next(there) for text in texts]
            return [next(made if text == null else there) for text in texts]

        nulls = fixed and missing[0] == NULL
        return _Found(valid, stands and nulls, texts_with_missing)

    def _valid(self, texts: list[str]) -> tuple[Texts, bool]:
        """Return the texts as COPY takes them, and whether they are the same."""
        if not texts:
            return texts, True
        found = self.ending.texts(self.validate(texts), texts)
        return found, found is texts or (found == texts and _plain(texts))


def _plain(texts: list[str]) -> bool:
    whole = "".join(texts)
    return '"' not in whole and "\\" not in whole


def _slot(
    plan: Plan, slot: Slot, rules: Rules, null: str, types: Mapping[str, str]
) -> "_Given | _Made | None":
    kind = types.get(slot.column.name)
    spell = speller_of(kind)
    if spell is None:
        return None
    key = plan.keys.get(slot.field, slot.field)
    name, column = plan.names.get(slot.field), slot.column.name
    ending = _Ending(
        check=check_of(slot.column),
        convert=convert_of(slot.column, spelled=True),
        spell=spell,
        stands=stander_of(kind, rules.type_of(slot.field)),
    )
    maker = rules.default(slot.field)
    missing = _Made(column=column, maker=maker, ending=ending) if maker else None
    if name is None:
        return missing
    return _Given(
        name=name,
        column=column,
        null=null,
        nullable=key in plan.nulls,
        validate=_validate(rules, slot.field, plan.parsers.get(key)),
        missing=missing,
        ending=ending,
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


def _default(default: Default, types: Mapping[str, str]) -> _Made | None:
    column = default.column
    spell = speller_of(types.get(column.name))
    if spell is None:
        return None
    ending = _Ending(convert=convert_of(column, spelled=True), spell=spell)
    return _Made(column=column.name, maker=default.maker, ending=ending)
