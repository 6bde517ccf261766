import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit at a known time and the files that a build needs."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_DATE", "2026-01-02T03:04:05Z")
        monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.com")
    for name in ("SOURCE_DATE_EPOCH", "MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    archive(tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    return tmp_path


def archive(directory: Path) -> None:
    """Create these files without git."""
    shutil.copy(ROOT / "Makefile", directory)
    shutil.copy(ROOT / "VERSION", directory)
    (directory / "tools").mkdir()
    shutil.copy(ROOT / "tools/images.py", directory / "tools")
    (directory / "images.toml").write_text('[alpha]\nsummary = "Alpha"\npackage = "numpy"\n')
    (directory / "alpha/server").mkdir(parents=True)
    (directory / "alpha/server/requirements.txt").write_text("numpy==2.4.6\n")
    (directory / ".gitignore").write_text("__pycache__\n")


def told(directory: Path) -> dict[str, str]:
    """Return the build arguments of an image in this directory."""
    command = ["make", "-n", "build-alpha", "CONTAINER_CLI=engine"]
    planned = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    return dict(re.findall(r"--build-arg (\w+)=(\S*)", planned.stdout))


def git(directory: Path, *words: str) -> None:
    """Run git in this directory."""
    subprocess.run(["git", *words], cwd=directory, check=True)


def test_a_revision_is_the_whole_commit(repository: Path) -> None:
    """The revision is the complete commit hash, even if there is a tag."""
    git(repository, "tag", "v1")
    head = (repository / ".git/HEAD").read_text().removeprefix("ref: ").strip()
    assert told(repository)["REVISION"] == (repository / ".git" / head).read_text().strip()


def test_a_revision_with_changes_is_dirty(repository: Path) -> None:
    """With uncommitted changes, the revision ends with "-dirty"."""
    (repository / "VERSION").write_text("7.0.0")
    assert told(repository)["REVISION"].endswith("-dirty")


def test_an_image_has_the_commits_time(repository: Path) -> None:
    """The creation time is the commit's."""
    assert told(repository)["CREATED"] == "2026-01-02T03:04:05Z"


def test_source_date_epoch_wins(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH takes precedence: https://reproducible-builds.org/specs."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert told(repository)["CREATED"] == "2001-09-09T01:46:40Z"


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
    """The source is an HTTPS address without credentials, for any form of the remote."""
    git(repository, "remote", "add", "origin", remote)
    assert told(repository)["SOURCE"] == "https://example.com/models/servers"


def test_a_clone_of_a_directory_has_no_source(repository: Path) -> None:
    """A remote that is a local directory is not a source."""
    git(repository, "remote", "add", "origin", str(repository))
    assert told(repository)["SOURCE"] == ""


def test_without_git_source_and_revision_are_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git, source and revision are empty and the time is 0."""
    archive(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = told(tmp_path)
    assert [found["SOURCE"], found["REVISION"]] == ["", ""]
    assert [found["CREATED"], found["SOURCE_DATE_EPOCH"]] == ["1970-01-01T00:00:00Z", "0"]
