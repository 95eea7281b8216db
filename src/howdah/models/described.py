"""A column type for what SQL has no type for: it is what an annotation says."""

from typing import Any

from sqlalchemy.types import UserDefinedType

__all__ = ("Described",)


class Described(UserDefinedType[Any]):
    """Holds what an annotation describes: an ObjectId, a list, a document in another.

    Only stores that keep Python's own values know it; there is no SQL of it.
    """

    cache_ok = True

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    def __repr__(self) -> str:
        return f"Described({self.annotation!r})"

    @property
    def python_type(self) -> type[Any]:
        """The class of the values, where there is one."""
        return self.annotation if isinstance(self.annotation, type) else object

    def get_col_spec(self, **_options: Any) -> str:
        """Return what stands for the type in a text; no database knows it."""
        return "DESCRIBED"
