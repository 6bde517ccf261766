"""How many processors this process may use, and no more threads than that.

BLAS, OpenMP and the frameworks start a thread for every processor that they see, which in a
container are the host's. They read these variables once, when they are loaded, so that this
module is imported before numpy.
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
    """Processors that the scheduler and the container's limit leave us, 1 at least."""
    scheduled = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    processors = scheduled or os.cpu_count() or 1
    limit = _limit_v2(cgroups) or _limit_v1(cgroups) or processors
    return max(1, min(processors, math.ceil(limit)))


def _limit_v2(cgroups: Path) -> float | None:
    """`cpu.max`: quota and period in microseconds, or `max`."""
    words = _read(cgroups / "cpu.max").split()
    return float(words[0]) / float(words[1]) if len(words) == 2 and words[0] != "max" else None


def _limit_v1(cgroups: Path) -> float | None:
    """`cpu.cfs_quota_us`, -1 for none, and `cpu.cfs_period_us`."""
    quota = _read(cgroups / "cpu/cpu.cfs_quota_us")
    period = _read(cgroups / "cpu/cpu.cfs_period_us")
    return float(quota) / float(period) if quota and period and float(quota) > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def limit_threads() -> None:
    """Let libraries that are loaded from here on start that many threads, unless variables are set.

    OpenMP's threads wait for each other asleep: where others want the processors too, or a
    container's limit is below one, those that wait busily let a call take a hundred times as long.
    """
    for name in VARIABLES:
        os.environ.setdefault(name, str(available_cpus()))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


limit_threads()
