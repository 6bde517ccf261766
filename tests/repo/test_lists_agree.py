"""One list of images, in images.toml, and everything else follows it."""

import json
import re
import subprocess

import pytest
import yaml

import images

ROOT = images.ROOT
FILES = [
    "Dockerfile",
    "README.md",
    "example/request.json",
    "server/Model.py",
    "server/requirements.in",
    "server/requirements.txt",
]


def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run make and give what it did."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", images.images())
def test_every_image_has_its_files_and_tests(name: str) -> None:
    """An image is a directory and a test directory of the same name."""
    missing = [file for file in FILES if not (ROOT / name / file).is_file()]

    assert missing == []
    assert list((ROOT / "tests/servers" / name).glob("test_*.py"))


def test_every_dockerfile_belongs_to_an_image() -> None:
    """No image is built by hand beside the list."""
    directories = {path.parent.name for path in ROOT.glob("*/Dockerfile")}

    assert directories == set(images.images())


@pytest.mark.parametrize("name", images.images())
def test_an_image_directory_is_no_package(name: str) -> None:
    """sklearn/ and its like would hide the framework of the same name."""
    assert list((ROOT / name).rglob("__init__.py")) == []


@pytest.mark.parametrize("name", images.images())
def test_the_lock_holds_the_version_that_was_chosen(name: str) -> None:
    """The framework's version is written in requirements.in and compiled into the lock."""
    image = images.find(name)
    lines = (ROOT / name / "server/requirements.in").read_text().splitlines()
    chosen = [re.sub(r"(\+\w+)?(  #.*)?$", "", line) for line in lines]

    assert f"{image.package}=={image.version()}" in chosen


def test_make_knows_no_other_image() -> None:
    """A typo is told, not built."""
    for verb in ("build", "test", "push", "run"):
        done = make("-n", f"{verb}-sklaern")
        assert done.returncode == 2
        assert f"No rule to make target '{verb}-sklaern'" in done.stderr


def test_make_all_is_one_build_an_image() -> None:
    """build-all, test-all and push-all come from the same list."""
    planned = make("-n", "build-all", "CONTAINER_CLI=engine").stdout

    for name, image in images.images().items():
        assert planned.count(f"--file {name}/Dockerfile") == 1
        for tag in image.tags():
            assert f"--tag {tag}" in planned
    assert planned.count("engine build") == len(images.images())


def test_help_lists_every_target() -> None:
    """Whoever types `make help` sees all there is, one line each."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (phony,) = (line for line in text.splitlines() if line.startswith(".PHONY:"))
    verbs = {"build", "test", "push", "run", "test-model"}
    of_images = {f"{verb}-{{{','.join(images.images())}}}" for verb in verbs}
    named = set(phony.split()[1:]) - {"$(ALL)"}

    listed = {line.split()[0] for line in make("help").stdout.splitlines()}

    assert listed == named | of_images


def test_the_matrix_has_every_image() -> None:
    """CI builds what images.toml lists."""
    assert json.loads(make("-s", "matrix").stdout) == {"image": list(images.images())}


def test_ci_calls_make_targets_that_exist() -> None:
    """The workflow repeats no command: it calls make, with the matrix that make prints."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert any("make -s matrix" in command for command in commands)

    for command in commands:
        for line in filter(lambda line: line.strip().startswith("make "), command.splitlines()):
            called = line.replace("${{ matrix.image }}", "sklearn").split()[1:]
            assert make("-n", *called).returncode == 0, line
