"""What the builder stages of the Dockerfiles run, as root and in an image alone.

    python3 tools/builder.py environment LOCK    make /opt/venv from the lock
    python3 tools/builder.py package COMMON      make /opt/package from the shared package

The two are apart so that a change to the shared package makes no environment anew: the final
stage lays /opt/package over /opt/venv. Both hold what a server needs and no more, see slim.py,
and twice the same input gives twice the same files, bytecode included.
"""

import os
import subprocess
import sys
from pathlib import Path

import environment
import slim
import uv

ENVIRONMENT = Path("/opt/venv")
PACKAGE = Path("/opt/package")
USAGE = (__doc__ or "").strip()


def main(words: list[str]) -> None:
    """Do what the command line asks for."""
    match words:
        case ["environment", lock]:
            environment.create(ENVIRONMENT, Path(lock), "--no-compile-bytecode")
            finish(ENVIRONMENT)
        case ["package", common]:
            add_package(Path(common))
            finish(PACKAGE)
        case _:
            sys.exit(USAGE)


def add_package(common: Path) -> None:
    """Install the shared package on its own, with scripts for the environment's interpreter."""
    where = ("--prefix", PACKAGE, "--python", ENVIRONMENT / "bin/python")
    # Without the cache, which knows sources by the time of their topmost directory.
    uv.run("pip", "install", "--quiet", "--no-deps", "--no-cache", *where, common.resolve())


def finish(directory: Path) -> None:
    """Leave out what no server needs, add bytecode, and forget when this was done."""
    slim.remove(directory)
    slim.strip(directory)
    slim.correct_records(directory)
    compile_bytecode(directory)
    slim.forget_times(directory)


def compile_bytecode(directory: Path) -> None:
    """Bytecode that depends on the sources alone: on no time, and made in one order by one process.

    `-S` keeps the interpreter from importing, and so compiling, any of them by itself.
    """
    how = ("-S", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash")
    command = [str(ENVIRONMENT / "bin/python"), *how, str(directory / "lib")]
    # Some packages have modules for later Pythons, which this one cannot compile.
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False)


if __name__ == "__main__":
    main(sys.argv[1:])
