"""What images.toml says, in the words that make and CI need.

    python3 tools/images.py targets            every target as `<target>:<lock>`
    python3 tools/images.py matrix             the CI matrix, as JSON
    python3 tools/images.py matrix-of TARGET.. the same of these targets, which may be none
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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
REGISTRY = os.environ.get("REGISTRY") or "infuseai"
# What reaches no image and no test of one; all the rest touches its image's targets, or all.
OF_NO_TARGET = re.compile(
    r"(bench|deploy|docs|tests/repo|tests/server|tests/unit)/.*|.*\.md|\.gitignore"
)

# The package whose version a pickled estimator is tied to, in whichever image.
PICKLING = "scikit-learn"


@dataclass(frozen=True)
class Image:
    """One table of images.toml."""

    name: str
    summary: str
    package: str
    framework: str = ""  # the package where it is empty
    versions: dict[str, list[str]] = field(default_factory=dict)
    gpu: str = ""
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
    def is_gpu(self) -> bool:
        """Whether it holds the libraries of CUDA."""
        return self.variant == "gpu"

    @property
    def name(self) -> str:
        """Its one word: in make's targets, in .envs and in the CI matrix."""
        return f"{self.image.name}{self._mark}"

    @property
    def sources(self) -> Path:
        """The directory of the image's Model and of all its locks."""
        return Path(self.image.name, "server")

    @property
    def lock(self) -> Path:
        """Its packages, as a path in the repository."""
        return self.sources / f"requirements{self._mark}.txt"

    @property
    def _mark(self) -> str:
        return f"-{self.older}" if self.older else "-gpu" if self.is_gpu else ""

    @property
    def package(self) -> str:
        """The distribution that is the framework."""
        return re.split(r"[^\w.-]", self.image.gpu)[0] if self.is_gpu else self.image.package

    def version(self) -> str:
        """The public version of the framework in the target's lock, such as `1.9.1`."""
        if version := self.pin(self.package):
            return version
        sys.exit(f"{ROOT / self.lock} does not pin {self.package}, which images.toml names")

    def pin(self, package: str) -> str:
        """The public version of a package in the target's lock; empty where it is not in it."""
        lock = ROOT / self.lock
        if not lock.exists():
            sys.exit(f"{lock} is missing: run `make lock`")
        pin = re.search(rf"^{re.escape(package)}==([^\s;+]+)", lock.read_text(), re.MULTILINE)
        return pin[1] if pin else ""

    def contents(self) -> str:
        """The tag that names the framework's version, and what decides which models it reads.

        As in `0.2.0-xgboost2.1:xgboost@2.1.4:scikit-learn@1.6.1`.
        """
        *_, tag = (tag for tag in self.short_tags() if tag.startswith(release()))
        versions = {self.package.removesuffix("-cpu"): self.version(), PICKLING: self.pin(PICKLING)}
        return ":".join([tag, *(f"{name}@{pin}" for name, pin in versions.items() if pin)])

    def known_tags(self) -> str:
        """What the image is told of the tags that may serve a model which it cannot.

        Those of its image, with a comma between; of a variant for GPUs the older versions too.
        """
        every = self.image.targets()
        return ",".join(
            each.contents() for each in every if each.older or each.variant == self.variant
        )

    def short_tags(self) -> list[str]:
        """Tags, behind the image's name; the first is the release's own."""
        minor = ".".join(self.version().split(".")[:2])
        framework = f"{self.image.framework or self.image.package}{minor}"
        if self.older:
            return [f"{release()}-{framework}", f"latest-{framework}"]
        gpu = "-gpu" if self.is_gpu else ""
        return [f"{release()}{gpu}", f"{release()}-{framework}{gpu}", f"latest{gpu}"]

    def tags(self) -> list[str]:
        """Full image names."""
        return [f"{repository(self.image)}:{tag}" for tag in self.short_tags()]

    def build_arguments(self) -> dict[str, str]:
        """The values of the Dockerfile's ARGs by their names."""
        return {
            "IMAGE": self.tags()[0],
            "RELEASE": release(),
            "REQUIREMENTS": self.lock.name,
            "FRAMEWORK": self.package,
            "FRAMEWORK_VERSION": self.version(),
            "TAGS": self.known_tags(),
        }

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
        return {name: Image(name, **table) for name, table in tomllib.loads(text).items()}
    except (tomllib.TOMLDecodeError, TypeError) as error:  # a key that is missing or too many
        sys.exit(f"images.toml: {error}")


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
        sys.exit(f"no target {name!r} in images.toml, which has: {', '.join(known)}")
    return known[name]


def touched() -> Iterator[Target]:
    """The targets that a change touches, all without a change."""
    changed = os.environ.get("CHANGED", "").split()
    for target in targets().values():
        if not changed or any(map(target.is_touched_by, changed)):
            yield target


def matrix(of: Iterable[Target]) -> str:
    """GitHub's `strategy.matrix` with an entry for each of the targets."""
    return json.dumps({"include": [{"target": each.name, "variant": each.variant} for each in of]})


def answer(words: list[str]) -> str:
    """What the command line asks for."""
    match words:
        case ["targets"]:
            return " ".join(f"{target.name}:{target.lock}" for target in targets().values())
        case ["matrix"]:
            return matrix(touched())
        case ["matrix-of", *names]:
            return matrix(map(find, names))
        case ["tags", name]:
            return " ".join(find(name).tags())
        case ["args", name]:
            return " ".join(map("=".join, find(name).build_arguments().items()))
    sys.exit((__doc__ or "").strip())


if __name__ == "__main__":
    print(answer(sys.argv[1:]))
