"""Tests of the examples in the docstrings of the authoring API."""

import doctest
import importlib

import pytest

import prepackaged
import reference

EXPORTED = dict(reference.exported())
MODULES = sorted({home.stem for home in EXPORTED.values()})


@pytest.mark.parametrize("module", MODULES)
def test_every_example_gives_the_result_shown(module: str) -> None:
    """The examples of each module give the documented results."""
    outcome = doctest.testmod(importlib.import_module(f"prepackaged.{module}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_every_name_for_authors_is_in_the_reference_with_an_example() -> None:
    """The reference documents exactly the exported names, each with an example."""
    documented = {name for names in reference.GROUPS.values() for name in names}
    missing = [
        name for name in documented if ">>> " not in reference.described(name, EXPORTED[name])
    ]
    assert documented == {*prepackaged.__all__, "serve", "Served"}
    assert missing == []
