"""Words that operators write into parameters."""

from prepackaged.errors import DeploymentError


def is_true(name: str, value: object) -> bool:
    """Whether the parameter `name` says true; unset it says false.

    Raises `DeploymentError` for anything but true and false.
    """
    word = str(value or "false").strip().lower()
    if word not in ("true", "false"):
        raise DeploymentError(f"the parameter {name} must be true or false; not {value!r}")
    return word == "true"
