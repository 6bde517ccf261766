import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHO = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
# Notes its arguments; `gh pr list` tells of the pull requests in the file `open`.
GH = '#!/bin/sh\necho "$@" >>"$CALLS"\nif [ "$2" = list ]; then cat "$OPEN"; fi\n'


def git(directory: Path, *arguments: str) -> str:
    """What git says."""
    command = ["git", *WHO, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one lock in it, beside its origin, and a `gh` on the PATH."""
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin")
    git(tmp_path, "clone", "--quiet", "origin", "clone")
    (tmp_path / "clone/requirements.txt").write_text("flask==1\n")
    git(tmp_path / "clone", "add", ".")
    git(tmp_path / "clone", "commit", "--quiet", "-m", "one")
    git(tmp_path / "clone", "push", "--quiet", "origin", "HEAD:main")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").write_text(GH)
    (tmp_path / "bin/gh").chmod(0o755)
    (tmp_path / "open").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("OPEN", str(tmp_path / "open"))
    return tmp_path / "clone"


def propose(clone: Path) -> "subprocess.CompletedProcess[str]":
    """Run the tool as the workflow does."""
    command = [sys.executable, str(ROOT / "tools/propose.py")]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)


def test_changed_locks_become_a_pull_request(clone: Path, tmp_path: Path) -> None:
    """One commit on main's, of the changed files alone, and a request to pull it."""
    (clone / "requirements.txt").write_text("flask==2\n")
    (clone / "left.log").write_text("a tool's\n")

    assert propose(clone).returncode == 0

    assert git(tmp_path / "origin", "show", "upgrade-locks:requirements.txt") == "flask==2\n"
    assert git(tmp_path / "origin", "ls-tree", "--name-only", "upgrade-locks").split() == [
        "requirements.txt"
    ]
    assert git(tmp_path / "origin", "rev-list", "--count", "main..upgrade-locks").strip() == "1"
    assert "pr create --head upgrade-locks" in (tmp_path / "calls").read_text()


def test_unchanged_locks_are_no_pull_request(clone: Path, tmp_path: Path) -> None:
    """A week without releases leaves no trace."""
    done = propose(clone)

    assert (done.returncode, done.stdout) == (0, "nothing has changed\n")
    assert git(tmp_path / "origin", "branch").split() == ["*", "main"]
    assert not (tmp_path / "calls").exists()


def test_an_open_pull_request_gets_the_newer_locks(clone: Path, tmp_path: Path) -> None:
    """Last week's proposal is replaced, and no second one is opened."""
    (clone / "requirements.txt").write_text("flask==2\n")
    propose(clone)
    (tmp_path / "open").write_text("7\n")
    git(clone, "switch", "--quiet", "--detach", "origin/main")
    (clone / "requirements.txt").write_text("flask==3\n")

    assert propose(clone).returncode == 0

    assert git(tmp_path / "origin", "show", "upgrade-locks:requirements.txt") == "flask==3\n"
    assert git(tmp_path / "origin", "rev-list", "--count", "main..upgrade-locks").strip() == "1"
    assert (tmp_path / "calls").read_text().count("pr create") == 1


def test_a_push_that_fails_is_no_pull_request(clone: Path, tmp_path: Path) -> None:
    """The job fails where the branch could not be pushed."""
    git(clone, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    (clone / "requirements.txt").write_text("flask==2\n")

    assert propose(clone).returncode != 0
    assert not (tmp_path / "calls").exists()
