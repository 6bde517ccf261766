import subprocess
from pathlib import Path

import pytest

import images
import release

CHANGES = """\
# Changelog

## [Unreleased]

## [1.10.0] - 2026-12-01

### Added

- Serves more.
  Affected: all.

## [1.9.0] - 2026-11-01

- Serves.
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose three places name release 1.10.0."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common/pyproject.toml").write_text('[project]\nversion = "1.10.0"\n')
    (tmp_path / "VERSION").write_text("1.10.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(images, "ROOT", tmp_path)
    return tmp_path


def test_a_tag_that_all_places_agree_with_is_fit(repository: Path) -> None:
    """The package, VERSION and the change log say what the tag says."""
    assert release.answer(["check", "v1.10.0"]).startswith("v1.10.0 agrees with")


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("VERSION", "1.9.0\n", "VERSION says 1.9.0"),
        ("common/pyproject.toml", '[project]\nversion = "2"\n', "common/pyproject.toml says 2"),
        ("CHANGELOG.md", CHANGES.replace(" - 2026-12-01", ""), "says 1.10.0 without its day"),
        (
            "CHANGELOG.md",
            CHANGES.replace("[Unreleased]\n", "[Unreleased]\n\n- More.\n"),
            "the head of CHANGELOG.md says changes that are not released",
        ),
        ("CHANGELOG.md", CHANGES.replace("1.10.0", "1.9.1"), "CHANGELOG.md says 1.9.1"),
        ("CHANGELOG.md", "# Changelog\n", "CHANGELOG.md says changes that are not released"),
    ],
)
def test_each_place_can_stop_a_release(repository: Path, file: str, text: str, fault: str) -> None:
    """Whichever place was forgotten is named, with what it says."""
    (repository / file).write_text(text)

    with pytest.raises(release.ReleaseError, match=rf"the tag is v1\.10\.0, but .*{fault}"):
        release.answer(["check", "v1.10.0"])


@pytest.mark.parametrize("tag", ["1.10.0", "v1.10", "v1.10.0-rc1", "version-1"])
def test_a_tag_of_another_form_is_no_release(repository: Path, tag: str) -> None:
    """A tag by mistake pushes no image."""
    with pytest.raises(release.ReleaseError, match=r"a release's tag is vX\.Y\.Z, not "):
        release.answer(["check", tag])


def test_the_notes_are_the_releases_own_section(repository: Path) -> None:
    """The page of a release tells what is new in it, and nothing of the one before."""
    told = release.answer(["notes"])

    assert told == "### Added\n\n- Serves more.\n  Affected: all."


def test_there_are_no_notes_without_a_section(repository: Path) -> None:
    """A release that nobody described has no page."""
    (repository / "VERSION").write_text("1.11.0\n")

    with pytest.raises(release.ReleaseError, match=r"has no section \[1\.11\.0\]"):
        release.answer(["notes"])


@pytest.fixture
def git(repository: Path) -> Path:
    """The same, with one commit and no tag."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], [*who, "commit", "--quiet", "--allow-empty", "-m", "a"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    return repository


def test_the_latest_is_the_highest_version(git: Path) -> None:
    """1.10 comes after 1.9, whichever was tagged last, and a candidate is no release."""
    for tag in ("v1.10.0", "v1.9.0", "v2.0.0-rc1", "nightly"):
        subprocess.run(["git", "tag", tag], cwd=git, check=True)

    assert release.answer(["latest"]) == "v1.10.0"


def test_no_tag_is_no_latest(git: Path) -> None:
    """Where nothing was released there is nothing to build anew."""
    with pytest.raises(release.ReleaseError, match=r"no tag vX\.Y\.Z is here"):
        release.answer(["latest"])


def test_anything_else_is_told_the_usage() -> None:
    """A typo gets the three commands."""
    with pytest.raises(release.ReleaseError, match=r"release\.py check TAG"):
        release.answer(["chekc"])
