"""Restrict which functions and classes a pickle may import.

A pickle imports and calls functions by name. If an operator lists the allowed names, they are
checked twice: in the opcodes before anything is loaded, and again by the unpickler at each import,
so that a pickle cannot hide an import from the first check
(https://docs.python.org/3.11/library/pickle.html#restricting-globals).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prepackaged.errors import DeploymentError
from prepackaged.pickles import imports_of

PARAMETER = "allowed_imports"
NAME = re.compile(r"[^\W\d]\w*(\.[\w<>]+)+")  # <locals>, <lambda>
SHOWN = 20  # the most names in an error
LONGEST = 100  # the most characters of a name in an error


@dataclass(frozen=True)
class AllowedImports:
    """The names that a pickle may import, as `module.name`; None allows all names."""

    names: frozenset[str] | None = None

    @classmethod
    def of(cls, text: str | None) -> "AllowedImports":
        """The names in the parameter, separated by commas or blanks; all names if it is not set.

        Raises `DeploymentError` for a text that cannot be such a name.
        """
        names = frozenset(re.split(r"[\s,]+", (text or "").strip(", \t\n"))) - {""}
        for name in names:
            if not NAME.fullmatch(name):
                raise DeploymentError(
                    f"expected the parameter {PARAMETER} to be names such as"
                    f" collections.OrderedDict, separated by commas, got {name[:LONGEST]!r}"
                )
        return cls(names or None)

    def check(self, path: Path) -> None:
        """Raise `DeploymentError` if the opcodes of the pickle at `path` import any other name."""
        if self.names is None:
            return
        if others := sorted((imports_of(path) or set()) - self.names):
            raise refusal(path, others)

    def restricted(self, unpickler: Any, path: Path) -> Any:
        """A subclass of `unpickler` whose `find_class` refuses all other names.

        It raises a `DeploymentError` that names the file at `path`.
        """
        if self.names is None:
            return unpickler
        names = self.names

        class Restricted(unpickler):
            """An unpickler that imports only the allowed names."""

            def find_class(self, module: str, name: str) -> Any:
                if f"{module}.{name}" not in names:
                    raise refusal(path, [f"{module}.{name}"])
                return super().find_class(module, name)

        return Restricted


def refusal(path: Path, names: Collection[str]) -> DeploymentError:
    """The error for a pickle that imports these names."""
    shown = ", ".join(name[:LONGEST] for name in [*names][:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return DeploymentError(
        f"model file {path}: this pickle imports {shown}{more}, which the parameter {PARAMETER}"
        " does not list. If you trust the file, add the names; `check` prints all that it imports"
    )
