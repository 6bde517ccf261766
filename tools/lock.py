"""Compile every requirements.txt from what was chosen to what is shipped, with digests.

python3 tools/lock.py             keep the versions that a lock has, add what is missing
python3 tools/lock.py --upgrade   move to the newest versions that resolve
python3 tools/lock.py --check     write nothing; fail where a lock is not what its sources say
"""

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import images
import seldon_wheel
import uv

COMMON = Path("common/pyproject.toml")
OPTIONS = (
    "--quiet",
    "--generate-hashes",
    "--no-annotate",
    "--python-version=3.11",
    "--python-platform=linux",
    "--custom-compile-command=make lock",
)


def main() -> None:
    """Compile the locks, or check them."""
    parser = argparse.ArgumentParser(description="Compile the locks.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--upgrade", action="store_true", help="take the newest versions")
    how.add_argument("--check", action="store_true", help="write nothing, fail on a stale lock")
    options = parser.parse_args()
    if options.check:
        stale = [str(lock) for lock, sources in locks().items() if is_stale(lock, sources)]
        sys.exit(f"stale, run `make lock`: {', '.join(stale)}" if stale else None)
    for lock, sources in locks().items():
        print(f"-> compiling {lock}", flush=True)
        compile_lock(lock, *sources, *(["--upgrade"] if options.upgrade else []))


def locks() -> dict[Path, tuple[str | Path, ...]]:
    """Every lock and what it is compiled from."""
    servers = [Path(name) / "server" for name in images.images()]
    of_images = {
        server / "requirements.txt": (COMMON, server / "requirements.in") for server in servers
    }
    return {
        **of_images,
        Path("requirements-dev.txt"): (COMMON, "--group=pyproject.toml:dev"),
        Path("tests/contract/upstream.txt"): (Path("tests/contract/upstream.in"),),
        Path("tools/protoc.txt"): (Path("tools/protoc.in"),),
    }


def is_stale(lock: Path, sources: tuple[str | Path, ...]) -> bool:
    """Whether compiling the lock again, from the versions it has, would change it."""
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(scratch) / lock.name
        if lock.exists():
            shutil.copy(lock, again)
        compile_lock(again, *sources)
        return not lock.exists() or again.read_bytes() != lock.read_bytes()


def compile_lock(lock: Path, *sources: str | Path) -> None:
    """Write one lock; its present versions are kept as long as the sources allow them."""
    wheels = seldon_wheel.ensure(uv.CACHE / "wheels").parent
    chosen = "".join(path.read_text() for path in map(Path, sources) if path.is_file())
    links = uv.find_links(chosen, wheels)
    uv.run("pip", "compile", *OPTIONS, *links, "--output-file", lock, *sources)
    lock.write_text(with_digests(lock.read_text()))


def with_digests(lock: str) -> str:
    """The lock with the digests that PyTorch's page lists and that uv does not take from there."""

    def complete(pin: re.Match[str]) -> str:
        name, version = pin.groups()
        wheel = rf"{name}-{re.escape(quote(version))}-cp311-[^\"#]*linux[^\"#]*#sha256=(\w{{64}})"
        digests = sorted(re.findall(wheel, uv.get(uv.PYTORCH_CPU).decode()))
        if not digests:
            sys.exit(f"{uv.PYTORCH_CPU} lists no digest for {name}=={version}, Python 3.11, Linux")
        return " \\\n    ".join([pin[0], *(f"--hash=sha256:{digest}" for digest in digests)])

    return re.sub(r"^([\w-]+)==(\S+\+cpu)$", complete, lock, flags=re.MULTILINE)


if __name__ == "__main__":
    try:
        main()
    except images.ImagesError as error:
        sys.exit(str(error))
