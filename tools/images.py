"""What images.toml says, in the words that make, CI and the README need.

    python3 tools/images.py targets         every image, one word each
    python3 tools/images.py tags IMAGE      the tags that a build gets
    python3 tools/images.py args IMAGE      the build arguments
    python3 tools/images.py matrix          the CI matrix, as JSON
    python3 tools/images.py table           the README's table, as Markdown

The registry is the environment's REGISTRY, `infuseai` when unset.
"""

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REGISTRY = os.environ.get("REGISTRY") or "infuseai"


class ImagesError(Exception):
    """images.toml, or what it points at, is not as it must be."""


@dataclass(frozen=True)
class Image:
    """One table of images.toml."""

    name: str
    summary: str
    package: str

    def version(self) -> str:
        """The public version of `package` in the image's lock, such as `1.9.1`."""
        lock = ROOT / self.name / "server/requirements.txt"
        if not lock.exists():
            raise ImagesError(f"{lock} is missing: run `make lock`")
        pin = re.search(rf"^{re.escape(self.package)}==([^\s;+]+)", lock.read_text(), re.MULTILINE)
        if pin is None:
            raise ImagesError(f"{lock} does not pin {self.package}, which images.toml names")
        return pin[1]

    def tags(self) -> list[str]:
        """Full image names, the release's own first."""
        repository = f"{REGISTRY}/{self.name}-prepackaged"
        framework = f"{release()}-{self.package}{self.version()}"
        return [f"{repository}:{tag}" for tag in (release(), framework, "latest")]

    def build_arguments(self) -> list[str]:
        """`NAME=value` pairs for the Dockerfile's ARGs of the same names."""
        return [f"IMAGE={self.tags()[0]}", f"RELEASE={release()}"]


def release() -> str:
    """The release of the whole repository."""
    return (ROOT / "VERSION").read_text().strip()


def read_images(text: str) -> dict[str, Image]:
    """The images in the text of images.toml, by name, in its order."""
    expected = {"summary", "package"}
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ImagesError(f"images.toml: {error}") from error
    for name, table in tables.items():
        if not isinstance(table, dict) or set(table) != expected:
            raise ImagesError(f"images.toml: [{name}] must hold exactly {sorted(expected)}")
    return {name: Image(name, **table) for name, table in tables.items()}


def images() -> dict[str, Image]:
    """The images of this repository."""
    return read_images((ROOT / "images.toml").read_text())


def find(name: str) -> Image:
    """The image of that name."""
    known = images()
    if name not in known:
        raise ImagesError(f"no image {name!r} in images.toml, which has: {', '.join(known)}")
    return known[name]


def matrix() -> str:
    """GitHub's `strategy.matrix`: one row an image."""
    return json.dumps({"image": list(images())})


def table() -> str:
    """One Markdown row an image."""
    rows = ["| image | serves | framework |", "| --- | --- | --- |"]
    for image in images().values():
        name = f"[`{REGISTRY}/{image.name}-prepackaged`]({image.name}/README.md)"
        rows.append(f"| {name} | {image.summary} | {image.package} {image.version()} |")
    return "\n".join(rows)


OF_ALL: dict[str, Callable[[], str]] = {
    "targets": lambda: " ".join(images()),
    "matrix": matrix,
    "table": table,
}
OF_ONE: dict[str, Callable[[Image], list[str]]] = {
    "tags": Image.tags,
    "args": Image.build_arguments,
}


def answer(words: list[str]) -> str:
    """What the command line asks for."""
    match words:
        case [question] if question in OF_ALL:
            return OF_ALL[question]()
        case [question, name] if question in OF_ONE:
            return " ".join(OF_ONE[question](find(name)))
    raise ImagesError((__doc__ or "").strip())


if __name__ == "__main__":
    try:
        print(answer(sys.argv[1:]))
    except ImagesError as error:
        sys.exit(str(error))
