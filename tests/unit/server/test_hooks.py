"""Hooks around predict."""

from typing import Any

import numpy as np

from prepackaged.server.inference.hooks import MOST_KEPT, Hooks, numbered


class Mirror:
    """Returns its input."""

    def predict(self, X: Any, names: Any) -> Any:
        return X


def test_the_names_of_very_many_columns_are_not_kept() -> None:
    """Names of columns are cached only for answers of usual width, so no client fills the cache."""
    hooks = Hooks(Mirror())
    hooks.finish(np.zeros((1, 3)))
    kept = numbered.cache_info().currsize

    for width in range(MOST_KEPT + 1, MOST_KEPT + 10):
        names = hooks.finish(np.zeros((1, width))).names
        assert (names[0], names[-1], len(names)) == ("t:0", f"t:{width - 1}", width)
    assert hooks.finish(np.zeros((1, 3))).names == ["t:0", "t:1", "t:2"]
    assert numbered.cache_info().currsize == kept
