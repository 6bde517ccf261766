"""Limit the threads of libraries to the CPUs that this process may use.

BLAS, OpenMP and the frameworks start a thread for every CPU that they see; in a container, they
see all CPUs of the host. They read the variables set here only once, when they are loaded, so this
module must be imported before numpy.
"""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)


def available_cpus(cgroups: Path = CGROUPS) -> int:
    """The number of CPUs that the scheduler and the container's limit allow, at least 1."""
    scheduled = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    processors = scheduled or os.cpu_count() or 1
    limit = _limit_v2(cgroups) or _limit_v1(cgroups) or processors
    return max(1, min(processors, math.ceil(limit)))


def _limit_v2(cgroups: Path) -> float | None:
    """The limit in `cpu.max`, which has the quota and period in microseconds, or `max`."""
    words = _read(cgroups / "cpu.max").split()
    return float(words[0]) / float(words[1]) if len(words) == 2 and words[0] != "max" else None


def _limit_v1(cgroups: Path) -> float | None:
    """The limit in `cpu.cfs_quota_us` (-1 if unlimited) and `cpu.cfs_period_us`."""
    quota = _read(cgroups / "cpu/cpu.cfs_quota_us")
    period = _read(cgroups / "cpu/cpu.cfs_period_us")
    return float(quota) / float(period) if quota and period and float(quota) > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def limit_threads() -> None:
    """Set the variables for libraries that are loaded from now on, unless they are set already.

    OpenMP's threads are set to sleep while they wait for each other. With busy waiting, calls took
    a hundred times as long on busy CPUs or with a limit below one CPU.
    """
    for name in VARIABLES:
        os.environ.setdefault(name, str(available_cpus()))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


limit_threads()
