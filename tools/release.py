"""Print the notes of a release: what the change log says of the version that a tag names.

python3 tools/release.py TAG

The status is 1 unless TAG, VERSION and the head of CHANGELOG.md name the same version.
"""

import re
import sys

import images

# A section of the change log: its version, its day where it is released, and its text.
SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?\n(.*?)(?=^## |\Z)", re.M | re.S)


class ReleaseError(Exception):
    """The tag, or what it stands on, is not as it must be."""


def notes(tag: str) -> str:
    """The text of the change log's first section, which has to be that of the tag."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        raise ReleaseError(f"a release's tag is vX.Y.Z, not {tag!r}")
    version, text = head()
    for place, said in (("VERSION", images.release()), ("the head of CHANGELOG.md", version)):
        if tag != f"v{said}":
            raise ReleaseError(f"the tag is {tag}, but {place} says {said}")
    return text


def head() -> tuple[str, str]:
    """The version that the change log begins with, but for an `[Unreleased]` without entries."""
    for name, day, text in SECTION.findall((images.ROOT / "CHANGELOG.md").read_text()):
        if text.strip():
            return name if day else f"[{name}] without its day", text.strip()
    return "nothing", ""


if __name__ == "__main__":
    try:
        print(notes(*sys.argv[1:]))
    except ReleaseError as error:
        sys.exit(str(error))
