"""What is public: every name of an `__all__` is there, once; ruff sorts them."""

import importlib
import pkgutil

import pytest

import howdah

LARGEST_ROOT = 25
MODULES = sorted(
    module.name
    for module in pkgutil.iter_modules(howdah.__path__, prefix="howdah.")
    if not module.name.startswith("howdah.__")
)


def test_the_root_is_small_and_true():
    names = howdah.__all__

    assert len(names) == len(set(names))
    assert len(names) <= LARGEST_ROOT
    assert [name for name in names if not hasattr(howdah, name)] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_exports(name):
    module = importlib.import_module(name)

    names = module.__all__

    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []
