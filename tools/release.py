"""Whether a tag may become a release, and its notes.

python3 tools/release.py check TAG   fail unless VERSION, the package and the change log say TAG too
python3 tools/release.py notes       what the change log says of the release
python3 tools/release.py latest      the newest release's tag
"""

import re
import subprocess
import sys
import tomllib

import images

ROOT = images.ROOT
TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
# A release of the change log: its version, its day, and its text.
SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?\n(.*?)(?=^## |\Z)", re.M | re.S)


class ReleaseError(Exception):
    """The tag, or what it stands on, is not as it must be."""


def check(tag: str) -> str:
    """Check that everything that names the release names the same one."""
    if not TAG.fullmatch(tag):
        raise ReleaseError(f"a release's tag is vX.Y.Z, not {tag!r}")
    version = tag.removeprefix("v")
    wrong = [f"{place} says {said}" for place, said in named().items() if said != version]
    if wrong:
        raise ReleaseError(f"the tag is {tag}, but {', '.join(wrong)}")
    return f"{tag} agrees with {', '.join(named())}"


def named() -> dict[str, str]:
    """The version by each place that names it."""
    package = tomllib.loads((ROOT / "common/pyproject.toml").read_text())
    return {
        "VERSION": images.release(),
        "common/pyproject.toml": package["project"]["version"],
        "the head of CHANGELOG.md": head(),
    }


def head() -> str:
    """The release that the change log begins with, but for an `[Unreleased]` without entries."""
    for name, day, text in SECTION.findall((ROOT / "CHANGELOG.md").read_text()):
        if name != "Unreleased":
            return str(name) if day else f"{name} without its day"
        if text.strip():
            break
    return "changes that are not released"


def notes() -> str:
    """The change log's section of the release."""
    for name, _, text in SECTION.findall((ROOT / "CHANGELOG.md").read_text()):
        if name == images.release():
            return str(text).strip()
    raise ReleaseError(f"CHANGELOG.md has no section [{images.release()}]")


def latest() -> str:
    """The tag with the highest version, whatever the order in which they were made."""
    command = ["git", "tag", "--list"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [match for match in map(TAG.fullmatch, listed.split()) if match]
    if not found:
        raise ReleaseError("no tag vX.Y.Z is here: nothing was released, or the tags not fetched")
    return max(found, key=lambda tag: tuple(map(int, tag.groups())))[0]


def answer(words: list[str]) -> str:
    """What the command line asks for."""
    match words:
        case ["check", tag]:
            return check(tag)
        case ["notes"]:
            return notes()
        case ["latest"]:
            return latest()
    raise ReleaseError((__doc__ or "").strip())


if __name__ == "__main__":
    try:
        print(answer(sys.argv[1:]))
    except ReleaseError as error:
        sys.exit(str(error))
