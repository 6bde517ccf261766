"""The list of images in images.toml agrees with everything derived from it."""

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
    """Run make and return the completed process."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", images.images())
def test_every_image_has_its_files_and_tests(name: str) -> None:
    """Every image has its files and a test directory of the same name."""
    missing = [file for file in FILES if not (ROOT / name / file).is_file()]

    assert missing == []
    assert list((ROOT / "tests/servers" / name).glob("test_*.py"))


def test_every_dockerfile_belongs_to_an_image() -> None:
    """Every Dockerfile belongs to an image in the list."""
    directories = {path.parent.name for path in ROOT.glob("*/Dockerfile")}

    assert directories == set(images.images())


@pytest.mark.parametrize("name", images.images())
def test_an_image_directory_is_no_package(name: str) -> None:
    """An image's directory is not a package, since sklearn/ would hide the framework."""
    assert list((ROOT / name).rglob("__init__.py")) == []


@pytest.mark.parametrize("name", images.images())
def test_the_lock_holds_the_version_that_was_chosen(name: str) -> None:
    """The framework's version in the lock is pinned in requirements.in."""
    image = images.find(name)
    lines = (ROOT / name / "server/requirements.in").read_text().splitlines()
    chosen = [re.sub(r"(\+\w+)?(  #.*)?$", "", line) for line in lines]

    assert f"{image.package}=={image.version()}" in chosen


@pytest.mark.parametrize("target", images.targets().values(), ids=lambda target: target.name)
def test_a_target_holds_one_framework_of_the_version_that_names_it(target: images.Target) -> None:
    """A target's lock has the version in its name, and no other package of the same image."""
    lock = (ROOT / target.lock).read_text()
    packages = {each.package for each in target.image.targets()}

    assert target.version().startswith(target.older)
    assert [name for name in packages if f"\n{name}==" in lock] == [target.package]
    assert ("\nnvidia-" in lock) == target.is_gpu


def test_every_lock_of_an_image_belongs_to_a_target() -> None:
    """Every lock belongs to a target, so removed targets leave none."""
    locks = {path.relative_to(ROOT) for path in ROOT.glob("*/server/requirements*.txt")}

    assert locks == {target.lock for target in images.targets().values()}


def test_files_are_tied_to_their_version_where_older_versions_are_built() -> None:
    """The last four minor releases of scikit-learn and the last two majors of XGBoost are built."""
    of = {
        name: [target.version() for target in images.images()[name].targets() if not target.is_gpu]
        for name in ("sklearn", "xgboost")
    }

    sklearn = sorted(int(version.split(".")[1]) for version in of["sklearn"])
    xgboost = sorted(int(version.split(".")[0]) for version in of["xgboost"])
    assert sklearn == list(range(sklearn[-1] - 3, sklearn[-1] + 1))
    assert xgboost == [xgboost[-1] - 1, xgboost[-1]]


def test_make_knows_no_other_image() -> None:
    """Make fails for an unknown image or target."""
    verbs, unknown = ("build", "test", "push", "run", "test-model"), ("sklaern", "sklearn-gpu")
    commands = [f"{verb}-{target}" for verb in verbs for target in unknown]

    done = make("-n", "--keep-going", *commands)

    assert done.returncode == 2
    assert re.findall(r"No rule to make target '(.+?)'", done.stderr) == commands


@pytest.mark.parametrize(
    ("command", "variants"), [("build-all", {"cpu", "gpu"}), ("build-cpu", {"cpu"})]
)
def test_make_all_is_one_build_a_target(command: str, variants: set[str]) -> None:
    """Make builds the targets of the list, each from its own lock; `cpu` skips the GPU targets."""
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
    """Make tests every target with its own name."""
    planned = make("-n", command).stdout

    tested = re.findall(r"pytest tests/images --image (\S+)", planned)
    targets = images.targets().values()
    assert tested == [target.name for target in targets if target.variant in variants]


def test_setup_makes_no_environment_of_an_older_version_or_for_gpus() -> None:
    """`make setup` creates no environment for older versions or GPUs, which keeps it quick."""
    made = re.findall(r"tools/environment\.py \.envs/(\S+)", make("-n", "-B", "setup").stdout)

    assert set(made) == {"dev", "upstream", *images.images()}


def test_mlserver_is_made_for_the_benchmark_that_asks_for_it() -> None:
    """`--peer mlserver` creates MLServer's environment, with the image's scikit-learn version."""
    asked = make("-n", "-B", "bench", "BENCH_FLAGS=--quick --peer mlserver").stdout
    not_asked = make("-n", "-B", "bench", "BENCH_FLAGS=--quick").stdout

    assert "tools/environment.py .envs/mlserver bench/mlserver.txt" in asked
    assert ".envs/mlserver" not in not_asked
    pin = f"\nscikit-learn=={images.find('sklearn').version()} "
    assert pin in (ROOT / "bench/mlserver.txt").read_text()


