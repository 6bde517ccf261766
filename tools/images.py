"""What images.toml says, in the words that make and CI need.

    python3 tools/images.py targets            every target as `<target>:<lock>`
    python3 tools/images.py matrix             the CI matrix, as JSON
    python3 tools/images.py tags TARGET        the tags that a build gets
    python3 tools/images.py args TARGET        the build arguments

A target is what one build makes: an image with its framework's own version (`sklearn`), with an
older one (`sklearn-1.6`) or for GPUs (`pytorch-gpu`).
The registry is the environment's REGISTRY, `infuseai` when unset. Where the environment's
CHANGED names files, the matrix has the targets that a change to these files touches.
"""

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REGISTRY = os.environ.get("REGISTRY") or "infuseai"
# What reaches no image and no test of one: of all the rest, each file touches its image's targets,
# or every target.
OF_NO_TARGET = re.compile(
    r"(bench|deploy|docs|tests/repo|tests/server|tests/unit)/.*|.*\.md|\.gitignore"
)

# The package whose version a pickled estimator is tied to, in whichever image.
PICKLING = "scikit-learn"


class ImagesError(Exception):
    """images.toml, or what it points at, is not as it must be."""


@dataclass(frozen=True)
class Image:
    """One table of images.toml."""

    name: str
    summary: str
    package: str
    framework: str
    versions: dict[str, list[str]]
    gpu: str
    megabytes: int = 0

    def targets(self) -> Iterator["Target"]:
        """What is built of it: its own version, the older ones, the variant for GPUs."""
        yield Target(self)
        yield from (Target(self, version) for version in self.versions)
        if self.gpu:
            yield Target(self, variant="gpu")


@dataclass(frozen=True)
class Target:
    """One build of an image."""

    image: Image
    older: str = ""
    variant: str = "cpu"

    @property
    def name(self) -> str:
        """Its one word: in make's targets, in .envs and in the CI matrix."""
        return "-".join([self.image.name, *self._marks()])

    @property
    def lock(self) -> Path:
        """Its packages, as a path in the repository."""
        return self.sources / f"{'-'.join(['requirements', *self._marks()])}.txt"

    @property
    def sources(self) -> Path:
        """The directory of the image's Model and of all its locks."""
        return Path(self.image.name, "server")

    @property
    def package(self) -> str:
        """The distribution that is the framework."""
        return re.split(r"[^\w.-]", self.image.gpu)[0] if self.is_gpu else self.image.package

    @property
    def is_gpu(self) -> bool:
        """Whether it holds the libraries of CUDA."""
        return self.variant == "gpu"

    @property
    def limit(self) -> int:
        """How many megabytes it may add to its base image; 0 where there is no limit."""
        return 0 if self.is_gpu else self.image.megabytes

    def _marks(self) -> list[str]:
        return [self.older] if self.older else ["gpu"] if self.is_gpu else []

    def version(self) -> str:
        """The public version of the framework in the target's lock, such as `1.9.1`."""
        version = self.pin(self.package)
        if version is None:
            raise ImagesError(
                f"{ROOT / self.lock} does not pin {self.package}, which images.toml names"
            )
        return version

    def pin(self, package: str) -> str | None:
        """The public version of a package in the target's lock; None where it is not in it."""
        lock = ROOT / self.lock
        if not lock.exists():
            raise ImagesError(f"{lock} is missing: run `make lock`")
        pin = re.search(rf"^{re.escape(package)}==([^\s;+]+)", lock.read_text(), re.MULTILINE)
        return pin[1] if pin else None

    def contents(self) -> str:
        """The tag that names the framework's version, and what decides which models it reads.

        As in `0.1.0-xgboost2.1:xgboost@2.1.4:scikit-learn@1.6.1`.
        """
        *_, tag = (tag for tag in self.short_tags() if tag.startswith(release()))
        versions = {self.package.removesuffix("-cpu"): self.version(), PICKLING: self.pin(PICKLING)}
        return ":".join([tag, *(f"{name}@{pin}" for name, pin in versions.items() if pin)])

    def known_tags(self) -> str:
        """What the image is told of the tags that may serve a model which it cannot.

        Those of its image, with a comma between; of a variant for GPUs the older versions too.
        """
        targets = [
            each for each in self.image.targets() if each.is_gpu == self.is_gpu or each.older
        ]
        return ",".join(each.contents() for each in targets)

    def short_tags(self) -> list[str]:
        """Tags, behind the image's name; the first is the release's own."""
        minor = ".".join(self.version().split(".")[:2])
        framework = f"{self.image.framework}{minor}"
        if self.older:
            return [f"{release()}-{framework}", f"latest-{framework}"]
        gpu = "-gpu" if self.is_gpu else ""
        return [f"{release()}{gpu}", f"{release()}-{framework}{gpu}", f"latest{gpu}"]

    def tags(self) -> list[str]:
        """Full image names."""
        return [f"{repository(self.image)}:{tag}" for tag in self.short_tags()]

    def build_arguments(self) -> list[str]:
        """`NAME=value` pairs for the Dockerfile's ARGs of the same names."""
        return [
            f"IMAGE={self.tags()[0]}",
            f"RELEASE={release()}",
            f"REQUIREMENTS={self.lock.name}",
            f"FRAMEWORK={self.package}",
            f"FRAMEWORK_VERSION={self.version()}",
            f"TAGS={self.known_tags()}",
        ]

    def is_touched_by(self, file: str) -> bool:
        """Whether a change to the file may change this build or an answer of its tests."""
        if OF_NO_TARGET.fullmatch(file):
            return False
        if re.search(r"/server/requirements[^/]*\.txt$", file):
            return file == str(self.lock)
        of_image = re.match(r"(?:tests/servers/)?([^/]+)/", file)
        return not of_image or of_image[1] not in images() or of_image[1] == self.image.name


