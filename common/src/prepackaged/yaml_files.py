"""Read YAML files of a model directory within limits, because they may be malicious."""

from pathlib import Path
from typing import Any

import yaml

from prepackaged.errors import DeploymentError

MOST_BYTES = 4 * 2**20  # the largest file; an MLmodel with 10,000 columns takes a tenth of it
MOST_VALUES = 1_000_000  # the most values, after aliases are expanded
CHARACTERS = 64  # this many characters of a text count as one value


class _Loader(yaml.SafeLoader):
    """Refuse merge keys (`<<`), which can expand a small file to billions of mappings."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        pass


def read_mapping(path: Path) -> dict[Any, Any]:
    """The mapping in a YAML file.

    Raises `DeploymentError` unless it is a regular file of at most MOST_BYTES that contains a
    mapping, which aliases expand to at most MOST_VALUES values.
    """
    try:
        content = yaml.load(_read(path), _Loader)  # noqa: S506  a SafeLoader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DeploymentError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DeploymentError(f"{path}: expected a YAML mapping, got {type(content).__name__}")
    if not _is_within(content, MOST_VALUES):
        why = f"expected at most {MOST_VALUES:,} values with aliases, got more"
        raise DeploymentError(f"{path}: {why}")
    return content


def _read(path: Path) -> str:
    if not path.is_file():
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    return content.decode()


def _is_within(value: Any, most: int) -> bool:
    """Whether a value contains at most `most` values, each counted as often as it is referenced."""
    waiting, count = [value], 0
    while waiting and count <= most:
        each = waiting.pop()
        count += 1 + (len(each) // CHARACTERS if isinstance(each, str | bytes) else 0)
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | set | tuple):
            waiting += each
    return count <= most
