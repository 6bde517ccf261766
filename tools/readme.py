"""Write the README's tables of images and tags anew: `make generate`.

python3 tools/readme.py
"""

import sys

import images

README = images.ROOT / "README.md"


def main() -> None:
    """Write them."""
    README.write_text(with_tables(README.read_text()))


def with_tables(text: str) -> str:
    """The text with each table between the two comments that name it."""
    for name, table in (("images", table_of_images()), ("tags", table_of_tags())):
        before, _, after = text.split(f"<!-- {name} -->")
        text = f"<!-- {name} -->".join((before, f"\n\n{table}\n\n", after))
    return text


def table_of_images() -> str:
    """One row an image."""
    rows = (
        (
            f"[`{images.repository(image)}`]({image.name}/README.md)",
            image.summary,
            f"{image.package} {images.Target(image).version()}",
        )
        for image in images.images().values()
    )
    return images.table(("image", "serves", "framework"), rows)


def table_of_tags() -> str:
    """One row for each build of each image."""
    rows = (
        (
            f"`{images.repository(target.image)}`",
            ", ".join(f"`{tag}`" for tag in target.short_tags()),
            f"{target.package} {target.version()}",
            target.variant.upper(),
        )
        for target in images.targets().values()
    )
    return images.table(("image", "tags", "framework", "built for"), rows)


if __name__ == "__main__":
    try:
        main()
    except images.ImagesError as error:
        sys.exit(str(error))
