"""Tests of the examples in the docstrings of the authoring API."""

import doctest
import inspect

import pytest

import prepackaged
import reference
from prepackaged.testing import serve

EXPORTED = [getattr(prepackaged, name) for name in prepackaged.__all__]
MODULES = {module.__name__: module for module in map(inspect.getmodule, [*EXPORTED, serve])}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_example_gives_the_result_shown(module: str) -> None:
    """The examples of each module give the documented results."""
    outcome = doctest.testmod(MODULES[module])
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_every_name_for_authors_is_in_the_reference_with_an_example() -> None:
    """The reference documents exactly the exported names, each with an example."""
    documented = {name for names in reference.GROUPS.values() for name in names}
    missing = [name for name in documented if ">>> " not in reference.described(name)]
    assert documented == {*prepackaged.__all__, "serve", "Served"}
    assert missing == []
