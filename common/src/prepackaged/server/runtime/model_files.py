"""The model's files on disk, and whether they have changed, without reading them.

The server polls because network file systems and mounted volumes send no change events, and
replacing a directory by changing one link changes no file.
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
UNFINISHED = (".partial", ".tmp", ".swp")  # what is still being written, by rclone, editors, others


class Fingerprint(NamedTuple):
    """Link targets, and each file's name, size, modification time and inode."""

    links: tuple[str, ...] = ()
    files: tuple[tuple[str, int, int, int], ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(size for _, size, _, _ in self.files)


def model_uri(config: Config) -> str:
    """The model's location according to the settings."""
    return str(config.parameters.get("model_uri") or config.model_dir or MOUNT)


def fingerprint(uri: str) -> Fingerprint:
    """The fingerprint of a model directory or, for a file, of all files beside it.

    Files that cannot be listed, or do not exist, are left out.
    """
    try:
        return _fingerprint(local_path(uri))
    except (DeploymentError, OSError):  # such as those of a network file system that is away
        return Fingerprint()


def _fingerprint(place: Path) -> Fingerprint:
    if place.is_file():
        entries = [(each.name, each) for each in _listed(place.parent)]
    else:
        entries = list(islice(_below(place, "", MOST_LEVELS), MOST_ENTRIES))
    links = [str(place), *(os.path.realpath(each) for _, each in entries if each.is_symlink())]
    return Fingerprint(tuple(links), tuple(_facts(entries)))


def _below(directory: Path, prefix: str, levels: int) -> Iterator[tuple[str, Path]]:
    """Names and paths below a directory, through links too, as many as MOST_ENTRIES."""
    for path in _listed(directory):
        name = f"{prefix}{path.name}"
        yield name, path
        if levels and os.path.isdir(path):  # noqa: PTH112  which raises no error of the file system
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
        except OSError:  # it has just gone, or leads nowhere
            continue
        if not stat.S_ISDIR(found.st_mode):
            yield name, found.st_size, found.st_mtime_ns, found.st_ino
