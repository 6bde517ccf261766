"""Print the notes of a release: the section of CHANGELOG.md for the version in a tag.

python3 tools/release.py TAG

Exits with status 1 if TAG, VERSION and the first section with entries disagree, or if that section
has no date.
"""

import re
import sys

import images

# A section with entries: its version, its date if it is released, and its text.
SECTION = re.compile(
    r"^## \[(\S+)\](?: - (\d{4}-\d\d-\d\d))?\n\s*(?!## )(\S.*?)\s*(?=^## |\Z)", re.M | re.S
)


def notes(tag: str) -> str:
    """The text of the first section with entries. Exits if it is not the tag's section."""
    head = SECTION.search((images.ROOT / "CHANGELOG.md").read_text())
    version, day, text = head.groups() if head else ("nothing", None, "")
    logged = f"{version} of {day or 'no day'}"
    if not (day and tag == f"v{version}" == f"v{images.release()}"):
        sys.exit(f"the tag is {tag}, VERSION says {images.release()}, CHANGELOG.md {logged}")
    return str(text)


if __name__ == "__main__":
    print(notes(*sys.argv[1:]))
