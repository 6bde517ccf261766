"""Print the notes of a release: what the change log says of the version that a tag names.

python3 tools/release.py TAG

The status is 1 unless TAG, VERSION and the head of CHANGELOG.md, with its day, name one version.
"""

import re
import sys

import images

# A section of the change log that has entries: its version, its day where it is released, its text.
SECTION = re.compile(
    r"^## \[(\S+)\](?: - (\d{4}-\d\d-\d\d))?\n\s*(?!## )(\S.*?)\s*(?=^## |\Z)", re.M | re.S
)


def notes(tag: str) -> str:
    """The text of the change log's first section with entries, which has to be that of the tag."""
    head = SECTION.search((images.ROOT / "CHANGELOG.md").read_text())
    version, day, text = head.groups() if head else ("nothing", None, "")
    logged = f"{version} of {day or 'no day'}"
    if not (day and tag == f"v{version}" == f"v{images.release()}"):
        sys.exit(f"the tag is {tag}, VERSION says {images.release()}, CHANGELOG.md {logged}")
    return str(text)


if __name__ == "__main__":
    print(notes(*sys.argv[1:]))
