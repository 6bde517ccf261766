import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import images
import pages

ROOT = Path(__file__).parents[2]
TWO_IMAGES = """\
[alpha]
summary = "Alpha models"
package = "scikit-learn"
framework = "sklearn"
gpu = "cuml[cuda]"

[alpha.versions]
"1.8" = []
"1.6" = ["scipy<1.16"]

[beta]
summary = "Beta models"
package = "seldon-core"
"""
TARGETS = ["alpha", "alpha-1.8", "alpha-1.6", "alpha-gpu", "beta"]
# the part of the build arguments that lists the release's tags
NEWEST = "0.3.0-sklearn1.9:scikit-learn@1.9.1"
OLDER = "0.3.0-sklearn1.8:scikit-learn@1.8.0,0.3.0-sklearn1.6:scikit-learn@1.6.1"
# the grammar of image references: https://github.com/distribution/reference
TAG = re.compile(r"[a-z0-9./:-]+/[a-z0-9]+([._-][a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of two images with their locks and the tool."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/images.py", tmp_path / "tools")
    (tmp_path / "images.toml").write_text(TWO_IMAGES)
    (tmp_path / "VERSION").write_text("0.3.0\n")
    write_lock(tmp_path, "alpha", "scikit-learn==1.9.1 \\\n    --hash=sha256:00\n")
    write_lock(tmp_path, "alpha", "scikit-learn==1.8.0 \\\n", "-1.8")
    write_lock(tmp_path, "alpha", "scikit-learn==1.6.1 \\\n", "-1.6")
    write_lock(tmp_path, "alpha", "cuml==26.2.0 \\\nscikit-learn==1.9.1 \\\n", "-gpu")
    write_lock(tmp_path, "beta", "my-seldon-core==7\nseldon-core==1.17.1+prepackaged \\\n")
    return tmp_path


def write_lock(repository: Path, image: str, text: str, mark: str = "") -> None:
    """Write the lock of an image or of one of its targets."""
    lock = repository / image / f"server/requirements{mark}.txt"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(text)


def ask(repository: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    """Run the tool, and return its exit status, output and errors."""
    unset = {"REGISTRY", "CHANGED"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    completed = subprocess.run(
        [sys.executable, "tools/images.py", *words],
        cwd=repository,
        env=environment | variables,
        capture_output=True,
        text=True,
    )
    return completed.returncode, completed.stdout, completed.stderr


# images.toml


def test_the_images_are_read_in_their_order() -> None:
    """Each table of the file is an image, in the file's order."""
    found = images.read_images(TWO_IMAGES)
    assert list(found) == ["alpha", "beta"]
    assert found["beta"] == images.Image("beta", "Beta models", "seldon-core")


def test_an_image_has_a_target_for_itself_for_each_older_version_and_for_gpus() -> None:
    """An image has a target for itself, for each older version and for GPUs."""
    read = images.read_images(TWO_IMAGES).values()
    targets = [target for image in read for target in image.targets()]
    assert [target.name for target in targets] == TARGETS
    assert [target.package for target in targets] == [*["scikit-learn"] * 3, "cuml", "seldon-core"]
    assert [target.variant for target in targets] == ["cpu", "cpu", "cpu", "gpu", "cpu"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[alpha]\nsummary = "Alpha models"', "missing 1 required .* 'package'"),
        ('[alpha]\nsummary = "A"\npackage = "a"\nports = [9000]', "unexpected .* 'ports'"),
        ('alpha = "Alpha models"', "must be a mapping, not str"),
        ('[[alpha]]\nsummary = "Alpha models"\npackage = "a"', "must be a mapping, not list"),
    ],
    ids=["a key missing", "a key too many", "no table", "a list of tables"],
)
def test_a_table_must_have_exactly_the_expected_keys(text: str, told: str) -> None:
    """Unknown and missing keys are errors."""
    with pytest.raises(SystemExit, match=rf"^images\.toml: .*{told}"):
        images.read_images(text)


def test_invalid_toml_is_refused() -> None:
    """The error for invalid TOML contains the line number."""
    with pytest.raises(SystemExit, match=r"images\.toml: .*line 2"):
        images.read_images("[alpha]\nsummary = oops\n")


# The command line


def test_targets_are_printed_on_one_line(repository: Path) -> None:
    """The command `targets` prints the targets and their locks on one line, for the Makefile."""
    assert ask(repository, "targets") == (
        0,
        (
            "alpha:alpha/server/requirements.txt"
            " alpha-1.8:alpha/server/requirements-1.8.txt"
            " alpha-1.6:alpha/server/requirements-1.6.txt"
            " alpha-gpu:alpha/server/requirements-gpu.txt"
            " beta:beta/server/requirements.txt\n"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("target", "tags"),
    [
        ("alpha", ["0.3.0", "0.3.0-sklearn1.9", "latest"]),
        ("alpha-1.6", ["0.3.0-sklearn1.6", "latest-sklearn1.6"]),
        ("alpha-gpu", ["0.3.0-gpu", "0.3.0-sklearn26.2-gpu", "latest-gpu"]),
        # A tag cannot contain a local version's plus sign, and other packages' pins do not count.
        ("beta", ["0.3.0", "0.3.0-seldon-core1.17", "latest"]),
    ],
)
def test_tags_name_the_release_the_framework_and_the_latest(
    repository: Path, target: str, tags: list[str]
) -> None:
    """The version in a tag is the one that the target's lock pins."""
    image = target.partition("-")[0]
    names = " ".join(f"infuseai/{image}-prepackaged:{tag}" for tag in tags)
    assert ask(repository, "tags", target) == (0, f"{names}\n", "")


@pytest.mark.parametrize(
    ("registry", "first"),
    [
        (None, "infuseai/alpha-prepackaged:0.3.0"),
        ("", "infuseai/alpha-prepackaged:0.3.0"),
        (
            "registry.example.com:5000/team",
            "registry.example.com:5000/team/alpha-prepackaged:0.3.0",
        ),
    ],
)
def test_the_registry_comes_from_the_environment(
    repository: Path, registry: str | None, first: str
) -> None:
    """REGISTRY sets the registry; the default is infuseai."""
    variables = {} if registry is None else {"REGISTRY": registry}
    _, output, _ = ask(repository, "tags", "alpha", **variables)
    assert output.split()[0] == first


def test_the_tags_of_this_repository_are_tags() -> None:
    """All tags of this repository are valid and unique."""
    tags = [tag for target in images.targets().values() for tag in target.tags()]
    assert len(tags) >= 2 * len(images.targets())
    assert len(set(tags)) == len(tags)
    assert [tag for tag in tags if not TAG.fullmatch(tag)] == []


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (
            "alpha",
            (
                "IMAGE=infuseai/alpha-prepackaged:0.3.0 RELEASE=0.3.0"
                " REQUIREMENTS=requirements.txt"
                f" FRAMEWORK=scikit-learn FRAMEWORK_VERSION=1.9.1 TAGS={NEWEST},{OLDER}"
            ),
        ),
        (
            "alpha-1.6",
            (
                "IMAGE=infuseai/alpha-prepackaged:0.3.0-sklearn1.6 RELEASE=0.3.0"
                " REQUIREMENTS=requirements-1.6.txt"
                f" FRAMEWORK=scikit-learn FRAMEWORK_VERSION=1.6.1 TAGS={NEWEST},{OLDER}"
            ),
        ),
        (
            "alpha-gpu",
            (
                "IMAGE=infuseai/alpha-prepackaged:0.3.0-gpu RELEASE=0.3.0"
                " REQUIREMENTS=requirements-gpu.txt"
                " FRAMEWORK=cuml FRAMEWORK_VERSION=26.2.0"
                f" TAGS={OLDER},0.3.0-sklearn26.2-gpu:cuml@26.2.0:scikit-learn@1.9.1"
            ),
        ),
    ],
)
def test_build_arguments_name_the_image_the_release_and_the_lock(
    repository: Path, target: str, arguments: str
) -> None:
    """The build arguments name the image, the release, the lock and the framework."""
    assert ask(repository, "args", target) == (0, f"{arguments}\n", "")


def touched(repository: Path, **variables: str) -> list[str]:
    """Return the targets in the matrix."""
    matrix = json.loads(ask(repository, "matrix", **variables)[1])
    return [entry["target"] for entry in matrix["include"]]


def test_the_matrix_is_json_with_an_entry_for_each_target(repository: Path) -> None:
    """The command `matrix` prints the JSON for GitHub's `strategy.matrix`."""
    status, output, _ = ask(repository, "matrix")
    entries = json.loads(output)["include"]
    assert status == 0
    assert [entry["target"] for entry in entries] == TARGETS
    assert entries[2] == {"target": "alpha-1.6", "variant": "cpu"}
    assert entries[3] == {"target": "alpha-gpu", "variant": "gpu"}


@pytest.mark.parametrize(
    "file",
    [
        *("common/src/prepackaged/component.py", "tools/environment.py", "Makefile", "VERSION"),
        *(
            "images.toml",
            ".dockerignore",
            ".ci/run",
            ".github/workflows/ci.yml",
            "tests/serving.py",
        ),
        *("tests/images/conftest.py", "tests/contract/test_wire.py", "a-file-that-is-new"),
    ],
)
def test_a_shared_file_affects_every_target(repository: Path, file: str) -> None:
    """A change of a shared or unknown file affects all targets."""
    assert touched(repository, CHANGED=file) == TARGETS


@pytest.mark.parametrize(
    ("changed", "targets"),
    [
        ("alpha/server/Model.py", ["alpha", "alpha-1.8", "alpha-1.6", "alpha-gpu"]),
        ("alpha/server/requirements.in", ["alpha", "alpha-1.8", "alpha-1.6", "alpha-gpu"]),
        ("tests/servers/beta/test_beta.py", ["beta"]),
        ("beta/Dockerfile docs/guide.md", ["beta"]),
        ("alpha/server/requirements.txt", ["alpha"]),
        ("alpha/server/requirements-1.6.txt alpha/server/requirements-gpu.txt", TARGETS[2:4]),
        ("beta/server/requirements.txt\nalpha/server/requirements-1.8.txt", ["alpha-1.8", "beta"]),
        ("README.md alpha/README.md bench/run.py tests/unit/test_lock.py deploy/hpa.yaml", []),
    ],
)
def test_a_change_affects_the_targets_of_its_image_or_lock(
    repository: Path, changed: str, targets: list[str]
) -> None:
    """A change affects the targets of its image or lock, and documents affect none."""
    assert touched(repository, CHANGED=changed) == targets


def test_a_matrix_of_some_targets_only_has_these(repository: Path) -> None:
    """The command `matrix-of` prints the matrix of the given targets, which may be none."""
    assert json.loads(ask(repository, "matrix-of", "beta", "alpha-gpu")[1]) == {
        "include": [
            {"target": "beta", "variant": "cpu"},
            {"target": "alpha-gpu", "variant": "gpu"},
        ]
    }
    assert json.loads(ask(repository, "matrix-of")[1]) == {"include": []}


def test_without_changes_the_matrix_has_all_targets(repository: Path) -> None:
    """If CHANGED is empty, as make passes an unset variable, the matrix has all targets."""
    assert touched(repository, CHANGED="") == TARGETS


@pytest.fixture
def in_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the repository's files and the registry of published images in this process."""
    monkeypatch.setattr(images, "ROOT", repository)
    monkeypatch.setattr(images, "REGISTRY", "infuseai")


@pytest.mark.usefixtures("in_repository")
def test_the_table_has_a_row_for_every_image() -> None:
    """The table of images has a row for each image with its framework's version."""
    assert pages.table_of_images() == (
        "| image | serves | framework |\n"
        "| --- | --- | --- |\n"
        "| [`infuseai/alpha-prepackaged`](alpha/README.md) | Alpha models"
        " | scikit-learn 1.9.1 |\n"
        "| [`infuseai/beta-prepackaged`](beta/README.md) | Beta models"
        " | seldon-core 1.17.1 |"
    )


@pytest.mark.usefixtures("in_repository")
def test_the_table_of_tags_has_every_target() -> None:
    """The table of tags has a row for each target."""
    assert pages.table_of_tags() == (
        "| image | tags | framework | built for |\n"
        "| --- | --- | --- | --- |\n"
        "| `infuseai/alpha-prepackaged` | `0.3.0`, `0.3.0-sklearn1.9`, `latest`"
        " | scikit-learn 1.9.1 | CPU |\n"
        "| `infuseai/alpha-prepackaged` | `0.3.0-sklearn1.8`, `latest-sklearn1.8`"
        " | scikit-learn 1.8.0 | CPU |\n"
        "| `infuseai/alpha-prepackaged` | `0.3.0-sklearn1.6`, `latest-sklearn1.6`"
        " | scikit-learn 1.6.1 | CPU |\n"
        "| `infuseai/alpha-prepackaged` | `0.3.0-gpu`, `0.3.0-sklearn26.2-gpu`, `latest-gpu`"
        " | cuml 26.2.0 | GPU |\n"
        "| `infuseai/beta-prepackaged` | `0.3.0`, `0.3.0-seldon-core1.17`, `latest`"
        " | seldon-core 1.17.1 | CPU |"
    )


def test_the_error_for_an_unknown_target_lists_the_existing_ones(repository: Path) -> None:
    """The error for an unknown target lists the existing ones."""
    assert ask(repository, "tags", "gamma") == (
        1,
        "",
        f"no target 'gamma' in images.toml, which has: {', '.join(TARGETS)}\n",
    )


def test_the_error_for_a_missing_lock_names_its_command(repository: Path) -> None:
    """The error for a missing lock names the command that creates it."""
    lock = repository / "alpha/server/requirements.txt"
    lock.unlink()
    assert ask(repository, "tags", "alpha") == (1, "", f"{lock} is missing: run `make lock`\n")


def test_a_lock_without_the_package_is_refused(repository: Path) -> None:
    """A lock that does not pin the image's package is an error."""
    write_lock(repository, "alpha", "scikit-learn-extra==0.3.0\nnumpy==2.4.6\n")
    lock = repository / "alpha/server/requirements.txt"
    assert ask(repository, "tags", "alpha") == (
        1,
        "",
        f"{lock} does not pin scikit-learn, which images.toml names\n",
    )


def test_targets_do_not_need_the_locks(repository: Path) -> None:
    """The command `targets` works without locks, since make needs it to create them."""
    shutil.rmtree(repository / "alpha")
    assert ask(repository, "targets")[0] == 0


@pytest.mark.parametrize("words", [(), ("tags",), ("tag", "alpha"), ("targets", "alpha")])
def test_a_wrong_command_is_answered_with_the_usage(
    repository: Path, words: tuple[str, ...]
) -> None:
    """A wrong command prints the usage with status 1, and nothing on standard output."""
    status, output, errors = ask(repository, *words)
    assert (status, output) == (1, "")
    assert re.findall(r"python3 tools/images\.py (\w+)", errors) == [
        "targets",
        "matrix",
        "matrix",
        "tags",
        "args",
    ]
    assert "Traceback" not in errors
