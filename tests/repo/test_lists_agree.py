"""One list of images, in images.toml, and everything else follows it."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from make_commands import unknown_commands

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


@pytest.mark.parametrize("target", images.targets().values(), ids=lambda target: target.name)
def test_a_target_holds_one_framework_of_the_version_that_names_it(target: images.Target) -> None:
    """An older target's version is its name's, and none has another's package beside its own."""
    lock = (ROOT / target.lock).read_text()
    packages = {each.package for each in target.image.targets()}

    assert target.version().startswith(target.older)
    assert [name for name in packages if f"\n{name}==" in lock] == [target.package]
    assert ("\nnvidia-" in lock) == target.is_gpu


def test_every_lock_of_an_image_belongs_to_a_target() -> None:
    """What was once a target leaves no lock behind."""
    locks = {path.relative_to(ROOT) for path in ROOT.glob("*/server/requirements*.txt")}

    assert locks == {target.lock for target in images.targets().values()}


def test_files_are_tied_to_their_version_where_older_versions_are_built() -> None:
    """The last four minor releases of scikit-learn, and the last two majors of XGBoost."""
    of = {
        name: [target.version() for target in images.images()[name].targets() if not target.is_gpu]
        for name in ("sklearn", "xgboost")
    }

    sklearn = sorted(int(version.split(".")[1]) for version in of["sklearn"])
    xgboost = sorted(int(version.split(".")[0]) for version in of["xgboost"])
    assert sklearn == list(range(sklearn[-1] - 3, sklearn[-1] + 1))
    assert xgboost == [xgboost[-1] - 1, xgboost[-1]]


def test_make_knows_no_other_image() -> None:
    """A typo is an error."""
    verbs, unknown = ("build", "test", "push", "run", "test-model"), ("sklaern", "sklearn-gpu")
    commands = [f"{verb}-{target}" for verb in verbs for target in unknown]

    done = make("-n", "--keep-going", *commands)

    assert done.returncode == 2
    assert re.findall(r"No rule to make target '(.+?)'", done.stderr) == commands


@pytest.mark.parametrize(
    ("command", "variants"), [("build-all", {"cpu", "gpu"}), ("build-cpu", {"cpu"})]
)
def test_make_all_is_one_build_a_target(command: str, variants: set[str]) -> None:
    """What is built comes from the list, each target from its own lock; `cpu` leaves GPUs out."""
    said = make("-n", command, "CONTAINER_CLI=engine").stdout.replace("\\\n", " ").splitlines()
    planned = [" ".join(line.split()) for line in said if line.startswith("engine build")]
    targets = [target for target in images.targets().values() if target.variant in variants]

    for line, target in zip(planned, targets, strict=True):
        assert f"--file {target.image.name}/Dockerfile " in line
        assert f"--build-arg REQUIREMENTS={target.lock.name} " in line
        assert line.endswith(" ".join(f"--tag {tag}" for tag in target.tags()) + " .")


@pytest.mark.parametrize(
    ("command", "variants"), [("test-all", {"cpu", "gpu"}), ("test-cpu", {"cpu"})]
)
def test_every_target_that_is_built_is_tested(command: str, variants: set[str]) -> None:
    """The tests of the images get the target, and its environment trains the example."""
    planned = make("-n", command).stdout

    tested = re.findall(r"pytest tests/images --image (\S+)", planned)
    targets = images.targets().values()
    assert tested == [target.name for target in targets if target.variant in variants]


def test_setup_makes_no_environment_of_an_older_version_or_for_gpus() -> None:
    """They are made when they are asked for: `setup` stays quick."""
    made = re.findall(r"tools/environment\.py \.envs/(\S+)", make("-n", "-B", "setup").stdout)

    assert set(made) == {"dev", "upstream", *images.images()}


def test_mlserver_is_made_for_the_benchmark_that_asks_for_it() -> None:
    """With scikit-learn as the image has it, which trains the models of both."""
    asked = make("-n", "-B", "bench", "BENCH_FLAGS=--quick --peer mlserver").stdout
    not_asked = make("-n", "-B", "bench", "BENCH_FLAGS=--quick").stdout

    assert "tools/environment.py .envs/mlserver bench/mlserver.txt" in asked
    assert ".envs/mlserver" not in not_asked
    pin = f"\nscikit-learn=={images.find('sklearn').version()} "
    assert pin in (ROOT / "bench/mlserver.txt").read_text()


def test_a_targets_model_is_tested_and_served_in_the_targets_environment() -> None:
    """The environment is made of the target's lock, the tests are the image's."""
    planned = make("-n", "-B", "test-model-sklearn-1.6").stdout
    served = make("-n", "-B", "run-sklearn-1.6").stdout

    assert ".envs/sklearn-1.6/bin/python tools/pytest_in.py .envs/dev tests/servers/sklearn" in (
        planned.splitlines()
    )
    assert "tools/environment.py .envs/sklearn-1.6 sklearn/server/requirements-1.6.txt" in planned
    assert "tools/environment.py .envs/sklearn-1.6 sklearn/server/requirements-1.6.txt" in served
    assert "tools/run.py sklearn-1.6 " in served


