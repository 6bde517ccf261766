"""Write the README's tables of images and tags anew: `make generate`."""

import images

README = images.ROOT / "README.md"


def main() -> None:
    """Write each table between the two comments that name it."""
    text = README.read_text()
    for name, table in (("images", table_of_images()), ("tags", table_of_tags())):
        before, _, after = text.split(f"<!-- {name} -->")
        text = f"<!-- {name} -->".join((before, f"\n\n{table}\n\n", after))
    README.write_text(text)


def table_of_images() -> str:
    """One row an image."""
    lines = ["| image | serves | framework |", "| --- | --- | --- |"]
    for image in images.images().values():
        name = f"[`{images.repository(image)}`]({image.name}/README.md)"
        version = images.Target(image).version()
        lines.append(f"| {name} | {image.summary} | {image.package} {version} |")
    return "\n".join(lines)


def table_of_tags() -> str:
    """One row for each build of each image."""
    lines = ["| image | tags | framework | built for |", "| --- | --- | --- | --- |"]
    for target in images.targets().values():
        name = f"`{images.repository(target.image)}`"
        tags = ", ".join(f"`{tag}`" for tag in target.short_tags())
        framework = f"{target.package} {target.version()}"
        lines.append(f"| {name} | {tags} | {framework} | {target.variant.upper()} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
