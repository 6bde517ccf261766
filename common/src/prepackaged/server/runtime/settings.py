"""Settings: their names and defaults, and the conversion of text to values.

An error message names every way to set the setting, but never the value of a parameter, which may
be a secret.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prepackaged.errors import DeploymentError

# distutils' strtobool, which upstream applies to BOOL parameters.
BOOLEANS = dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True) | dict.fromkeys(
    ("n", "no", "f", "false", "off", "0"), False
)
TYPES: dict[str, Any] = {
    "STRING": str,
    "INT": int,
    "FLOAT": float,
    "DOUBLE": float,
    "BOOL": lambda value: BOOLEANS[str(value).lower()],
}
LONGEST = 100  # the most characters of a wrong value that a message shows


@dataclass(frozen=True)
class Setting:
    """One setting.

    `flag` is its name on the command line, empty if it has none. The first of `variables` that is
    set gives the flag its default. `annotation` is a key of the pod's annotations. `default` is the
    value that changes nothing; if the default depends on something else, `otherwise` describes it.
    `bare` is the value of a flag without a value.
    """

    meaning: str
    flag: str = ""
    variables: tuple[str, ...] = ()
    annotation: str = ""
    default: object = None
    otherwise: str = ""
    example: str = ""
    bare: str | None = None

    def __str__(self) -> str:
        """The setting's main name: its first variable, else its annotation or flag."""
        return next(filter(None, (*self.variables, self.annotation, self.flag)))


def integer(text: object, name: str, least: int, most: float = math.inf) -> int:
    """A whole number within bounds. Raises `DeploymentError`, as the functions below do."""
    try:
        number = int(str(text))
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        bounds = f"from {least} to {most:g}" if most < math.inf else f"of at least {least}"
        raise expected(f"a whole number {bounds}", text, name)
    return number


def number(text: object, name: str, what: str) -> float:
    """A finite number of at least 0; `what` is its unit in the error message."""
    try:
        value = float(str(text))
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise expected(f"a number of {what}", text, name)
    return value


def switch(text: object, name: str) -> bool:
    """True or false, in any of the accepted spellings."""
    found = BOOLEANS.get(str(text).lower())
    if found is None:
        raise expected("true or false", text, name)
    return found


def choice(text: str, name: str, options: Mapping[str, Any]) -> Any:
    """The value of the option that `text` names."""
    if text not in options:
        raise expected(" or ".join(options), text, name)
    return options[text]


def expected(what: str, text: object, name: str) -> DeploymentError:
    """The error for a wrong value of a setting."""
    shown = str(text)
    if len(shown) > LONGEST:
        shown = f"{shown[:LONGEST]}..."
    return DeploymentError(f"{name}: expected {what}, got {shown!r}")


def read_parameters(text: str) -> dict[str, Any]:
    """The constructor's arguments from a JSON list of `{"name", "value", "type"}`."""
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise _bad_parameters(f"got no JSON ({error})") from error
    if not isinstance(listed, list):
        raise _bad_parameters(f"got {type(listed).__name__}")
    return dict(_parameter(each, place) for place, each in enumerate(listed, 1))


def _parameter(each: Any, place: int) -> tuple[str, Any]:
    missing = [
        key for key in ("name", "value", "type") if not (isinstance(each, dict) and key in each)
    ]
    if missing:
        raise _bad_parameters(f"the parameter in place {place} has no {' and no '.join(missing)}")
    name, kind = str(each["name"]), str(each["type"])
    try:
        return name, TYPES[kind](each["value"])
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        why = f"no value of its type, {kind}" if kind in TYPES else f"the type {kind!r}"
        raise _bad_parameters(f"{name!r} has {why}") from error


def _bad_parameters(why: str) -> DeploymentError:
    return DeploymentError(
        "--parameters or PREDICTIVE_UNIT_PARAMETERS: expected a JSON list of objects with name,"
        f" value and type, where type is {', '.join(TYPES)}; {why}"
    )