def test_every_older_version_is_tested_by_one_command() -> None:
    """`test` takes the images' own versions, `test-versions` the rest that needs no GPU."""
    own, older = make("-n", "test").stdout, make("-n", "test-versions").stdout

    targets = images.targets().values()
    versions = [target.name for target in targets if target.older and not target.is_gpu]
    for planned, names in ((own, list(images.images())), (older, versions)):
        assert re.findall(r"^\.envs/(\S+)/bin/python tools/pytest_in", planned, re.M) == names


PIP_AUDIT = """\
#!/bin/sh
test -e "$ASKED" || status=1  # the first lock is not sound
cat >>"$ASKED"
exit ${status:-0}
"""


def test_an_audit_asks_for_every_pin_of_every_lock(tmp_path: Path) -> None:
    """By its public version; one lock that is not sound stops no other, and is named."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pip-audit").write_text(PIP_AUDIT)
    (tmp_path / "bin/pip-audit").chmod(0o755)
    (tmp_path / ".made").touch()
    done = subprocess.run(
        ["make", "-s", "audit", f"DEV={tmp_path}"],
        cwd=ROOT,
        env=os.environ | {"ASKED": str(tmp_path / "asked")},
        capture_output=True,
        text=True,
        check=False,
    )
    locks = [*(str(target.lock) for target in images.targets().values()), "tools/protoc.txt"]
    pins = re.findall(r"^([\w.-]+==[\w.]+)", "\n".join(map(read, locks)), re.MULTILINE)

    assert done.returncode == 2
    assert "not sound, or not looked up: skeleton/server/requirements.txt\n" in done.stderr
    asked = (tmp_path / "asked").read_text().split()
    assert {"seldon-core==1.17.1"} < set(pins) <= set(asked)
    assert [pin for pin in asked if "+" in pin or "hash" in pin] == []


def read(path: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / path).read_text()


ENGINE = """\
#!/bin/sh
case "$1 $*" in
build*) ;;
run*localhost/again*) echo "/app/Model.py $MODE 0:0" ;;
run*) echo "/app/Model.py -rw-r--r-- 0:0" ;;
esac
"""


@pytest.mark.parametrize(("mode", "status"), [("-rw-r--r--", 0), ("-rw-------", 2)])
def test_builds_that_differ_in_a_file_are_not_reproducible(
    tmp_path: Path, mode: str, status: int
) -> None:
    """What two builds hold is compared file by file, and what differs is printed."""
    engine = tmp_path / "engine"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "reproducible-onnx", f"CONTAINER_CLI={engine}"],
        cwd=ROOT,
        env=os.environ | {"MODE": mode},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert (f"> /app/Model.py {mode}" in done.stdout) == (status == 2)
    assert ("are the same" in done.stdout) == (status == 0)


def test_help_lists_every_command() -> None:
    """`make help` lists every command in one line each."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (phony,) = (line for line in text.splitlines() if line.startswith(".PHONY:"))
    (verbs,) = (line.split()[2:] for line in text.splitlines() if line.startswith("VERBS :="))
    named = set(phony.split()[1:]) - {"$(ALL)"}

    *commands, targets = make("help").stdout.splitlines()

    assert {line.split()[0] for line in commands} == named | {f"{verb}-<target>" for verb in verbs}
    assert targets.split(": ")[1].split() == list(images.targets())


def test_the_matrix_has_every_target() -> None:
    """CI builds what images.toml lists."""
    told = json.loads(make("-s", "matrix").stdout)["include"]

    assert [entry["target"] for entry in told] == list(images.targets())


@pytest.mark.parametrize(
    "changed", ["sklearn/server/Model.py", "sklearn/example/train.py docs/a.md"]
)
def test_the_matrix_has_the_targets_that_a_change_touches(changed: str) -> None:
    """CI names the files of a change, and builds no more than it must."""
    told = json.loads(make("-s", "matrix", f"CHANGED={changed}").stdout)["include"]

    targets = images.images()["sklearn"].targets()
    assert [entry["target"] for entry in told] == [target.name for target in targets]


def test_no_name_of_a_file_is_run(tmp_path: Path) -> None:
    """Who proposes a change chooses its files' names; the environment hands them on unread."""
    trap = tmp_path / "trap"
    name = f"`touch {trap}`;$(shell touch {trap})"
    done = subprocess.run(
        ["make", "-s", "matrix"],
        cwd=ROOT,
        env=os.environ | {"CHANGED": name},
        capture_output=True,
        check=True,
    )

    assert json.loads(done.stdout)["include"]
    assert not trap.exists()


def test_ci_calls_make_targets_that_exist() -> None:
    """The workflow repeats no command: it calls make, with the matrix that make prints."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert any("make -s matrix" in command for command in commands)

    for command in commands:
        for line in filter(lambda line: line.strip().startswith("make "), command.splitlines()):
            _, words = line.replace("${{ matrix.image }}", "sklearn").split("make ", 1)
            assert unknown_commands(words) == [], line
