"""Read images.toml, for make and CI.

    python3 tools/images.py targets            every target as `<target>:<lock>`
    python3 tools/images.py matrix             the CI matrix, as JSON
    python3 tools/images.py matrix-of TARGET.. the CI matrix of these targets, which may be none
    python3 tools/images.py tags TARGET        the tags of the build
    python3 tools/images.py args TARGET        the build arguments

A target is a build of an image: with the image's own framework version (`sklearn`), with an older
one (`sklearn-1.6`), or for GPUs (`pytorch-gpu`).
The environment variable REGISTRY is the registry; the default is `infuseai`. If the variable
CHANGED names files, the matrix has only the targets that a change of these files affects.
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
# Files that affect no target; any other file affects the targets of its image, or all.
OF_NO_TARGET = re.compile(
    r"(bench|deploy|docs|tests/repo|tests/server|tests/unit)/.*|.*\.md|\.gitignore"
)

# In any image, a pickled estimator depends on the version of this package.
PICKLING = "scikit-learn"


@dataclass(frozen=True)
class Image:
    """An image: one table of images.toml."""

    name: str
    summary: str
    package: str
    framework: str = ""  # the name in tags; if it is empty, that of the package
    versions: dict[str, list[str]] = field(default_factory=dict)
    gpu: str = ""
    megabytes: int = 0

    def targets(self) -> Iterator["Target"]:
        """Yield its builds: with its own framework version, with older versions, for GPUs."""
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
        """Whether it contains CUDA's libraries."""
        return self.variant == "gpu"

    @property
    def name(self) -> str:
        """The name in make's targets, in .envs and in the CI matrix."""
        return f"{self.image.name}{self._mark}"

    @property
    def sources(self) -> Path:
        """The directory of the image's Model and of all its locks."""
        return Path(self.image.name, "server")

    @property
    def lock(self) -> Path:
        """The path of the lock in the repository."""
        return self.sources / f"requirements{self._mark}.txt"

    @property
    def _mark(self) -> str:
        return f"-{self.older}" if self.older else "-gpu" if self.is_gpu else ""

    @property
    def package(self) -> str:
        """The framework's package."""
        return re.split(r"[^\w.-]", self.image.gpu)[0] if self.is_gpu else self.image.package

    def version(self) -> str:
        """The public version of the framework in the target's lock, such as `1.9.1`."""
        if version := self.pin(self.package):
            return version
        sys.exit(f"{ROOT / self.lock} does not pin {self.package}, which images.toml names")

    def pin(self, package: str) -> str:
        """The public version of a package in the target's lock; empty if the lock lacks it."""
        lock = ROOT / self.lock
        if not lock.exists():
            sys.exit(f"{lock} is missing: run `make lock`")
        pin = re.search(rf"^{re.escape(package)}==([^\s;+]+)", lock.read_text(), re.MULTILINE)
        return pin[1] if pin else ""

    def contents(self) -> str:
        """Tag and versions, such as `0.2.0-xgboost2.1:xgboost@2.1.4:scikit-learn@1.6.1`."""
        *_, tag = (tag for tag in self.short_tags() if tag.startswith(release()))
        versions = {self.package.removesuffix("-cpu"): self.version(), PICKLING: self.pin(PICKLING)}
        return ":".join([tag, *(f"{name}@{pin}" for name, pin in versions.items() if pin)])

    def known_tags(self) -> str:
        """The `contents` of the tags that an error message may recommend, joined by commas.

        These are the image's targets for the same processor and with older versions.
        """
        every = self.image.targets()
        return ",".join(
            each.contents() for each in every if each.older or each.variant == self.variant
        )

    def short_tags(self) -> list[str]:
        """The tags without the image's name; the first one belongs to the release."""
        minor = ".".join(self.version().split(".")[:2])
        framework = f"{self.image.framework or self.image.package}{minor}"
        if self.older:
            return [f"{release()}-{framework}", f"latest-{framework}"]
        gpu = "-gpu" if self.is_gpu else ""
        return [f"{release()}{gpu}", f"{release()}-{framework}{gpu}", f"latest{gpu}"]

    def tags(self) -> list[str]:
        """The tags with the image's name and registry."""
        return [f"{repository(self.image)}:{tag}" for tag in self.short_tags()]

    def build_arguments(self) -> dict[str, str]:
        """The values of the Dockerfile's ARGs, by name."""
        return {
            "IMAGE": self.tags()[0],
            "RELEASE": release(),
            "REQUIREMENTS": self.lock.name,
            "FRAMEWORK": self.package,
            "FRAMEWORK_VERSION": self.version(),
            "TAGS": self.known_tags(),
        }

    def is_touched_by(self, file: str) -> bool:
        """Whether a change of the file may affect this build or its tests."""
        if OF_NO_TARGET.fullmatch(file):
            return False
        if re.search(r"/server/requirements[^/]*\.txt$", file):
            return file == str(self.lock)
        of_image = re.match(r"(?:tests/servers/)?([^/]+)/", file)
        return not of_image or of_image[1] not in images() or of_image[1] == self.image.name


def repository(image: Image) -> str:
    """The image's repository in the registry."""
    return f"{REGISTRY}/{image.name}-prepackaged"


def release() -> str:
    """The release of the whole repository."""
    return (ROOT / "VERSION").read_text().strip()


def read_images(text: str) -> dict[str, Image]:
    """Parse the text of images.toml: images by name, in the file's order."""
    try:
        return {name: Image(name, **table) for name, table in tomllib.loads(text).items()}
    except (tomllib.TOMLDecodeError, TypeError) as error:  # TypeError: missing or unknown key
        sys.exit(f"images.toml: {error}")


def images() -> dict[str, Image]:
    """The images of this repository."""
    return read_images((ROOT / "images.toml").read_text())


def targets() -> dict[str, Target]:
    """All targets by name, in the order of images."""
    return {target.name: target for image in images().values() for target in image.targets()}


def find(name: str) -> Target:
    """The target with this name. Exits if there is none."""
    known = targets()
    if name not in known:
        sys.exit(f"no target {name!r} in images.toml, which has: {', '.join(known)}")
    return known[name]


def touched() -> Iterator[Target]:
    """Yield the targets that the files in CHANGED affect; all targets if it is empty."""
    changed = os.environ.get("CHANGED", "").split()
    for target in targets().values():
        if not changed or any(map(target.is_touched_by, changed)):
            yield target


def matrix(of: Iterable[Target]) -> str:
    """The JSON for GitHub's `strategy.matrix`, with an entry for each target."""
    return json.dumps({"include": [{"target": each.name, "variant": each.variant} for each in of]})


def answer(words: list[str]) -> str:
    """The output of the command on the command line."""
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
