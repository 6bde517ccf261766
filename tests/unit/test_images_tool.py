import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import images

ROOT = Path(__file__).parents[2]
TWO_IMAGES = """\
[alpha]
summary = "Alpha models"
package = "scikit-learn"

[beta]
summary = "Beta models"
package = "seldon-core"
"""
# The grammar of image references: https://github.com/distribution/reference
TAG = re.compile(r"[a-z0-9./:-]+/[a-z0-9]+([._-][a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of two images with a lock each, and the tool."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/images.py", tmp_path / "tools")
    (tmp_path / "images.toml").write_text(TWO_IMAGES)
    (tmp_path / "VERSION").write_text("0.3.0\n")
    write_lock(tmp_path, "alpha", "scikit-learn==1.9.1 \\\n    --hash=sha256:00\n")
    write_lock(tmp_path, "beta", "my-seldon-core==7\nseldon-core==1.17.1+prepackaged \\\n")
    return tmp_path


def write_lock(repository: Path, image: str, text: str) -> None:
    """The lock of an image."""
    lock = repository / image / "server/requirements.txt"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(text)


def ask(repository: Path, *words: str, registry: str | None = None) -> tuple[int, str, str]:
    """Exit status, output and errors of the tool."""
    environment = {name: value for name, value in os.environ.items() if name != "REGISTRY"}
    if registry is not None:
        environment["REGISTRY"] = registry
    completed = subprocess.run(
        [sys.executable, "tools/images.py", *words],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
    )
    return completed.returncode, completed.stdout, completed.stderr


# images.toml


def test_the_images_are_read_in_their_order() -> None:
    """Every table is an image, in the order of the file."""
    found = images.read_images(TWO_IMAGES)
    assert list(found) == ["alpha", "beta"]
    assert found["beta"] == images.Image("beta", "Beta models", "seldon-core")


@pytest.mark.parametrize(
    "text",
    [
        '[alpha]\nsummary = "Alpha models"',
        '[alpha]\nsummary = "Alpha models"\npackage = "a"\nports = [9000]',
        'alpha = "Alpha models"',
        '[[alpha]]\nsummary = "Alpha models"\npackage = "a"',
    ],
    ids=["a key missing", "a key too many", "no table", "a list of tables"],
)
def test_a_table_must_hold_just_what_is_expected(text: str) -> None:
    """A key that nobody reads is a mistake, and so is one that is missing."""
    with pytest.raises(images.ImagesError) as caught:
        images.read_images(text)
    assert str(caught.value) == ("images.toml: [alpha] must hold exactly ['package', 'summary']")


def test_a_file_that_is_no_toml_is_refused() -> None:
    """A slip of the pen is told with its line."""
    with pytest.raises(images.ImagesError, match=r"images\.toml: .*line 2"):
        images.read_images("[alpha]\nsummary = oops\n")


# The command line


def test_targets_are_one_line_of_words(repository: Path) -> None:
    """The Makefile reads the names of the images from it."""
    assert ask(repository, "targets") == (0, "alpha beta\n", "")


def test_tags_name_the_release_the_framework_and_the_latest(repository: Path) -> None:
    """The version in the tag is the one that the image's lock pins."""
    assert ask(repository, "tags", "alpha") == (
        0,
        (
            "infuseai/alpha-prepackaged:0.3.0"
            " infuseai/alpha-prepackaged:0.3.0-scikit-learn1.9.1"
            " infuseai/alpha-prepackaged:latest\n"
        ),
        "",
    )


def test_a_tag_leaves_out_what_its_grammar_forbids(repository: Path) -> None:
    """A local version's plus sign cannot be in a tag, and another package's pin is not taken."""
    _, output, _ = ask(repository, "tags", "beta")
    assert output.split()[1] == "infuseai/beta-prepackaged:0.3.0-seldon-core1.17.1"


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
    """REGISTRY names it; unset or empty it is infuseai."""
    _, output, _ = ask(repository, "tags", "alpha", registry=registry)
    assert output.split()[0] == first


@pytest.mark.parametrize("image", images.images())
def test_the_tags_of_this_repository_are_tags(image: str) -> None:
    """A container engine takes every one of them."""
    tags = images.find(image).tags()
    assert len(set(tags)) == 3
    assert [tag for tag in tags if not TAG.fullmatch(tag)] == []


def test_build_arguments_name_the_image_and_the_release(repository: Path) -> None:
    """The Dockerfile learns what it is built as."""
    assert ask(repository, "args", "alpha") == (
        0,
        "IMAGE=infuseai/alpha-prepackaged:0.3.0 RELEASE=0.3.0\n",
        "",
    )


def test_the_matrix_is_json_of_one_row_an_image(repository: Path) -> None:
    """GitHub reads it as `strategy.matrix`."""
    status, output, _ = ask(repository, "matrix")
    assert (status, json.loads(output)) == (0, {"image": ["alpha", "beta"]})


def test_the_table_has_a_row_for_every_image(repository: Path) -> None:
    """The README's table is Markdown with what is served and by which version."""
    assert ask(repository, "table")[1] == (
        "| image | serves | framework |\n"
        "| --- | --- | --- |\n"
        "| [`infuseai/alpha-prepackaged`](alpha/README.md) | Alpha models"
        " | scikit-learn 1.9.1 |\n"
        "| [`infuseai/beta-prepackaged`](beta/README.md) | Beta models"
        " | seldon-core 1.17.1 |\n"
    )


def test_an_unknown_image_is_told_with_those_there_are(repository: Path) -> None:
    """A typo ends with status 1 and the names that would have worked."""
    assert ask(repository, "tags", "gamma") == (
        1,
        "",
        "no image 'gamma' in images.toml, which has: alpha, beta\n",
    )


def test_a_missing_lock_names_the_command_that_makes_it(repository: Path) -> None:
    """A new image has no lock yet; what to do about it is said."""
    lock = repository / "alpha/server/requirements.txt"
    lock.unlink()
    assert ask(repository, "tags", "alpha") == (1, "", f"{lock} is missing: run `make lock`\n")


def test_a_lock_without_the_package_is_refused(repository: Path) -> None:
    """The package of the tag has to be in the image."""
    write_lock(repository, "alpha", "scikit-learn-extra==0.3.0\nnumpy==2.4.6\n")
    lock = repository / "alpha/server/requirements.txt"
    assert ask(repository, "tags", "alpha") == (
        1,
        "",
        f"{lock} does not pin scikit-learn, which images.toml names\n",
    )


def test_targets_do_not_need_the_locks(repository: Path) -> None:
    """What makes the locks is a make target, and make has to read the names before that."""
    shutil.rmtree(repository / "alpha")
    assert ask(repository, "targets")[0] == 0


@pytest.mark.parametrize("words", [(), ("tag", "alpha"), ("tags",), ("targets", "alpha")])
def test_a_wrong_question_is_answered_with_the_usage(
    repository: Path, words: tuple[str, ...]
) -> None:
    """Status 1, nothing on standard output, and every question that there is."""
    status, output, errors = ask(repository, *words)
    assert (status, output) == (1, "")
    assert re.findall(r"python3 tools/images\.py (\w+)", errors) == [
        "targets",
        "tags",
        "args",
        "matrix",
        "table",
    ]
    assert "Traceback" not in errors
