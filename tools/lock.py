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
    with tempfile.TemporaryDirectory() as scratch:
        if options.check:
            every = locks(Path(scratch)).items()
            stale = [str(lock) for lock, sources in every if is_stale(lock, sources)]
            sys.exit(f"stale, run `make lock`: {', '.join(stale)}" if stale else None)
        for lock, sources in locks(Path(scratch)).items():
            print(f"-> compiling {lock}", flush=True)
            compile_lock(lock, *sources, *(["--upgrade"] if options.upgrade else []))


def locks(scratch: Path) -> dict[Path, tuple[str | Path, ...]]:
    """Every lock and what it is compiled from; what is chosen for a row goes into `scratch`."""
    return {
        **{row.lock: (COMMON, chosen(row, scratch)) for row in images.rows().values()},
        Path("requirements-dev.txt"): (COMMON, "--group=pyproject.toml:dev"),
        Path("tests/contract/upstream.txt"): (Path("tests/contract/upstream.in"),),
        Path("bench/mlserver.txt"): (Path("bench/mlserver.in"),),
        Path("tools/protoc.txt"): (Path("tools/protoc.in"),),
    }


def chosen(row: images.Row, scratch: Path) -> Path:
    """The image's requirements.in, with the row's framework in place of the image's own."""
    own = images.ROOT / row.sources / "requirements.in"
    requirements = own.read_text()
    pin = re.search(rf"^{re.escape(row.image.package)}==([\w.]+)(\S*)", requirements, re.MULTILINE)
    if pin is None:
        raise images.ImagesError(f"{own} does not pin {row.image.package}, as images.toml says")
    if row.is_own:
        return own
    path = scratch / f"{row.name}.in"
    path.write_text(requirements.replace(pin[0], "\n".join(framework(row, *pin.groups()))))
    return path


def framework(row: images.Row, version: str, build: str) -> list[str]:
    """What an older row or one for GPUs asks for where the image asks for `version`."""
    if row.older:
        return [*row.image.versions[row.older], f"{row.package}=={row.older}.*"]
    if "==" in row.image.gpu:
        return [row.image.gpu]
    # A directory of more wheels may hold the other build, which counts as the same version.
    return [f"{row.image.gpu}=={version}" + (f",!={version}{build}" if build else "")]


def is_stale(lock: Path, sources: tuple[str | Path, ...]) -> bool:
    """Whether compiling the lock again, from the versions it has, would change it."""
    return not lock.exists() or compiled(lock, *sources) != lock.read_text()


def compile_lock(lock: Path, *sources: str | Path) -> None:
    """Write one lock; one that stays as it is keeps its time, and make its environment."""
    text = compiled(lock, *sources)
    if not lock.exists() or text != lock.read_text():
        lock.write_text(text)


def compiled(lock: Path, *sources: str | Path) -> str:
    """What the lock is to be; its present versions are kept as long as the sources allow them."""
    wheels = seldon_wheel.ensure(uv.CACHE / "wheels").parent
    asked = "".join(path.read_text() for path in map(Path, sources) if path.is_file())
    links = uv.find_links(asked, wheels)
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(scratch) / lock.name
        if lock.exists():
            shutil.copy(lock, again)
        uv.run("pip", "compile", *OPTIONS, *links, "--output-file", again, *sources)
        return with_digests(again.read_text())


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
