from pathlib import Path
from typing import Any

import pytest

import audit

VULNERABILITY = {"id": "PYSEC-1", "fix_versions": ["3.1.6"], "aliases": [], "description": ""}
UNFIXED = {**VULNERABILITY, "fix_versions": []}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock with a build of our own and a package for some platforms."""
    path = tmp_path / "requirements.txt"
    path.write_text(
        "alpha==1.0+cpu \\\n    --hash=sha256:00\nbeta.two==2 ; sys_platform == 'linux' \\\n"
    )
    return path


def test_a_pin_is_asked_for_by_its_public_version(lock: Path) -> None:
    """No advisory speaks of `+cpu`."""
    assert audit.read_pins([lock]) == {
        ("alpha", "1.0"): [str(lock)],
        ("beta.two", "2"): [str(lock)],
    }


def test_no_round_names_a_package_twice() -> None:
    """Every version of every lock is asked for all the same."""
    pins = {("alpha", "1"): ["a"], ("alpha", "2"): ["b"], ("beta", "1"): ["a"]}
    found = list(audit.rounds(pins))
    assert all(len(dict(chosen)) == len(chosen) for chosen in found)
    assert sorted(pin for chosen in found for pin in chosen) == sorted(pins)


def outcome(monkeypatch: pytest.MonkeyPatch, **answer: Any) -> object:
    """The exit status where pip-audit gives that answer for one package, and none for another."""
    sound = {"name": "beta", "version": "1", "vulns": []}
    monkeypatch.setattr(audit, "read_pins", lambda _: {("alpha", "1"): ["a.txt"]})
    monkeypatch.setattr(audit, "ask", lambda _: [sound, {"name": "alpha", **answer}])
    try:
        audit.main()
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_a_hole_that_a_release_fixes_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what, where, and what to move to."""
    assert outcome(monkeypatch, version="1", vulns=[VULNERABILITY]) == 1
    assert "alpha 1: PYSEC-1, fixed by 3.1.6, in a.txt\n" in capsys.readouterr().out


def test_a_hole_that_nothing_fixes_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody could move to anything."""
    assert outcome(monkeypatch, version="1", vulns=[UNFIXED]) == 0
    assert "fixed by no release" in capsys.readouterr().out


def test_silence_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the index has no advisories, pip-audit skips each package and is content."""
    assert outcome(monkeypatch, skip_reason="not found") == 2
    assert capsys.readouterr().err == "the index has no advisories for alpha\n"


def test_no_news_of_a_package_that_was_looked_up_is_good_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is known against it."""
    assert outcome(monkeypatch, version="1", vulns=[]) == 0
