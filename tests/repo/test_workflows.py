"""The workflows call only what exists, have the least permissions, and make the right decisions."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from make_commands import unknown_commands

import images

ROOT = images.ROOT
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))
MAKE = re.compile(r"\bmake ((?:-s |\"?[\w$-]++\"?(?!=) ?)+)")
PROGRAM = re.compile(r"\bpython3 (\S+)((?: \w+)*)")
# Write permissions of jobs; all others may only read the repository.
GRANTED = {
    ("nightly.yml", "image"): {"id-token", "attestations"},
    ("release.yml", "image"): {"id-token", "attestations"},
    ("release.yml", "page"): {"contents"},
    ("upgrade.yml", "propose"): {"contents", "pull-requests"},
}


def load(path: Path) -> dict[str, Any]:
    """Parse a workflow or an action."""
    return dict(yaml.safe_load(path.read_text()))


def jobs() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield every job of every workflow."""
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield path, name, job


def steps() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every step of every job and action."""
    for path, _, job in jobs():
        yield from ((path, step) for step in job["steps"])
    for path in ACTIONS:
        yield from ((path, step) for step in load(path)["runs"]["steps"])


def commands() -> Iterator[str]:
    """Yield the command of every step."""
    return (step["run"] for _, step in steps() if "run" in step)


@pytest.mark.parametrize("target", ["sklearn", list(images.targets())[-1]])
def test_every_target_that_is_called_exists(target: str) -> None:
    """Every make target in the workflows exists, tried with two image targets."""
    called = {called[1].strip() for command in commands() for called in MAKE.finditer(command)}
    assert {"ci", "audit", '"ci-image-$TARGET"'} <= called

    for targets in called:
        assert unknown_commands(targets.replace("$TARGET", target).replace('"', "")) == []


def test_every_program_that_is_called_exists() -> None:
    """Every tool that a workflow calls exists, and its source has each word after it."""
    called = {called.groups() for command in commands() for called in PROGRAM.finditer(command)}
    assert called

    for program, words in called:
        assert all(f'"{word}"' in (ROOT / program).read_text() for word in words.split()), program


def test_no_command_is_repeated() -> None:
    """Only make calls the container engine, pip and pytest, so that no command exists twice."""
    engine = re.compile(r"\b(docker|podman|buildah) (?!login)|\bpip install\b|\bpytest\b")

    assert [command for command in commands() if engine.search(command)] == []


def dry_run(*commands: str) -> list[str]:
    """The lines that make would run."""
    done = subprocess.run(
        ["make", "-n", "--no-print-directory", "CONTAINER_CLI=engine", *commands],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def planned(*commands: str) -> list[str]:
    """The programs that make would run, except those that create environments."""
    programs = re.compile(
        r"(\.envs/\S+/bin/\S+ .*|python3 tools/(?!environment).*|engine build .*)"
    )
    return [line for line in dry_run(*commands) if programs.fullmatch(line)]


def test_what_is_not_an_image_is_asked_by_one_list() -> None:
    """.ci/run and the workflows for changes and releases run `make ci` and no other checks."""
    by_hand = re.findall(r"^make (.*?)(?: >.*)?$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert by_hand == ["ci", "base-image", "ci-images"]

    for workflow in ("ci", "release"):
        job = load(ROOT / f".github/workflows/{workflow}.yml")["jobs"]["check"]
        asked = [step["run"] for step in job["steps"] if "make " in step.get("run", "")]
        assert asked[0] == "make ci"
        assert not any(command in " ".join(asked[1:]) for command in ("check", "test"))


def test_a_change_is_measured_by_the_suites_of_the_shared_package() -> None:
    """The workflow for changes runs `make coverage`: each suite of `common`, then the limit."""
    job = load(ROOT / ".github/workflows/ci.yml")["jobs"]["coverage"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make coverage"]
    limit = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]
    assert limit["fail_under"] >= 97

    text = " ".join(dry_run("coverage"))
    suites = ("unit contract server pages", "tests/servers/sklearn")
    assert all(suite in text for suite in suites)
    assert text.endswith(".envs/dev/bin/coverage report")


def test_an_image_is_built_and_tested_by_one_list() -> None:
    """`make ci-images` runs `ci-image-<image>` for each image; the action runs no other tests."""
    action = load(ROOT / ".github/actions/image/action.yml")["runs"]["steps"]
    asked = [step["run"] for step in action if "make " in step.get("run", "")]
    assert asked[0] == 'make "ci-image-$TARGET"'
    assert not any("test" in command for command in asked[1:])

    own = [f"ci-image-{image}" for image in images.images()]
    assert planned("ci-images") == planned(*own)


@pytest.mark.parametrize(
    ("target", "tests"),
    [
        ("onnx", ["tests/images --image onnx"]),
        ("sklearn-1.6", ["tests/servers/sklearn", "tests/images --image sklearn-1.6"]),
        ("onnx-gpu", []),
    ],
)
def test_an_image_is_tested_as_far_as_a_runner_can(target: str, tests: list[str]) -> None:
    """A Model version that `ci` has not tested is tested here; GPU targets are only built."""
    build, *tested = planned(f"ci-image-{target}")

    assert build.startswith("engine build ")
    assert [line[line.rindex("tests/") :] for line in tested] == tests


def test_every_action_is_pinned_to_a_commit() -> None:
    """Actions are pinned to a commit, because tags can be moved; a comment names the release."""
    lines = [
        line
        for path in (*WORKFLOWS, *ACTIONS)
        for line in path.read_text().splitlines()
        if re.search(r"\buses:", line) and "uses: ./" not in line
    ]
    pinned = re.compile(r"uses: [\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")

    assert lines
    assert [line for line in lines if not pinned.search(line)] == []


def test_an_action_has_one_release_everywhere() -> None:
    """All workflows use the same release of an action."""
    used = {step["uses"] for _, step in steps() if "@" in step.get("uses", "")}

    assert len(used) == len({use.partition("@")[0] for use in used})


def test_the_actions_of_this_repository_exist() -> None:
    """Every local action that a workflow uses exists, and every local action is used."""
    used = {step["uses"] for _, step in steps() if step.get("uses", "").startswith("./")}

    assert {ROOT / use / "action.yml" for use in used} == set(ACTIONS)


def test_nothing_is_granted_but_what_is_needed() -> None:
    """Workflows have no permissions, and each job has only the ones in GRANTED."""
    assert [path.name for path in WORKFLOWS if load(path)["permissions"] != {}] == []

    for path, name, job in jobs():
        granted = {scope for scope, level in job["permissions"].items() if level == "write"}
        read = {scope for scope, level in job["permissions"].items() if level == "read"}
        assert granted == GRANTED.get((path.name, name), set())
        assert read <= {"contents"}


def test_a_checkout_leaves_no_token_behind() -> None:
    """No checkout leaves its token for later steps."""
    checkouts = [step for _, step in steps() if "actions/checkout@" in step.get("uses", "")]

    assert len(checkouts) >= len(WORKFLOWS)
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_secrets_are_those_of_the_registrys_environment() -> None:
    """Only jobs in GitHub's environment `registry` get secrets, so only they can push images."""
    told = [(path, name, job) for path, name, job in jobs() if "secrets." in json.dumps(job)]

    assert {(path.name, name) for path, name, _ in told} == {
        ("nightly.yml", "image"),
        ("release.yml", "image"),
    }
    assert all(job["environment"] == "registry" for *_, job in told)


