"""Words that operators write into parameters."""

from collections.abc import Sequence

from prepackaged.errors import DeploymentError


def is_true(name: str, value: object) -> bool:
    """Whether the parameter `name` says true; unset it says false.

    Raises `DeploymentError` for anything but true and false.
    """
    word = str(value or "false").strip().lower()
    if word not in ("true", "false"):
        raise DeploymentError(f"the parameter {name} must be true or false; not {value!r}")
    return word == "true"


def chosen(name: str, value: object, words: Sequence[str]) -> str:
    """Which of some words the parameter `name` is; unset it is the first.

    Raises `DeploymentError` for any other.
    """
    word = str(value or words[0]).strip().lower()
    if word not in words:
        raise DeploymentError(f"the parameter {name} must be {' or '.join(words)}; not {value!r}")
    return word
