"""Which functions and classes a pickle may import, held to while it is loaded.

A pickle names what it imports and calls it. Where an operator lists the names, no other is
imported: they are read from the opcodes before anything is loaded, and the unpickler that loads
asks again for each, so that a pickle that only looks otherwise gains nothing
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
SHOWN = 20  # names in an error
LONGEST = 100  # characters of one


@dataclass(frozen=True)
class AllowedImports:
    """The names that a pickle may import, as `module.name`; None is any."""

    names: frozenset[str] | None = None

    @classmethod
    def of(cls, text: str | None) -> "AllowedImports":
        """Those in the parameter, separated by commas or blanks; any where it is not set.

        Raises `DeploymentError` for what cannot be such a name.
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
        """Raise `DeploymentError` where the opcodes of the pickle in a file import another name."""
        if self.names is None:
            return
        if others := sorted((imports_of(path) or set()) - self.names):
            raise refusal(path, others)

    def restricted(self, unpickler: Any, path: Path) -> Any:
        """The class of unpicklers, with `find_class` finding no other names.

        It raises `DeploymentError`, which names the file at `path`.
        """
        if self.names is None:
            return unpickler
        names = self.names

        class Restricted(unpickler):
            """Imports what is allowed."""

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