def repository(image: Image) -> str:
    """Where the image's tags are."""
    return f"{REGISTRY}/{image.name}-prepackaged"


def release() -> str:
    """The release of the whole repository."""
    return (ROOT / "VERSION").read_text().strip()


def read_images(text: str) -> dict[str, Image]:
    """The images in the text of images.toml, by name, in its order."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ImagesError(f"images.toml: {error}") from error
    return {name: read_image(name, table) for name, table in tables.items()}


def read_image(name: str, table: object) -> Image:
    """The image that one table describes."""
    needed, allowed = {"summary", "package"}, {"framework", "versions", "gpu", "megabytes"}
    if not isinstance(table, dict) or not needed <= set(table) <= needed | allowed:
        raise ImagesError(
            f"images.toml: [{name}] must hold {sorted(needed)}, may hold {sorted(allowed)}"
        )
    unset = {"framework": table["package"], "versions": {}, "gpu": ""}
    return Image(name, **unset | table)


def images() -> dict[str, Image]:
    """The images of this repository."""
    return read_images((ROOT / "images.toml").read_text())


def targets() -> dict[str, Target]:
    """What is built of the images, by name, image after image."""
    return {target.name: target for image in images().values() for target in image.targets()}


def find(name: str) -> Target:
    """The target of that name."""
    known = targets()
    if name not in known:
        raise ImagesError(f"no target {name!r} in images.toml, which has: {', '.join(known)}")
    return known[name]


def touched() -> list[Target]:
    """The targets that a change touches, all without a change."""
    changed = os.environ.get("CHANGED", "").split()
    found = targets().values()
    return [target for target in found if not changed or any(map(target.is_touched_by, changed))]


def matrix(of: Iterable[Target]) -> str:
    """GitHub's `strategy.matrix` with an entry for each of the targets."""
    return json.dumps({"include": [{"target": each.name, "variant": each.variant} for each in of]})


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def answer(words: list[str]) -> str:
    """What the command line asks for."""
    match words:
        case ["targets"]:
            return " ".join(f"{target.name}:{target.lock}" for target in targets().values())
        case ["matrix"]:
            return matrix(touched())
        case ["tags", name]:
            return " ".join(find(name).tags())
        case ["args", name]:
            return " ".join(find(name).build_arguments())
    raise ImagesError((__doc__ or "").strip())


if __name__ == "__main__":
    try:
        print(answer(sys.argv[1:]))
    except ImagesError as error:
        sys.exit(str(error))
