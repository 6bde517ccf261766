"""Files without permissions: root may read everything, so a child process drops that right."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def permissions(path: Path, mode: int) -> Iterator[None]:
    """Set the permissions of a path within this block."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def as_anyone() -> list[str]:
    """The beginning of a command that runs without root's capabilities to read everything."""
    if os.geteuid() != 0:
        return []
    dropped = "-dac_override,-dac_read_search"
    prefix = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"]).returncode:
        pytest.skip("this runs as root, and cannot give up root's right to read everything")
    return prefix
