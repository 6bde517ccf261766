import os
import subprocess
import sys
from pathlib import Path

import pytest

from prepackaged.cpus import available_cpus

PROCESSORS = len(os.sched_getaffinity(0))


def cgroup(directory: Path, files: dict[str, str]) -> Path:
    """Write a cgroup file system with these files."""
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text + "\n")
    return directory


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "50000 100000"},
        {"cpu.max": "100000 100000"},
        {"cpu/cpu.cfs_quota_us": "20000", "cpu/cpu.cfs_period_us": "100000"},
    ],
)
def test_a_limit_of_one_processor_or_less_leaves_one(tmp_path: Path, files: dict[str, str]) -> None:
    """A CPU limit of 1 or less in cgroup v1 or v2 gives one processor."""
    assert available_cpus(cgroup(tmp_path, files)) == 1


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu.max": "max 100000"},
        {"cpu.max": "6400000 100000"},
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
    ],
)
def test_without_a_lower_limit_all_processors_are_used(
    tmp_path: Path, files: dict[str, str]
) -> None:
    """Without a lower limit, all processors that the scheduler allows are used."""
    assert available_cpus(cgroup(tmp_path, files)) == PROCESSORS


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OMP_NUM_THREADS", str(available_cpus())), ("OMP_WAIT_POLICY", "PASSIVE")],
)
def test_importing_the_package_limits_threads_before_numpy_is_imported(
    variable: str, value: str
) -> None:
    """Importing the package sets thread limits before numpy is imported, unless they are set."""
    script = f"import os, prepackaged; print(os.environ['{variable}'])"

    def printed(**variables: str) -> str:
        inherited = {key: each for key, each in os.environ.items() if key != variable}
        command = [sys.executable, "-c", script]
        run = subprocess.run(command, env=inherited | variables, capture_output=True, text=True)
        return run.stdout.strip()

    assert printed() == value
    assert printed(**{variable: "7"}) == "7"
