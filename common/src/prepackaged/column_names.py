"""Errors about the column names of a request."""

import difflib
from collections import Counter
from collections.abc import Sequence

from prepackaged.errors import ClientError, WrongNamesError

SHOWN = 20  # the most names in an error
LONGEST_NAME = 60  # the most characters of a name in an error


def names_are_unknown(names: Sequence[str] | None) -> ClientError:
    """The error for a request with column names to a model that knows none."""
    return ClientError(
        "expected rows in the order of training: this model knows no column names,"
        f" got records with {_enumerated(names or ())}"
    )


def wrong_names(sent: Sequence[str], names: Sequence[str], missing: list[str]) -> WrongNamesError:
    """The error for wrong column names; it suggests the nearest known name for each unknown one."""
    known = set(names)
    unknown = [name for name in dict.fromkeys(sent) if name not in known]
    problems = {
        "missing": missing,
        "unknown": [_with_nearest(name, missing) for name in unknown[:SHOWN]] + unknown[SHOWN:],
        "sent twice": sorted(name for name, times in Counter(sent).items() if times > 1),
    }
    wrong = "; ".join(f"{what}: {_enumerated(them)}" for what, them in problems.items() if them)
    message = f"column names are wrong: {wrong}; expected {_enumerated(names)}"
    return WrongNamesError(message, () if problems["sent twice"] else missing)


def _with_nearest(name: str, missing: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name[:LONGEST_NAME], missing[:SHOWN], 1)
    return f"{name} (perhaps {nearest[0]})" if nearest else name


def _enumerated(names: Sequence[str]) -> str:
    cut = [
        name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names[:SHOWN]
    ]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(cut) + more
