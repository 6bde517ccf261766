import subprocess
from pathlib import Path

import pytest

import revision


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of a known time."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_DATE", "2026-01-02T03:04:05Z")
        monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.com")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(revision, "ROOT", tmp_path)
    (tmp_path / "file").write_text("one")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    return tmp_path


def git(directory: Path, *words: str) -> None:
    """Run git there."""
    subprocess.run(["git", *words], cwd=directory, check=True)


def test_a_revision_is_the_whole_commit(repository: Path) -> None:
    """Forty digits, whatever tags there are."""
    git(repository, "tag", "v1")
    head = (repository / ".git/HEAD").read_text().removeprefix("ref: ").strip()
    assert (
        revision.build_arguments()["REVISION"] == (repository / ".git" / head).read_text().strip()
    )


def test_a_revision_with_changes_says_so(repository: Path) -> None:
    """An image of a tree that no commit has must not claim one."""
    (repository / "file").write_text("two")
    assert revision.build_arguments()["REVISION"].endswith("-dirty")


def test_an_image_is_of_the_commits_time(repository: Path) -> None:
    """Building it later changes nothing."""
    assert revision.build_arguments()["CREATED"] == "2026-01-02T03:04:05Z"


def test_source_date_epoch_wins(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The convention of reproducible builds: https://reproducible-builds.org/specs."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert revision.build_arguments()["CREATED"] == "2001-09-09T01:46:40Z"


@pytest.mark.parametrize(
    "remote",
    [
        "https://example.com/models/servers.git",
        "https://user:secret@example.com/models/servers",
        "git@example.com:models/servers.git",
        "ssh://git@example.com/models/servers.git",
    ],
)
def test_a_source_is_an_address_for_browsers(repository: Path, remote: str) -> None:
    """However the repository was cloned, and without the password that it was cloned with."""
    git(repository, "remote", "add", "origin", remote)
    assert revision.build_arguments()["SOURCE"] == "https://example.com/models/servers"


def test_a_clone_of_a_directory_has_no_source(repository: Path) -> None:
    """The directory is nobody else's business."""
    git(repository, "remote", "add", "origin", str(repository))
    assert revision.build_arguments()["SOURCE"] == ""


def test_without_git_there_is_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unpacked archive builds too."""
    monkeypatch.setattr(revision, "ROOT", tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision.build_arguments() == {
        "SOURCE": "",
        "REVISION": "",
        "CREATED": "1970-01-01T00:00:00Z",
        "SOURCE_DATE_EPOCH": "0",
    }
