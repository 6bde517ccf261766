"""Which sources these are, for the labels of images: git's answers, empty where it has none.

python3 tools/revision.py    `NAME=value` pairs for the Dockerfiles' ARGs of the same names
"""

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build_arguments() -> dict[str, str]:
    """The build arguments for the Dockerfiles' labels; times are UTC, in the form of RFC 3339."""
    return {
        "SOURCE": web_address(git("remote", "get-url", "origin")),
        "REVISION": git("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"),
        "CREATED": datetime.fromtimestamp(int(epoch()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SOURCE_DATE_EPOCH": epoch(),
    }


def epoch() -> str:
    """SOURCE_DATE_EPOCH, else the time of the commit: the same sources, the same time."""
    return os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or "0"


def web_address(remote: str) -> str:
    """A remote over HTTPS or SSH as an address without credentials; empty for any other."""
    form = r"(?:https://(?:[^@/]*@)?|(?:ssh://)?git@)([^:/]+)[:/](.+?)(?:\.git)?/?"
    parts = re.fullmatch(form, remote)
    return f"https://{parts[1]}/{parts[2]}" if parts else ""


def git(*words: str) -> str:
    """What git prints, nothing where it fails or is not there."""
    command = ["git", "-C", str(ROOT), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


if __name__ == "__main__":
    print(" ".join(map("=".join, build_arguments().items())))
