"""What a schema demands of each field, where no field looks at another one.

Read from the core schema that Pydantic itself validates with, so that nothing of it is
missed: what is not known here to be about one value alone is no such schema.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaValidator, core_schema
from sqlmodel import SQLModel

from howdah.load.defaults import Maker

__all__ = ("Rules", "rules_of")

Node = Mapping[str, Any]
Values = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a schema demands of each field, none of which looks at another one."""

    fields: Mapping[str, Node]
    config: Any
    strict: bool | None

    def default(self, field: str) -> Maker | None:
        """Return what makes the value of a field that a row lacks, if it may."""
        node = self.fields[field]
        if node["type"] != "default":
            return None
        if "default_factory" in node:
            return Maker(node["default_factory"])
        return Maker(lambda: node["default"], fixed=True)

    def type_of(self, field: str) -> str:
        """Return what a value of the field is, in Pydantic's word; None beside it."""
        node = self.fields[field]
        while node["type"] in {"default", "nullable"}:
            node = node["schema"]
        return str(node["type"])

    def validator(self, field: str) -> Callable[[Values], Values]:
        """Return what judges the values of a field, all at once."""
        many = core_schema.list_schema(self.fields[field], fail_fast=True)
        validate = SchemaValidator(many, self.config).validate_python
        return partial(validate, strict=self.strict)


def rules_of(schema: type[BaseModel]) -> Rules | None:
    """Return the rules of the fields, or None where there may be more than these."""
    model: Node = TypeAdapter(schema).core_schema
    known = model["type"] == "model" and model["schema"]["type"] == "model-fields"
    if not known or model.get("post_init") or _named_otherwise(schema):
        return None
    # SQLModel's own __init__ only validates; it knows no way to be told how strictly.
    own = bool(model.get("custom_init"))
    if own and vars(SQLModel)["__init__"] is not schema.__init__:
        return None
    fields = {name: each["schema"] for name, each in model["schema"]["fields"].items()}
    config = model.get("config", {})
    if not _alone([*fields.values(), config]):
        return None
    return Rules(fields=fields, config=config, strict=None if own else False)


def _named_otherwise(schema: type[BaseModel]) -> bool:
    """Say whether a field may not go by the name that a plan knows for it."""
    fields = schema.model_fields
    aliases = {name: info.validation_alias for name, info in fields.items()}
    simple = all(
        alias is None or (isinstance(alias, str) and alias not in {*fields} - {name})
        for name, alias in aliases.items()
    )
    by_alias = schema.model_config.get("validate_by_alias", True)
    return not (simple and (by_alias or not any(aliases.values())))


def _alone(node: Any) -> bool:
    """Say whether what a node demands of a value depends on that value alone."""
    if isinstance(node, (list, tuple)):
        return all(map(_alone, node))
    if not isinstance(node, dict):
        return True
    looks_around = (
        node.get("type") in {"with-info", "definitions", "definition-ref"}
        or node.get("default_factory_takes_data")
        or node.get("validate_default")
        or node.get("on_error", "raise") != "raise"
    )
    return not looks_around and all(
        _alone(inner) for name, inner in node.items() if name not in _UNHEARD
    )


# What has no say in what becomes of a value.
_UNHEARD = {"metadata", "serialization", "default"}