def test_a_targets_model_is_tested_and_served_in_the_targets_environment() -> None:
    """An older target's Model is tested and served in an environment of the target's lock."""
    planned = make("-n", "-B", "test-model-sklearn-1.6").stdout
    served = make("-n", "-B", "run-sklearn-1.6").stdout

    assert ".envs/sklearn-1.6/bin/python tests/pytest_in.py .envs/dev tests/servers/sklearn" in (
        planned.splitlines()
    )
    assert "tools/environment.py .envs/sklearn-1.6 sklearn/server/requirements-1.6.txt" in planned
    assert "tools/environment.py .envs/sklearn-1.6 sklearn/server/requirements-1.6.txt" in served
    assert "tools/run.py sklearn-1.6 " in served


def test_every_older_version_is_tested_by_one_command() -> None:
    """`make test` covers the images' own versions, `test-versions` the older ones without GPU."""
    own, older = make("-n", "test").stdout, make("-n", "test-versions").stdout

    targets = images.targets().values()
    versions = [target.name for target in targets if target.older and not target.is_gpu]
    for planned, names in ((own, list(images.images())), (older, versions)):
        assert re.findall(r"^\.envs/(\S+)/bin/python tests/pytest_in", planned, re.M) == names


PIP_AUDIT = """\
#!/bin/sh
test -e "$ASKED" || status=1  # the first lock is not sound
cat >>"$ASKED"
exit ${status:-0}
"""


def test_an_audit_asks_for_every_pin_of_every_lock(tmp_path: Path) -> None:
    """Every pin of every lock is audited; a lock with a finding is named and stops no other."""
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
    assert "vulnerable, or not looked up: skeleton/server/requirements.txt\n" in done.stderr
    asked = (tmp_path / "asked").read_text().split()
    assert {"seldon-core==1.17.1"} < set(pins) <= set(asked)
    assert [pin for pin in asked if "+" in pin or "hash" in pin] == []


def read(path: str) -> str:
    """The text of a file in the repository."""
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
    """Two builds with a different file mode are not reproducible, and the difference is printed."""
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
    """`make help` lists every command in one line each, and all targets."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (phony,) = (line for line in text.splitlines() if line.startswith(".PHONY:"))
    (verbs,) = (line.split()[2:] for line in text.splitlines() if line.startswith("VERBS :="))
    named = set(phony.split()[1:]) - {"$(ALL)"}

    *commands, targets = make("help").stdout.splitlines()

    assert {line.split()[0] for line in commands} == named | {f"{verb}-<target>" for verb in verbs}
    assert targets.split(": ")[1].split() == list(images.targets())


@pytest.mark.parametrize(("target", "registry"), [("generate", ""), ("deploy", "registry.test")])
def test_an_exported_registry_is_for_deploy_and_not_for_generate(
    target: str, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that the other tests here compare have the default registry."""
    monkeypatch.setenv("REGISTRY", "registry.test")
    shows = ["--eval", "deploy: shown", "--eval", "shown: ; @echo 'for <$(REGISTRY)>'"]

    assert f"for <{registry}>" in make("-n", *shows, target).stdout


def test_the_matrix_has_every_target() -> None:
    """The CI matrix has every target of images.toml."""
    told = json.loads(make("-s", "matrix").stdout)["include"]

    assert [entry["target"] for entry in told] == list(images.targets())


@pytest.mark.parametrize(
    "changed", ["sklearn/server/Model.py", "sklearn/example/train.py docs/a.md"]
)
def test_the_matrix_has_the_targets_that_a_change_touches(changed: str) -> None:
    """The CI matrix for a change has only the targets that it affects."""
    told = json.loads(make("-s", "matrix", f"CHANGED={changed}").stdout)["include"]

    targets = images.images()["sklearn"].targets()
    assert [entry["target"] for entry in told] == [target.name for target in targets]


def test_no_name_of_a_file_is_run(tmp_path: Path) -> None:
    """A file name in CHANGED, which a contributor chooses, is never executed."""
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
    """Every make target in the CI workflow exists, and its matrix comes from make."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert any("make -s matrix" in command for command in commands)

    for command in commands:
        for line in filter(lambda line: line.strip().startswith("make "), command.splitlines()):
            _, words = line.replace("${{ matrix.image }}", "sklearn").split("make ", 1)
            assert unknown_commands(words) == [], line
