"""Look for known vulnerabilities in everything that the locks name, with pip-audit: `make audit`.

.envs/dev/bin/python tools/audit.py

The advisories are the package index's own, which PyPI has and mirrors often have not. The
status is 1 where a vulnerability is known that a release fixes, 2 where packages could not be
looked up: silence of a database that is not reached is no news.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import images

# tests/contract/upstream.txt stays aside: it is seldon-core with the old pins that it was
# published with, for comparison, and they are why the images have none of them. So does
# bench/mlserver.txt, MLServer as published, and tests/clients/requirements.txt, for tests alone.
TOOLS = (Path("requirements-dev.txt"), Path("tools/protoc.txt"))

Pin = tuple[str, str]
Locks = dict[Pin, list[str]]


def main() -> None:
    """Ask for every pin of every lock, and say what was found."""
    pins = read_pins([*(target.lock for target in images.targets().values()), *TOOLS])
    answers = [answer for chosen in rounds(pins) for answer in ask(chosen)]
    unknown = [answer["name"] for answer in answers if "skip_reason" in answer]
    vulnerabilities = [
        (answer, vulnerability) for answer in answers for vulnerability in answer.get("vulns", [])
    ]
    for answer, vulnerability in vulnerabilities:
        print(described(answer, vulnerability, pins))
    known = f"{len(vulnerabilities)} known vulnerabilities"
    print(f"{len(answers)} packages: {known}, {len(unknown)} not looked up")
    if any(vulnerability["fix_versions"] for _, vulnerability in vulnerabilities):
        sys.exit(1)
    if unknown:
        names = "all of them" if len(unknown) == len(answers) else ", ".join(sorted(set(unknown)))
        print(f"the index has no advisories for {names}", file=sys.stderr)
        sys.exit(2)


def read_pins(files: list[Path]) -> Locks:
    """Each name and public version, and the locks that have it."""
    pins: Locks = defaultdict(list)
    for file in files:
        for name, version in re.findall(
            r"^([\w.-]+)==([^\s;+\\]+)", file.read_text(), re.MULTILINE
        ):
            pins[name, version].append(str(file))
    return pins


def rounds(pins: Locks) -> Iterator[list[Pin]]:
    """The pins in lists that name no package twice, as pip-audit wants them."""
    left = sorted(pins)
    while left:
        chosen = list(dict(left).items())
        yield chosen
        left = [pin for pin in left if pin not in chosen]


def ask(pins: list[Pin]) -> list[dict[str, Any]]:
    """pip-audit's answer for each of the pins."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in pins))
        file.flush()
        options = ("--format=json", "--progress-spinner=off", "--disable-pip", "--no-deps")
        command = [sys.executable, "-m", "pip_audit", *options, "--requirement", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        sys.exit(f"pip-audit: {done.stderr.strip()}")
    answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return answers


def described(answer: dict[str, Any], vulnerability: dict[str, Any], pins: Locks) -> str:
    """One line that says what is wrong, where, and what mends it."""
    fixed = ", ".join(vulnerability["fix_versions"]) or "no release"
    where = ", ".join(pins[answer["name"], answer["version"]])
    return (
        f"{answer['name']} {answer['version']}: {vulnerability['id']}, fixed by {fixed}, in {where}"
    )


if __name__ == "__main__":
    main()
