"""docs/kubernetes.md and docs/primehub.md agree with deploy/ and the server."""

import math
import re

from manifests import TARGETS, containers, pods
from serving import ROOT

from prepackaged.server.runtime.config import read_config, read_parameters
from prepackaged.server.runtime.shutdown import GRACE_SECONDS, ShutdownTimes

KUBERNETES = (ROOT / "docs/kubernetes.md").read_text()
PRIMEHUB = (ROOT / "docs/primehub.md").read_text()
PRIMEHUB_ENDS_SECONDS, PRIMEHUB_SLEEPS_SECONDS = 30, 10


def sleeps() -> int:
    """The seconds that the preStop hook sleeps."""
    command = containers(TARGETS[0])[0]["lifecycle"]["preStop"]["exec"]["command"]
    return int(command[-1].split()[-1])


def ends() -> int:
    """The seconds from SIGTERM to the last process's end, rounded up, with default settings."""
    return math.ceil(ShutdownTimes().workers)


def test_the_seconds_of_a_pods_end_are_those_of_its_file_and_the_server() -> None:
    """The page's table and text of a pod's end agree with the file and the server."""
    seconds = [int(second) for second in re.findall(r"^\| (\d+) \|", KUBERNETES, re.MULTILINE)]
    allowed = pods(TARGETS[0])[0]["spec"]["terminationGracePeriodSeconds"]
    longer = allowed - sleeps() - (ends() - GRACE_SECONDS) + 1

    assert seconds == [0, sleeps(), sleeps() + GRACE_SECONDS, sleeps() + ends()]
    assert f"takes {seconds[-1]} of the {allowed} seconds" in KUBERNETES
    assert f"`PREPACKAGED_GRACE_SECONDS` is {GRACE_SECONDS}" in KUBERNETES
    assert f"set it to {longer} or more" in KUBERNETES
    assert f"to its value plus {sleeps() + ends() - GRACE_SECONDS}" in KUBERNETES


def test_the_probes_are_as_documented() -> None:
    """The page's text about the probes agrees with the file."""
    (container, _) = containers(TARGETS[0])
    starts, lives = container["startupProbe"], container["livenessProbe"]
    minutes = starts["periodSeconds"] * starts["failureThreshold"] // 60

    assert f"may take up to {minutes} minutes" in KUBERNETES
    assert f"every {container['readinessProbe']['periodSeconds']} seconds" in KUBERNETES
    assert f"`GET {lives['httpGet']['path']}`, every {lives['periodSeconds']} sec" in KUBERNETES
    assert lives["failureThreshold"] == 6
    assert (
        f"six checks in a row get no answer within {lives['timeoutSeconds']} seconds each"
        in KUBERNETES
    )


def test_the_parameters_shown_for_primehub_are_taken() -> None:
    """The server can parse the parameters on the page."""
    (value,) = re.findall(r"`(\[\{.*\}\])`", PRIMEHUB)

    assert read_parameters(value) == {"model_uri": "/mnt/models", "method": "predict"}


def test_the_variables_shown_for_primehub_are_taken() -> None:
    """The variables on the page work, and its longest grace period fits into PrimeHub's."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:up to )?`(\w+)` \|", PRIMEHUB, re.MULTILINE))
    config = read_config(["Model"], rows)

    assert not config.serves_grpc
    assert config.access_log_format == "json"
    longest = PRIMEHUB_ENDS_SECONDS - PRIMEHUB_SLEEPS_SECONDS - (ends() - GRACE_SECONDS)
    assert config.grace == longest


def test_the_last_line_shown_for_primehub_is_a_servers() -> None:
    """The example of a last line also is in sklearn's README, where it is tested."""
    (line,) = re.findall(r"such as `(model_uri [^`]+)`", PRIMEHUB)

    assert f"```text last log line\n{line}\n```" in (ROOT / "sklearn/README.md").read_text()
