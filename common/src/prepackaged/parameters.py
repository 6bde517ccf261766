"""Parse parameters of a deployment."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from prepackaged.errors import DeploymentError

T = TypeVar("T")
D = TypeVar("D")


def is_true(name: str, value: object) -> bool:
    """Whether the parameter `name` is true; by default false.

    Raises `DeploymentError` for any value except true and false.
    """
    word = str(value or "false").strip().lower()
    if word not in ("true", "false"):
        raise wrong_parameter(name, "true or false", value)
    return word == "true"


def chosen(name: str, value: object, words: Sequence[str]) -> str:
    """The parameter `name`, which must be one of `words`; by default the first.

    Raises `DeploymentError` for any other value.
    """
    word = str(value or words[0]).strip().lower()
    if word not in words:
        raise wrong_parameter(name, " or ".join(words), value)
    return word


def whole_number(name: str, value: object, default: int) -> int:
    """The parameter `name` as a whole number; by default `default`.

    Raises `DeploymentError` for any other value.
    """
    return _parsed(name, value, int, "a whole number", default)


def number(name: str, value: object) -> float | None:
    """The parameter `name` as a number, such as -999 or nan; by default None.

    Raises `DeploymentError` for any other value.
    """
    return _parsed(name, value, float, "a number", None)


def listed(value: str | None) -> list[str]:
    """The items of a parameter that lists names separated by commas; by default none.

    >>> listed("label, score")
    ['label', 'score']
    """
    return [item.strip() for item in (value or "").split(",") if item.strip()]


def _parsed(name: str, value: object, parse: Callable[[str], T], what: str, default: D) -> T | D:
    word = "" if value is None else str(value).strip()
    try:
        return parse(word) if word else default
    except ValueError:
        raise wrong_parameter(name, what, value) from None


def wrong_parameter(name: str, wanted: str, got: object, cure: str = "") -> DeploymentError:
    """The error for a wrong value of a parameter, with the remedy `cure`; long values are cut.

    >>> wrong_parameter("strict", "true or false", "maybe").args[0]
    "expected the parameter strict to be true or false, got 'maybe'"
    """
    advice = f": {cure}" if cure else ""
    return DeploymentError(
        f"expected the parameter {name} to be {wanted}, got {repr(got)[:100]}{advice}"
    )