def test_no_job_runs_for_ever_or_twice() -> None:
    """Each job has a timeout, and each workflow has a concurrency rule."""
    assert [name for _, name, job in jobs() if "timeout-minutes" not in job] == []
    assert [path.name for path in WORKFLOWS if "concurrency" not in load(path)] == []


def test_whatever_pushes_tags_waits_for_the_other() -> None:
    """Release and nightly run one after the other, so that neither overwrites the other's tags."""
    groups = {
        name: load(ROOT / f".github/workflows/{name}.yml")["concurrency"]
        for name in ("release", "nightly")
    }

    assert groups["release"] == groups["nightly"]
    assert groups["release"]["cancel-in-progress"] is False


def test_the_required_job_needs_all_others() -> None:
    """The job that the branch protection requires needs all other jobs and always runs."""
    ci = load(ROOT / ".github/workflows/ci.yml")["jobs"]
    required = ci.pop("all-green")

    assert sorted(required["needs"]) == sorted(ci)
    assert required["if"] == "always()"


@pytest.mark.parametrize(("red", "status"), [("false", 0), ("true", 1), ("", 1)])
def test_the_required_job_is_red_where_one_is(red: str, status: int) -> None:
    """The required job fails unless RED is `false`."""
    (step,) = load(ROOT / ".github/workflows/ci.yml")["jobs"]["all-green"]["steps"]
    assert set(step["env"]) == {"RED"}

    done = subprocess.run(["bash", "-e", "-c", step["run"]], env={"RED": red}, check=False)

    assert done.returncode == status


