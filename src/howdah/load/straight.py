"""Plain rows straight into COPY: judged by the column, sent as text.

Where no field of a schema looks at another one, a column is judged in one call, which
costs a tenth of what its rows would. Here nothing is ever refused: where a value fails,
or anything is not plain, the rows become records, and those are told what is wrong.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import repeat
from typing import Any

from howdah.load.convert import Check, Convert, Parse, check_of, convert_of
from howdah.load.defaults import Default, Maker
from howdah.load.plan import Plan, Slot
from howdah.load.rules import Rules, rules_of
from howdah.load.sheets import Sheet
from howdah.load.spelling import (
    NULL,
    Spell,
    Stand,
    is_text,
    rows_of,
    speller_of,
    stander_of,
)
from howdah.load.terms import Source
from howdah.load.verbatim import Form, Rows, Verbatim, verbatim_of

__all__ = ("Straight", "straight_of")

# After a sheet that has to be written anew so many others are written anew as well.
_APART = 16

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
        self._apart = 0

    def rows(self, sheet: Sheet) -> Rows | None:
        """Return the rows for COPY, or None where each has to be looked at."""
        fields, lines = sheet.columns()
        try:
            found = [each.found(fields[each.name]) for each in self._given]
            if lines and self._own and self._may_stand(found, lines):
                return self._own.rows(lines)
            columns = [each.texts() for each in found]
            columns += [each.texts(sheet.count) for each in self._made]
            return Rows(rows_of(columns), self._form)
        except (ValueError, TypeError, AttributeError, ArithmeticError):
            # Whatever it was: the way of records meets it again, and names it.
            return None

    def _may_stand(self, columns: Sequence["_Found"], lines: str) -> bool:
        # Each change between the ways ends a COPY, so that there have to be few.
        self._apart = max(0, self._apart - 1) if _stand(columns, lines) else _APART
        return not self._apart

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
    null = source.null if source.format == "csv" else None
    known = [_slot(plan, slot, rules, null, types) for slot in plan.slots]
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
    stand: Stand | None = None
    textual: bool = False

    def checked(self, values: Values) -> Values:
        """Return the values if the column can hold them all."""
        if self.check is not None and any(self.check(values)):
            raise _NotPlainError
        return values

    def stands(self, values: Values, given: Sequence[Any]) -> bool:
        """Say whether the texts that the values were made of say the same to COPY."""
        if self.stand is not None:
            return self.stand(given)
        return self.textual and self._converted(values) == given

    def texts(self, values: Values) -> Texts:
        """Return the values as COPY takes them."""
        texts = self.spell(self._converted(values))
        if texts is None:
            raise _NotPlainError
        return texts

    def _converted(self, values: Values) -> Values:
        return values if self.convert is None else self.convert(values)


@dataclass(frozen=True, slots=True)
class _Found:
    """What became of a column of the file."""

    texts: Callable[[], Texts]
    """Gives the column as COPY takes it."""
    stands: bool = False
    """Whether the texts of the file, read as CSV, say the same to COPY."""
    words: Sequence[str] = ()
    """Those of these texts that may hold any character."""


def _stand(columns: Sequence[_Found], lines: str) -> bool:
    """Say whether PostgreSQL would read all columns of the lines as they are meant."""
    if "\\" in lines or not all(each.stands for each in columns):
        return False
    # A field that holds a quote is read otherwise where it is not quoted itself.
    return '"' not in lines or not any('"' in "".join(each.words) for each in columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A column of the table that the file does not have."""

    column: str
    maker: Maker
    ending: _Ending

    def texts(self, count: int) -> Texts:
        """Return the column of so many rows as COPY takes it."""
        fixed, ending = self.maker.fixed, self.ending
        made = [self.maker.make() for _ in range(1 if fixed else count)]
        texts = ending.texts(ending.checked(made))
        return list(texts) * count if fixed else texts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """A column of the file, and what stands where it has no value."""

    name: str
    column: str
    null: str | None
    """What stands for no value in CSV; in JSON nothing does."""
    nullable: bool
    """Whether a text that is null is None for the schema, and not a missing value."""
    validate: Callable[[Sequence[Any]], Values]
    missing: _Made | None
    ending: _Ending

    def found(self, texts: Sequence[Any]) -> _Found:
        """Judge the texts of some rows, or their values as JSON has them."""
        if self.null is None or self.null not in texts:
            return self._valid(texts)
        if self.nullable:
            values = [None if text == self.null else text for text in texts]
            valid = self.ending.checked(self.validate(values))
            return _Found(partial(self.ending.texts, valid))
        return self._with_missing(texts)

    def _valid(self, texts: Sequence[Any]) -> _Found:
        ending = self.ending
        values = ending.checked(self.validate(texts))
        stands = ending.stands(values, texts)
        if stands and not ending.textual:
            return _Found(lambda: texts, stands)
        return _Found(partial(ending.texts, values), stands, texts)

    def _with_missing(self, texts: Sequence[Any]) -> _Found:
        if self.missing is None:
            raise _NotPlainError
        there = list(filter(None, texts)) if not self.null else self._there(texts)
        # Where nothing is there, nothing is to be judged.
        valid = self._valid(there) if there else _Found(list, stands=True)
        missing = self.missing.texts(len(texts) - len(there))
        fixed = self.missing.maker.fixed
        stands = valid.stands and fixed and missing[0] == NULL
        made = repeat(missing[0]) if fixed else iter(missing)
        merged = partial(self._merged, texts, valid, made)
        return _Found(merged, stands, valid.words)

    def _there(self, texts: Sequence[Any]) -> list[str]:
        null = self.null
        return [text for text in texts if text != null]

    def _merged(
        self, texts: Sequence[Any], valid: _Found, made: Iterator[str]
    ) -> Texts:
        there, null = iter(valid.texts()), self.null
        return [next(made if text == null else there) for text in texts]


def _slot(
    plan: Plan, slot: Slot, rules: Rules, null: str | None, types: Mapping[str, str]
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
        stand=None if null is None else stander_of(kind, rules.type_of(slot.field)),
        textual=null is not None and is_text(kind),
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
) -> Callable[[Sequence[Any]], Values]:
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
