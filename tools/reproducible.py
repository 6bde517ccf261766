"""Compare two builds file by file: `make reproducible-<target>` hands over their tags.

python3 tools/reproducible.py TAG TAG
"""

import sys

from engine import look_inside

PLACES = ("/opt/venv", "/app")


def main(first: str, second: str) -> None:
    """Say that all files are the same, or end with the names of those that are not."""
    one, other = (described(tag) for tag in (first, second))
    different = sorted(path for path in one.keys() | other if one.get(path) != other.get(path))
    if different:
        sys.exit("\n".join([f"{len(different)} files differ, such as:", *different[:20]]))
    print(f"{len(one)} files below {' and '.join(PLACES)} are the same")


def described(tag: str) -> dict[str, str]:
    """What each file of the image is."""
    found: dict[str, str] = {}
    for files in look_inside(tag, "files", *PLACES):
        found |= files
    return found


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
