from pathlib import Path
from typing import Any

import pytest

from prepackaged import Artifact, Component, provenance
from prepackaged.provenance import framework_of, model_digest

# The digests of FILES and of the file Z alone from model_signing 1.1.1.
FILES = {
    ".hidden": "h",
    "Z": "z",
    "model.joblib": "abc",
    "samples/q.json": "q",
    "sub.txt": "y",
    "sub/a.txt": "x",
}
ROOT = "sha256:5300b903e3c3e4885c7eac064e2ada7f153817bff0543b94ce4b1f6bc53916a7"
OF_Z = "sha256:c27cd49cb724724842a58b799b1009ecc968b3499767b73ee54693661ff723ca"


def model_in(directory: Path, name: str = "model.joblib", uri: Any = None) -> Component:
    """Build a model that was loaded from a file in this directory."""
    model = Component(str(uri or directory))
    model.artifact = Artifact(directory / name, name, directory)
    return model


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model directory with FILES."""
    for name, content in FILES.items():
        file = tmp_path / "m" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path / "m"


def test_the_digest_equals_the_one_of_model_signing(directory: Path) -> None:
    """The digest equals model_signing's, which sorts files by their path components."""
    assert model_digest(model_in(directory)) == ROOT


@pytest.mark.parametrize(
    "name", [".git/config", ".gitignore", ".gitattributes", "model.sig", "__pycache__/a"]
)
def test_unsigned_files_do_not_count(directory: Path, name: str) -> None:
    """The signature, git's files and Python's bytecode do not affect the digest."""
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_text("g")
    assert model_digest(model_in(directory)) == ROOT


@pytest.mark.parametrize("name", ["new", "sub/new", "samples/b.json"])
def test_every_other_file_counts(directory: Path, name: str) -> None:
    """Every other file affects the digest."""
    (directory / name).write_text("g")
    assert model_digest(model_in(directory)) != ROOT


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_only_the_named_file_counts(directory: Path, scheme: str) -> None:
    """If model_uri names a file, only that file counts."""
    assert model_digest(model_in(directory, "Z", f"{scheme}{directory / 'Z'}")) == OF_Z


def test_links_of_a_mount_are_followed_once(directory: Path, tmp_path: Path) -> None:
    """Links, as in a mounted ConfigMap, are followed; a link back to its directory is ignored."""
    mount = tmp_path / "mount"
    (mount / "..2026_01").mkdir(parents=True)
    (mount / "..data").symlink_to("..2026_01")
    for each in directory.iterdir():
        each.rename(mount / "..2026_01" / each.name)
        (mount / each.name).symlink_to(f"..data/{each.name}")
    (mount / "again").symlink_to(mount)
    assert model_digest(model_in(mount)) == ROOT


def test_a_model_without_files_has_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models without files, with missing files or with too many have no digest."""
    assert model_digest(object()) == model_digest(Component()) == ""
    assert model_digest(model_in(tmp_path / "gone")) == ""
    for name in "abc":
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(provenance, "MOST_FILES", 2)
    assert model_digest(model_in(tmp_path)) == ""


@pytest.mark.parametrize(
    ("platform", "custom", "expected"),
    [
        ("sklearn", {"scikit-learn": "1.9.1"}, ("scikit-learn", "1.9.1")),
        ("xgboost", {"xgboost": "3.4.0", "scikit-learn": "1.9.1"}, ("xgboost", "3.4.0")),
        ("mine", {"mine": "1"}, ("mine", "1")),
        ("mine", {}, ("", "")),
    ],
)
def test_the_framework_is_the_one_in_the_component_s_metadata(
    platform: str, custom: dict[str, str], expected: tuple[str, str]
) -> None:
    """The framework's name and version are found in the component's metadata."""
    model = type("Model", (Component,), {"platform": platform})()
    model.custom = custom
    assert framework_of(model) == expected
    assert framework_of(object()) == ("", "")
