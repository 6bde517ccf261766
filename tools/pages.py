"""Write the parts of pages that are generated from the code and images.toml: `make generate`.

    .envs/dev/bin/python tools/pages.py

A generated part is between two comments with its name, such as `<!-- tags -->`.
"""

import images
from prepackaged.server.runtime.options import GROUPS, WITHOUT_EFFECT
from prepackaged.server.runtime.settings import Setting
from reference import reference, table


def main() -> None:
    """Write the generated parts of all pages."""
    for name in PAGES:
        page = images.ROOT / name
        page.write_text(generated(name, page.read_text()))


def generated(name: str, text: str) -> str:
    """The page with its generated parts up to date."""
    for part, make in PAGES[name].items():
        before, _, after = text.split(f"<!-- {part} -->")
        text = f"<!-- {part} -->".join((before, f"\n\n{make()}\n\n", after))
    return text


def table_of_images() -> str:
    """A table with a row for each image."""
    rows = (
        (f"[`{images.repository(each)}`]({name}/README.md)", each.summary, framework(name))
        for name, each in images.images().items()
    )
    return table(("image", "serves", "framework"), rows)


def table_of_tags() -> str:
    """A table with a row for each target."""
    rows = (
        (
            f"`{images.repository(each.image)}`",
            ", ".join(f"`{tag}`" for tag in each.short_tags()),
            framework(name),
            each.variant.upper(),
        )
        for name, each in images.targets().items()
    )
    return table(("image", "tags", "framework", "built for"), rows)


def framework(name: str) -> str:
    """The framework of a target: its package and version."""
    target = images.find(name)
    return f"{target.package} {target.version()}"


def settings() -> str:
    """A table for each group of settings, and the flags without effect."""
    columns = ("variable", "flag", "default", "example", "meaning")
    groups = (f"## {title}\n\n{table(columns, map(row, each))}" for title, each in GROUPS.items())
    ignored = ", ".join(f"`--{flag}`" for flag in ("service-type", "persistence", *WITHOUT_EFFECT))
    return "\n\n".join((*groups, "## Without effect", ignored))


def row(setting: Setting) -> tuple[str, ...]:
    """The cells of a setting: names, flag, default, example and meaning."""
    names = [f"`{name}`" for name in setting.variables]
    if setting.annotation:
        names.append(f"annotation `{setting.annotation}`")
    flag = f"`--{setting.flag}`" if setting.flag else ""
    default = setting.otherwise or (f"`{setting.default}`" if setting.default != "" else "none")
    return "<br>".join(names), flag, default, f"`{setting.example}`", setting.meaning


# For each page, its generated parts and the functions that generate them.
PAGES = {
    "README.md": {"images": table_of_images, "tags": table_of_tags},
    "docs/settings.md": {"generated": settings},
    "docs/reference.md": {"generated": reference},
}

if __name__ == "__main__":
    main()
