"""The container engine's command line, docker's or podman's: CONTAINER_CLI says which."""

import json
import os
import subprocess
import sys
from typing import Any

ENGINE = os.environ.get("CONTAINER_CLI") or "docker"
# Inode, size and path of each file below directories, where there are any, without what is mounted.
LIST = """\
set -e
for place; do test ! -e "$place" || find "$place" -xdev -type f -printf '%i %s %p\\n'; done
"""


def engine(*arguments: str) -> str:
    """What the engine prints; exits with its complaint where it fails."""
    command = [ENGINE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])}: {done.stderr.strip()}")
    return done.stdout


def inspect(tag: str) -> dict[str, Any]:
    """The image's layers, labels and settings."""
    (described,) = json.loads(engine("image", "inspect", tag))
    return dict(described)


def files(tag: str, *directories: str) -> dict[str, tuple[str, int]]:
    """Inode and size of each file below directories of an image, fetched where it is not here."""
    printed = engine("run", "--rm", "--user", "0", tag, "sh", "-c", LIST, "sh", *directories)
    lines = (line.split(" ", 2) for line in printed.splitlines())
    return {path: (inode, int(size)) for inode, size, path in lines}


def weight(tag: str, *directories: str) -> int:
    """The bytes of the files below directories, each once that has several names."""
    return sum(size for _, size in set(files(tag, *directories).values()))
