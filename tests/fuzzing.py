"""schemathesis against a running server: requests made of its OpenAPI document."""

import subprocess
from pathlib import Path

from serving import ROOT

# Not asked: whether every body that the schema allows is answered, for JSON Schema cannot say that
# rows are of one length, or that a shape is that of the data; and whether every other body is
# refused, for "2" is taken for a number, and members that nobody knows are ignored, on purpose.
# The unit tests of each protocol say what is refused.
NOT_ASKED = "positive_data_acceptance,negative_data_rejection"
OPTIONS = (
    *("--exclude-checks", NOT_ASKED),
    *("--seed", "1"),
    *("--max-examples", "20"),
    *("--request-timeout", "60"),
    *("--suppress-health-check", "all"),  # they depend on the machine's speed
    *("--generation-database", "none"),
)


def findings(url: str, scratch: Path) -> str:
    """What is wrong with the answers; empty where nothing is. It writes into `scratch`."""
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
