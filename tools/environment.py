"""Make a Python environment from a lock: the one way, on a desk, in CI and in every image.

    python3 tools/environment.py DIRECTORY REQUIREMENTS [--common PATH] [--editable]

REQUIREMENTS is a compiled file with digests; nothing is resolved and nothing that it does
not name is installed. Our seldon-core wheel is made first where the lock names it, see
seldon_wheel.py. `--common` adds the shared package from its sources.
"""

import argparse
import shutil
from pathlib import Path

import seldon_wheel
import uv

PYTHON = "3.11"


def main() -> None:
    """Read the command line and make the environment."""
    parser = argparse.ArgumentParser(description="Make a Python environment from a lock.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--common", type=Path, help="the shared package's source directory")
    parser.add_argument("--editable", action="store_true", help="link to the sources")
    options = parser.parse_args()
    create(options.directory, options.requirements)
    if options.common:
        add_common(options.directory, options.common, editable=options.editable)


def create(directory: Path, requirements: Path, *options: str) -> None:
    """A new environment in `directory` that holds what the lock names, and nothing else."""
    lock = requirements.read_text()
    made = seldon_wheel.VERSION in lock
    found = [seldon_wheel.ensure(uv.CACHE / "wheels").parent] if made else []
    print(f"-> making {directory} from {requirements}", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    uv.run("venv", "--quiet", "--no-project", "--python", PYTHON, directory)
    places = uv.find_links(lock, *found)
    install(directory, "--require-hashes", *options, *places, "-r", requirements)


def add_common(directory: Path, common: Path, *, editable: bool) -> None:
    """Install the shared package, whose requirements the lock already holds."""
    print(f"-> adding {common}", flush=True)
    # As an absolute path: a bare word would be a package's name on the index.
    install(directory, *(["--editable"] if editable else []), common.resolve())


def install(directory: Path, *arguments: str | Path) -> None:
    """`uv pip install` into the environment without resolving anything."""
    options = ("--no-deps", "--compile-bytecode", "--python", directory / "bin/python")
    uv.run("pip", "install", *uv.quietly(), *options, *arguments)


if __name__ == "__main__":
    main()
