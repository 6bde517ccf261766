"""Runs programs of tests/clients in their own environment, separate from the tests' packages."""

import json
import subprocess
from pathlib import Path
from typing import Any

from serving import ROOT


def reported(program: str, *arguments: str | Path, environment: str = "clients") -> Any:
    """Run a program in an environment of .envs and return the JSON that it prints."""
    python = ROOT / ".envs" / environment / "bin/python"
    command = [python, ROOT / "tests/clients" / program, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
