"""Write the README's tables of images and tags anew: `make generate`.

python3 tools/readme.py
"""

import sys

import images

README = images.ROOT / "README.md"
TABLES = {"images": images.table_of_images, "tags": images.table_of_tags}


def main() -> None:
    """Write them."""
    README.write_text(with_tables(README.read_text()))


def with_tables(text: str) -> str:
    """The text with each table between the two comments that name it."""
    for name, table in TABLES.items():
        before, _, after = text.split(f"<!-- {name} -->")
        text = f"<!-- {name} -->".join((before, f"\n\n{table()}\n\n", after))
    return text


if __name__ == "__main__":
    try:
        main()
    except images.ImagesError as error:
        sys.exit(str(error))
