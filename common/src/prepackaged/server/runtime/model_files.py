"""Detect changes of the model's files without reading them.

The server polls, because network file systems and mounted volumes send no change events, and
because platforms replace a directory by changing a link, which changes no file.
"""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from prepackaged.artifacts import MOUNT, local_path
from prepackaged.errors import DeploymentError
from prepackaged.server.runtime.config import Config

MOST_ENTRIES = 10_000
MOST_LEVELS = 20
UNFINISHED = (".partial", ".tmp", ".swp")  # files that rclone, editors and others still write


class Fingerprint(NamedTuple):
    """Link targets, and each file's name, size, modification time and inode."""

    links: tuple[str, ...] = ()
    files: tuple[tuple[str, int, int, int], ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(size for _, size, _, _ in self.files)


def model_uri(config: Config) -> str:
    """The model's location, from the settings."""
    return str(config.parameters.get("model_uri") or config.model_dir or MOUNT)


def fingerprint(uri: str) -> Fingerprint:
    """The fingerprint of a model directory or, for a file, of all files in its directory.

    Files that do not exist or cannot be listed are omitted.
    """
    try:
        return _fingerprint(local_path(uri))
    except (DeploymentError, OSError):  # for example, a network file system is unavailable
        return Fingerprint()


def _fingerprint(place: Path) -> Fingerprint:
    if place.is_file():
        entries = [(each.name, each) for each in _listed(place.parent)]
    else:
        entries = list(islice(_below(place, "", MOST_LEVELS), MOST_ENTRIES))
    links = [str(place), *(os.path.realpath(each) for _, each in entries if each.is_symlink())]
    return Fingerprint(tuple(links), tuple(_facts(entries)))


def _below(directory: Path, prefix: str, levels: int) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each entry below a directory, following links."""
    for path in _listed(directory):
        name = f"{prefix}{path.name}"
        yield name, path
        if levels and os.path.isdir(path):  # noqa: PTH112  it raises no OSError
            yield from _below(path, f"{name}/", levels - 1)


def _listed(directory: Path) -> list[Path]:
    try:
        names = sorted(each.name for each in os.scandir(directory))
    except OSError:
        return []
    return [directory / each for each in names if not _is_unfinished(each)]


def _is_unfinished(name: str) -> bool:
    return name.startswith("..") or name.endswith(UNFINISHED) or name == "__pycache__"


def _facts(entries: list[tuple[str, Path]]) -> Iterator[tuple[str, int, int, int]]:
    for name, path in entries:
        try:
            found = path.stat()
        except OSError:  # a file that was just removed, or a dangling link
            continue
        if not stat.S_ISDIR(found.st_mode):
            yield name, found.st_size, found.st_mtime_ns, found.st_ino
