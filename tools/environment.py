"""Make a Python environment from a lock, for developers, CI and every image.

    python3 tools/environment.py DIRECTORY LOCK [COMMON]

LOCK is a compiled file with digests: exactly the packages in it are installed, without resolving.
If it pins our seldon-core wheel, the wheel is made first, see seldon_wheel.py.
COMMON is the directory of the shared package, which is linked to, not copied.
"""

import sys
from pathlib import Path

import seldon_wheel
import uv

PYTHON = "3.11"


def main(directory: Path, lock: Path, *common: Path) -> None:
    """Make the environment."""
    create(directory, lock)
    for sources in common:
        print(f"-> adding {sources}", flush=True)
        # As an absolute path: `common` alone would be a package on the index.
        install(directory, "--editable", sources.resolve())


def create(directory: Path, lock: Path, *options: str) -> None:
    """Create an environment in `directory` that has exactly the packages in the lock."""
    requirements = lock.read_text()
    made = seldon_wheel.VERSION in requirements
    found = [seldon_wheel.ensure(uv.CACHE / "wheels").parent] if made else []
    print(f"-> making {directory} from {lock}", flush=True)
    uv.run("venv", "--quiet", "--clear", "--force", "--no-project", "--python", PYTHON, directory)
    places = uv.find_links(requirements, *found)
    install(directory, "--require-hashes", *options, *places, "-r", lock)


def install(directory: Path, *arguments: str | Path) -> None:
    """`uv pip install` into the environment without resolving anything."""
    options = ("--no-deps", "--compile-bytecode", "--python", directory / "bin/python")
    uv.run("pip", "install", *uv.quietly(), *options, *arguments)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
