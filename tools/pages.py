"""Write docs/reference.md and the tables of docs/settings.md from the code: `make generate`.

.envs/dev/bin/python tools/pages.py
"""

from collections.abc import Iterable

import images
import reference
from prepackaged.server.runtime.options import GROUPS, WITHOUT_EFFECT
from prepackaged.server.runtime.settings import Setting

SETTINGS = images.ROOT / "docs/settings.md"
REFERENCE = images.ROOT / "docs/reference.md"
MARK = "<!-- generated -->"


def main() -> None:
    """Write them."""
    SETTINGS.write_text(with_settings(SETTINGS.read_text()))
    REFERENCE.write_text(with_reference(REFERENCE.read_text()))


def with_reference(text: str) -> str:
    """The page with the package's reference made anew, between the two comments."""
    before, _, after = text.split(MARK)
    return MARK.join((before, f"\n\n{reference.reference()}\n\n", after))


def with_settings(text: str) -> str:
    """The page with its tables made anew, between the two comments."""
    before, _, after = text.split(MARK)
    tables = "\n\n".join(f"## {title}\n\n{table(group)}" for title, group in GROUPS.items())
    ignored = ", ".join(f"`--{flag}`" for flag in ("service-type", "persistence", *WITHOUT_EFFECT))
    return MARK.join((before, f"\n\n{tables}\n\n## Without effect\n\n{ignored}\n\n", after))


def table(group: Iterable[Setting]) -> str:
    """One Markdown row for each setting."""
    lines = ["| variable | flag | default | example | meaning |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*lines, *map(row, group)])


def row(setting: Setting) -> str:
    """A setting's names, default, example and meaning."""
    names = [f"`{name}`" for name in setting.variables]
    if setting.annotation:
        names.append(f"annotation `{setting.annotation}`")
    flag = f"`--{setting.flag}`" if setting.flag else ""
    default = setting.otherwise or (f"`{setting.default}`" if setting.default != "" else "none")
    cells = ("<br>".join(names), flag, default, f"`{setting.example}`", setting.meaning)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
