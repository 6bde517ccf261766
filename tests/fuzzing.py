"""Runs schemathesis, which generates requests from OpenAPI, against a running server."""

import subprocess
from pathlib import Path

from serving import ROOT

# Two checks are off. JSON Schema cannot say that rows have equal length or that a shape matches
# its data, so not every body that it allows is answered. Some bodies that it forbids are accepted
# on purpose: "2" is read as a number, and unknown members are ignored. The unit tests of each
# protocol check what is refused.
NOT_ASKED = "positive_data_acceptance,negative_data_rejection"
OPTIONS = (
    *("--exclude-checks", NOT_ASKED),
    *("--seed", "1"),
    *("--max-examples", "20"),
    *("--request-timeout", "60"),
    *("--suppress-health-check", "all"),  # these checks depend on the machine's speed
    *("--generation-database", "none"),
)


def findings(url: str, scratch: Path) -> str:
    """Return schemathesis's report if it finds a fault, else an empty text; writes to `scratch`."""
    program = ROOT / ".envs/dev/bin/python"
    command = [program, "-m", "schemathesis.cli", "--no-color", "run", f"{url}/openapi.json"]
    completed = subprocess.run(
        [*command, *OPTIONS],
        cwd=scratch,
        check=False,
        capture_output=True,
        text=True,
    )
    return "" if completed.returncode == 0 else completed.stdout + completed.stderr
