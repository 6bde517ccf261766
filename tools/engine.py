"""The container engine's command line, docker's or podman's: CONTAINER_CLI says which."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ENGINE = os.environ.get("CONTAINER_CLI") or "docker"
INSIDE = Path(__file__).with_name("inside.py")


def engine(*arguments: str, given: str | None = None) -> str:
    """What the engine prints; exits with its complaint where it fails."""
    command = [ENGINE, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])}: {done.stderr.strip()}")
    return done.stdout


def is_here(tag: str) -> bool:
    """Whether the engine has the image."""
    inspect = [ENGINE, "image", "inspect", tag]
    return subprocess.run(inspect, capture_output=True, check=False).returncode == 0


def inspect(tag: str) -> dict[str, Any]:
    """The image's layers, labels and settings."""
    (described,) = json.loads(engine("image", "inspect", tag))
    return dict(described)


def look_inside(tag: str, question: str, *directories: str) -> list[Any]:
    """An answer of inside.py's for each directory of the image, fetched where it is not here."""
    command = ("python3", "-", question, *directories)
    as_root = ("run", "--rm", "-i", "--user", "0")
    return list(json.loads(engine(*as_root, tag, *command, given=INSIDE.read_text())))
