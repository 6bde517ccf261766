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
    """A repository whose VERSION and CHANGELOG.md name release 1.10.0."""
    (tmp_path / "VERSION").write_text("1.10.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    monkeypatch.setattr(images, "ROOT", tmp_path)
    return tmp_path


def test_the_notes_are_the_releases_own_section(repository: Path) -> None:
    """The notes of a release are only its own section of the changelog."""
    assert release.notes("v1.10.0") == "### Added\n\n- Serves more.\n  Affected: all."


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("VERSION", "1.9.0\n", "1.9.0, CHANGELOG.md 1.10.0 of 2026-12-01"),
        ("CHANGELOG.md", CHANGES.replace(" - 2026-12-01", ""), "CHANGELOG.md 1.10.0 of no day"),
        (
            "CHANGELOG.md",
            CHANGES.replace("[Unreleased]\n", "[Unreleased]\n\n- More.\n"),
            "CHANGELOG.md Unreleased of no day",
        ),
        ("CHANGELOG.md", CHANGES.replace("1.10.0", "1.9.1"), "CHANGELOG.md 1.9.1 of 2026-12-01"),
        ("CHANGELOG.md", "# Changelog\n", "CHANGELOG.md nothing of no day"),
    ],
)
def test_each_file_can_stop_a_release(repository: Path, file: str, text: str, said: str) -> None:
    """If one file disagrees with the tag, the error lists the versions in all places."""
    (repository / file).write_text(text)

    with pytest.raises(SystemExit, match=rf"^the tag is v1\.10\.0, VERSION says .*{said}$"):
        release.notes("v1.10.0")


@pytest.mark.parametrize("tag", ["1.10.0", "v1.10", "v1.10.0-rc1", "v1.9.0", ""])
def test_a_tag_of_another_version_is_an_error(repository: Path, tag: str) -> None:
    """A tag that does not match the version is an error."""
    with pytest.raises(SystemExit, match=f"^the tag is {tag}, VERSION says 1.10.0"):
        release.notes(tag)
