"""The contents of the built image."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from containers import engine
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import images

BASE = "org.opencontainers.image.base.name"
METADATA = """
from importlib.metadata import distributions
print(*sorted(f"{each.name}=={each.version}" for each in distributions()), sep="\\n")
"""
# Inode, size and path of each file below directories, where there are any, without what is mounted.
LIST = """\
for place; do test ! -e "$place" || find "$place" -xdev -type f -printf '%i %s %p\\n'; done
"""
FOR_DEVELOPERS = re.compile(r"/tests/|/site-packages/(?!nvidia/|triton/).*\.(h|hpp|c|cpp|pyx|a)$")


@pytest.fixture(scope="module")
def sbom(image: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The components in the file of `make sbom-<target>`, which must be valid CycloneDX 1.6."""
    file = tmp_path_factory.mktemp("sbom") / "image.cdx.json"
    command = [".envs/dev/bin/python", "tools/sbom.py", image, str(file)]
    subprocess.run(command, cwd=images.ROOT, check=True)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(file.read_text()) is None
    components: list[dict[str, str]] = json.loads(file.read_text())["components"]
    return components


def test_the_image_adds_no_more_than_its_limit(image: str, tag: str) -> None:
    """The image is within its limit in images.toml; GPU variants have none."""
    target = images.find(image)
    added = weight(tag, "/") - weight(labels_of(tag)[BASE], "/")

    limit = target.image.megabytes * 1_000_000  # a fork's image may have none
    assert target.is_gpu or not limit or added <= limit


def labels_of(tag: str) -> dict[str, str]:
    """Return the labels of an image."""
    (described,) = json.loads(engine("image", "inspect", tag).stdout)
    return dict(described["Config"]["Labels"])


def files(tag: str, *directories: str) -> dict[str, tuple[str, int]]:
    """Return inode and size of each file below directories of an image."""
    command = ["run", "--rm", "--user", "0", tag, "sh", "-ec", LIST, "sh", *directories]
    lines = (line.split(" ", 2) for line in engine(*command).stdout.splitlines())
    return {path: (inode, int(size)) for inode, size, path in lines}


def weight(tag: str, *directories: str) -> int:
    """Return the bytes of the files below directories, each once if it has several names."""
    return sum(size for _, size in set(files(tag, *directories).values()))


def test_the_environment_contains_nothing_for_developers(tag: str) -> None:
    """The environment has no tests of dependencies, no headers and no C sources."""
    assert [path for path in files(tag, "/opt/venv") if FOR_DEVELOPERS.search(path)] == []


def test_no_cache_is_shipped(tag: str) -> None:
    """The image has no caches of pip, uv or apt beyond those of its base."""
    places = ("/root", "/build", "/cache", "/opt/package", "/var/lib/apt/lists")

    assert weight(tag, *places) == weight(labels_of(tag)[BASE], *places)


def test_the_labels_tell_what_the_image_is_made_of(image: str, tag: str) -> None:
    """Labels are OCI's: https://github.com/opencontainers/image-spec/blob/main/annotations.md."""
    labels = labels_of(tag)
    target = images.find(image)

    assert labels["org.opencontainers.image.version"] == images.release()
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert re.fullmatch("([0-9a-f]{40}(-dirty)?)?", labels["org.opencontainers.image.revision"])
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"]
    )
    base = os.environ.get("BASE_IMAGE") or "python:3.11-slim-bookworm"
    assert labels[BASE] == base
    assert labels.get("org.opencontainers.image.base.digest", "") == base.partition("@")[2]
    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert labels["io.infuseai.prepackaged.framework"] == target.package
    assert labels["io.infuseai.prepackaged.framework.version"] == target.version()


def test_the_sbom_lists_each_package_that_the_image_has(
    tag: str, sbom: list[dict[str, str]]
) -> None:
    """The SBOM lists every package that is installed in a container."""
    listed = {
        f"{each['name']}=={each['version']}"
        for each in sbom
        if each.get("purl", "").startswith("pkg:pypi/")
    }
    installed = engine("run", "--rm", tag, "python", "-c", METADATA).stdout.split()

    assert listed >= set(installed) - {f"prepackaged=={images.release()}"}
    assert {each["name"] for each in sbom} >= {"prepackaged", "python", "libc6"}


def test_bytecode_is_shipped_for_every_module(tag: str) -> None:
    """Every module has bytecode, so that containers with a read-only root start as fast."""
    found = files(tag, "/opt/venv/lib")
    sources = {str(cache_of(Path(path))): path for path in found if path.endswith(".py")}
    missing = [sources[cache] for cache in sources.keys() - found.keys()]

    assert [path for path in missing if is_for_this_python(tag, path)] == []


def cache_of(module: Path) -> Path:
    """The path of a module's bytecode."""
    return module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"


def is_for_this_python(tag: str, path: str) -> bool:
    """Return whether this Python can compile the module."""
    compiles = ["run", "--rm", tag, "python", "-c", f"compile(open({path!r}).read(), 'm', 'exec')"]
    return engine(*compiles, check=False).returncode == 0
