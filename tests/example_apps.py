"""The applications under examples/, as tests import them: each by its folder's name."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

__all__ = ("EXAMPLES", "load")

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str) -> ModuleType:
    """Import `main` of an example, whose modules leave their names to others again."""
    folder = EXAMPLES / name
    names = {path.stem for path in folder.iterdir()}
    kept = _taken_out(names)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("main")
    finally:
        sys.path.remove(str(folder))
        _taken_out(names)
        sys.modules.update(kept)


def _taken_out(names: set[str]) -> dict[str, ModuleType]:
    found = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}