def test_dependabot_looks_after_every_action() -> None:
    """Dependabot's directories include every action; `/` covers only the workflows."""
    (update,) = load(ROOT / ".github/dependabot.yml")["updates"]
    assert update["package-ecosystem"] == "github-actions"

    for place in ["/", *(f"/{path.parent.relative_to(ROOT)}" for path in ACTIONS)]:
        assert any(fnmatch(place, each) for each in update["directories"]), place


def run_step(command: str, directory: Path, **environment: str) -> dict[str, str]:
    """Run a step's script in a directory, with programs from its `bin`, and return the outputs."""
    output = directory / "output"
    output.touch()
    path = f"{directory}/bin:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=directory,
        env={"PATH": path, "GITHUB_OUTPUT": str(output), **environment},
        check=True,
    )
    told = dict(line.split("=", 1) for line in output.read_text().splitlines())
    output.unlink()
    return told


def script(place: str, word: str) -> str:
    """The only script that contains the word in a workflow or an action."""
    of_actions = load(ROOT / ".github" / place)
    jobs = of_actions.get("jobs", {"": of_actions.get("runs")}).values()
    (found,) = (step["run"] for job in jobs for step in job["steps"] if word in step.get("run", ""))
    return str(found)


def put_program(directory: Path, name: str, text: str) -> None:
    """Write a program that run_step puts on the PATH."""
    program = directory / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def plan(event: str, directory: Path) -> list[str]:
    """The targets that the step of ci.yml plans for an event in a clone."""
    command = script("workflows/ci.yml", "matrix")
    told = run_step(command, directory, GITHUB_EVENT_NAME=event)["matrix"]
    return [entry["target"] for entry in json.loads(told)["include"]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit that has all files that the plan reads."""
    needed = ["Makefile", "VERSION", "images.toml", "tools", ".gitignore"]
    needed += [str(target.lock) for target in images.targets().values()]
    copy = ["cp", "--recursive", "--parents", *needed, tmp_path]
    subprocess.run(copy, cwd=ROOT, check=True)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(directory: Path, *arguments: str) -> None:
    """Run git with a made-up author."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=directory, check=True)


def commit(directory: Path) -> None:
    """Commit all files."""
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "--message", "a")


def test_a_pull_request_builds_what_it_touches(clone: Path) -> None:
    """A pull request builds the targets whose files differ from main; a push builds all."""
    (clone / "onnx/server/Model.py").write_text("# faster\n")
    (clone / "docs").mkdir()
    (clone / "docs/on speed.md").write_text("It is faster.\n")
    commit(clone)

    assert plan("pull_request", clone) == ["onnx", "onnx-gpu"]
    assert plan("push", clone) == list(images.targets())


