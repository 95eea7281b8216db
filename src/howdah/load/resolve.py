"""Records that name a related row: the name taken out, the key put in.

A missing row is made only for a record that the schema would take, so that a refused
line leaves nothing behind.
"""

from collections.abc import Sequence

from howdah.load.records import Bad, Fault, Record
from howdah.load.relations import Related
from howdah.load.validate import Validator

__all__ = ("Resolver",)


class Resolver:
    """Turns the names of one relation into keys."""

    def __init__(
        self, related: Related, validator: Validator, *, key: str, create: bool
    ) -> None:
        self.related = related
        self._validator = validator
        self._name = related.relation.name
        self._key = key
        self._create = create

    async def resolve(
        self, records: Sequence[Record]
    ) -> tuple[list[Record], list[Bad]]:
        """Return the records with their keys, and those that name no row."""
        labels, bad = self._take(records)
        found = await self.related.find(labels.values())
        why: dict[str, str] = {}
        missing = [each for each in records if labels.get(each.line, "") not in found]
        missing = [each for each in missing if each.line in labels]
        if missing and self._create:
            bad += self._validator.hopeless(missing)
            lost = {each.line for each in bad}
            wanted = {labels[each.line] for each in missing if each.line not in lost}
            why = await self.related.create(wanted)
            found |= await self.related.find(wanted - why.keys())
        lost = {each.line for each in bad}
        good = list[Record]()
        for record in records:
            label = labels.get(record.line)
            if record.line in lost:
                continue
            if label is None:
                good.append(record)
            elif label in found:
                record.values[self._key] = found[label]
                good.append(record)
            else:
                bad.append(self._unknown(record, why.get(label)))
        return good, bad

    def _take(self, records: Sequence[Record]) -> tuple[dict[int, str], list[Bad]]:
        """Take the names out of the records; return them by line."""
        labels, bad = dict[int, str](), list[Bad]()
        for record in records:
            if self._name not in record.values:
                continue
            label = record.values.pop(self._name)
            if isinstance(label, str) and self._key not in record.values:
                labels[record.line] = label
            elif label is not None:
                bad.append(self._odd(record, label))
        return labels, bad

    def _odd(self, record: Record, label: object) -> Bad:
        reason = f"and {self._key!r} are both given; leave one of them out"
        if not isinstance(label, str):
            reason = "should be a name, in a text"
        return Bad(record.line, record.text, (Fault(self._name, reason),))

    def _unknown(self, record: Record, why: str | None) -> Bad:
        table = self.related.relation.table.name
        reason = why or (
            f"names no row of {table}; add it there or say --create-related"
        )
        return Bad(record.line, record.text, (Fault(self._name, reason),))
