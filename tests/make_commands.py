"""The Makefile's targets, as make itself lists them."""

import os
import re
import subprocess
from functools import cache

from serving import ROOT

OUTER = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}  # variables of a make that runs this test


@cache
def known_commands() -> frozenset[str]:
    """Every target of every rule; cached, since each call of make reads images.toml."""
    environment = {name: value for name, value in os.environ.items() if name not in OUTER}
    command = ["make", "--print-data-base", "--question", "--no-builtin-rules", "help"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return frozenset(re.findall(r"^([\w.-]+):(?!=)", done.stdout, re.MULTILINE))


def unknown_commands(words: str) -> list[str]:
    """The words of a make command line that are not targets; options and variables are skipped."""
    named = (word for word in words.split() if "=" not in word and word[0] != "-")
    return [word for word in named if word not in known_commands()]