def test_a_pull_request_of_documents_builds_nothing(clone: Path) -> None:
    """A pull request that changes only documents skips the image jobs."""
    (clone / "README.md").write_text("# Servers\n")
    commit(clone)

    assert plan("pull_request", clone) == []
    condition = load(ROOT / ".github/workflows/ci.yml")["jobs"]["image"]["if"]
    assert condition == "join(fromJson(needs.plan.outputs.matrix).include.*.target) != ''"


def test_the_base_image_is_named_by_its_digest(tmp_path: Path) -> None:
    """`make base` prints the base image of the Dockerfiles with the registry's digest."""
    put_program(tmp_path, "skopeo", 'echo "$@" >"$CALL"; echo sha256:2e')
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    call = tmp_path / "call"
    done = subprocess.run(
        ["make", "-s", "base"],
        cwd=ROOT,
        env=os.environ | {"PATH": path, "CALL": str(call)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"python:3\.11-slim-\w+@sha256:2e\n", done.stdout)
    assert call.read_text().endswith(f" docker://{done.stdout.partition('@')[0]}\n")


SKOPEO = """\
case "$*" in
*skeleton*) echo "manifest unknown" >&2; exit 1 ;;
*onnx*gpu) echo sha256:01 ;;
*) echo sha256:2e ;;
esac
"""


def test_images_on_another_base_are_outdated(tmp_path: Path) -> None:
    """Images with another base digest in their label, or missing in the registry, are rebuilt."""
    put_program(tmp_path, "skopeo", SKOPEO)
    done = subprocess.run(
        ["make", "-s", "outdated", "BASE_IMAGE=python:3.11-slim-bookworm@sha256:2e"],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [entry["target"] for entry in json.loads(done.stdout)["include"]] == [
        "skeleton",
        "onnx-gpu",
    ]
    assert "manifest unknown" in done.stderr


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        ("", "docker.io"),
        ("infuseai", "docker.io"),
        ("docker.io/infuseai", "docker.io"),
        ("ghcr.io/infuseai", "ghcr.io"),
        ("localhost/models", "localhost"),
        ("registry:5000/models", "registry:5000"),
    ],
)
def test_who_pushes_logs_in_at_the_registrys_host(tmp_path: Path, registry: str, host: str) -> None:
    """A host has a dot, a port or is localhost: https://github.com/distribution/reference."""
    put_program(tmp_path, "docker", 'echo "$@" "$(cat)" >call')
    command = script("actions/publish/action.yml", "docker login")

    run_step(command, tmp_path, REGISTRY=registry, USERNAME="ann", PASSWORD="secret")

    assert (tmp_path / "call").read_text() == (
        f"login --username ann --password-stdin {host} secret\n"
    )


def test_an_attestation_is_about_the_pushed_images_digest(clone: Path) -> None:
    """The attestation's name and digest are those that Skopeo returns for the first tag."""
    put_program(clone, "skopeo", 'echo "$@" >call; echo name=docker.io/a; echo digest=sha256:1f')
    command = script("actions/publish/action.yml", "skopeo")

    told = run_step(command, clone, TARGET="sklearn", REGISTRY="ghcr.io/a")

    assert told == {"name": "docker.io/a", "digest": "sha256:1f"}
    assert (clone / "call").read_text().split()[-1] == (
        f"docker://ghcr.io/a/sklearn-prepackaged:{images.release()}"
    )


def test_the_nightly_rebuild_is_of_the_highest_version(clone: Path) -> None:
    """The nightly job rebuilds the highest version (1.10 is above 1.9), no release candidate."""
    command = script("workflows/nightly.yml", "git checkout")
    with pytest.raises(subprocess.CalledProcessError):
        run_step(command, clone)  # there is no release yet

    for tag in ("v1.10.0", "v1.9.0", "v2.0.0-rc1", "nightly"):
        git(clone, "tag", tag)

    assert run_step(command, clone) == {"tag": "v1.10.0"}
