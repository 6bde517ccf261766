"""Compile every requirements.txt, a lock of all packages with versions and digests.

python3 tools/lock.py [TARGET...]  compile all locks, or those of these targets; keep versions
python3 tools/lock.py --upgrade    move to the newest versions that resolve
python3 tools/lock.py --check      write nothing; fail if a lock is not up to date
"""

import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import images
import seldon_wheel
import uv

AT_A_TIME = 4  # the number of locks that are compiled at the same time
COMMON = "common/pyproject.toml"
# Locks that belong to no target, each next to its source.
OTHERS = ("tests/contract/upstream", "tests/clients/requirements", "bench/mlserver", "tools/protoc")
OPTIONS = (
    "--quiet",
    "--generate-hashes",
    "--no-annotate",
    "--python-version=3.11",
    "--python-platform=linux",
    "--custom-compile-command=make lock",
)
Sources = tuple[str | Path, ...]


def main(words: list[str]) -> None:
    """Compile the locks, or check them."""
    options = [word for word in words if word.startswith("--")]
    targets = [images.find(word) for word in words if word not in options]
    with tempfile.TemporaryDirectory() as scratch:
        every = locks(Path(scratch), *targets)
        if options == ["--check"]:
            stale = ", ".join(map(str, changed(every)))
            sys.exit(f"stale, run `make lock`: {stale}" if stale else None)
        write(every, *options)


def locks(scratch: Path, *wanted: images.Target) -> dict[Path, Sources]:
    """The locks of these targets, or all locks, each with its sources.

    Sources that are generated for a target are written into `scratch`.
    """
    targets = wanted or images.targets().values()
    every: dict[Path, Sources] = {
        target.lock: (COMMON, chosen(target, scratch)) for target in targets
    }
    if not wanted:
        every[Path("requirements-dev.txt")] = (COMMON, "--group=pyproject.toml:dev")
        every |= {Path(f"{name}.txt"): (Path(f"{name}.in"),) for name in OTHERS}
    return every


def chosen(target: images.Target, scratch: Path) -> Path:
    """The image's requirements.in, or a copy with the target's framework."""
    own = images.ROOT / target.sources / "requirements.in"
    requirements, package = own.read_text(), re.escape(target.image.package)
    pin = re.search(rf"^{package}==([\w.]+)(\S*)", requirements, re.MULTILINE)
    if pin is None:
        sys.exit(f"{own} does not pin {target.image.package}, as images.toml says")
    if not target.older and not target.is_gpu:
        return own
    version, build = pin.groups()
    text = requirements.replace(pin[0], "\n".join(framework(target, version, build)))
    if build and target.is_gpu:  # related packages have the same build
        text = re.sub(rf"^([\w-]+==[\w.]+){re.escape(build)}", r"\1", text, flags=re.MULTILINE)
    path = scratch / f"{target.name}.in"
    path.write_text(text)
    return path


def framework(target: images.Target, version: str, build: str) -> list[str]:
    """The requirements of an older or GPU target in place of the image's framework."""
    if target.older:
        return [*target.image.versions[target.older], f"{target.package}=={target.older}.*"]
    if "==" in target.image.gpu:
        return [target.image.gpu]
    # Exclude the CPU build, which has the same public version and which PIP_FIND_LINKS may offer.
    return [f"{target.image.gpu}=={version}" + (f",!={version}{build}" if build else "")]


def write(every: dict[Path, Sources], *options: str) -> None:
    """Write changed locks; others keep their times, so that make does not rebuild environments."""
    for lock, text in changed(every, *options).items():
        print(f"-> writing {lock}", flush=True)
        lock.write_text(text)


def changed(every: dict[Path, Sources], *options: str) -> dict[Path, str]:
    """The locks that compiling changes, each with its new text."""
    seldon_wheel.ensure(uv.CACHE / "wheels")  # before the threads need it
    with ThreadPoolExecutor(AT_A_TIME) as threads:  # they mostly wait for the index
        texts = threads.map(lambda lock: compiled(lock, *every[lock], *options), every)
        return {
            lock: text
            for lock, text in zip(every, texts, strict=True)
            if not lock.exists() or text != lock.read_text()
        }


def compiled(lock: Path, *sources: str | Path) -> str:
    """The lock's new text, with the current versions if the sources allow them."""
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
    """The lock with the digests from PyTorch's pages, which uv does not read."""

    def complete(pin: re.Match[str]) -> str:
        name, version = pin.groups()
        wheel = rf"{name}-{re.escape(quote(version))}-cp311-[^\"#]*linux[^\"#]*#sha256=(\w{{64}})"
        page = uv.pytorch_page(name)
        digests = sorted(re.findall(wheel, uv.get(page).decode()))
        if not digests:
            sys.exit(f"{page} lists no digest for {name}=={version}, Python 3.11, Linux")
        return " \\\n    ".join([pin[0], *(f"--hash=sha256:{digest}" for digest in digests)])

    return re.sub(r"^([\w-]+)==(\S+\+cpu)$", complete, lock, flags=re.MULTILINE)


if __name__ == "__main__":
    main(sys.argv[1:])
