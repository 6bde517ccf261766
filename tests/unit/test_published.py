import json
import subprocess
from pathlib import Path

import pytest

import images
import published

TOML = """\
[alpha]
summary = "Alpha models"
package = "scikit-learn"

[alpha.versions]
"1.6" = []

[beta]
summary = "Beta models"
package = "seldon-core"
"""
BASE = ["sha256:b0", "sha256:b1"]
# Answers from files by the image's name, as the registry has them.
SKOPEO = """\
#!/bin/sh
for name; do :; done
file="$PLACE/$(echo "$name" | tr /: __)"
cat "$file" 2>/dev/null || { echo "manifest unknown" >&2; exit 1; }
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry that has the base alone, which a `skopeo` on the PATH asks; two images to it."""
    for image, pin in (("alpha", "scikit-learn==1.9.1"), ("beta", "seldon-core==1.17.1")):
        (tmp_path / image / "server").mkdir(parents=True)
        (tmp_path / image / "server/requirements.txt").write_text(pin)
    (tmp_path / "alpha/server/requirements-1.6.txt").write_text("scikit-learn==1.6.1")
    (tmp_path / "images.toml").write_text(TOML)
    (tmp_path / "VERSION").write_text("0.3.0\n")
    (tmp_path / "skopeo").write_text(SKOPEO)
    (tmp_path / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.setattr(images, "ROOT", tmp_path)
    monkeypatch.setattr(images, "REGISTRY", "example.org/models")
    push(tmp_path, "python:3.11@sha256:2e", BASE)
    return tmp_path


def push(registry: Path, name: str, layers: list[str]) -> None:
    """Put an image's configuration, as the OCI image specification has it, into the registry."""
    config = {"os": "linux", "rootfs": {"type": "layers", "diff_ids": layers}}
    path = registry / f"docker://{name}".replace("/", "_").replace(":", "_")
    path.write_text(json.dumps(config))


def outdated() -> list[str]:
    """The names of the targets that are not on that base."""
    return [target.name for target in published.outdated("python:3.11@sha256:2e")]


def test_targets_on_older_layers_are_outdated(registry: Path) -> None:
    """A target whose image begins with today's base stays; one on another base is built anew."""
    place = "example.org/models"
    push(registry, f"{place}/alpha-prepackaged:0.3.0", [*BASE, "sha256:a"])
    older = ["sha256:b0", "sha256:old", "sha256:a"]
    push(registry, f"{place}/alpha-prepackaged:0.3.0-scikit-learn1.6", older)
    push(registry, f"{place}/beta-prepackaged:0.3.0", [*BASE, "sha256:b"])

    assert outdated() == ["alpha-1.6"]


def test_targets_that_are_not_there_are_outdated(
    registry: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A push that failed is made up for, and the log says what was missing."""
    assert outdated() == ["alpha", "alpha-1.6", "beta"]
    assert "beta: manifest unknown" in capfd.readouterr().err


def test_without_the_base_nothing_is_decided(registry: Path) -> None:
    """A registry that is out of reach does not make every image outdated."""
    with pytest.raises(subprocess.CalledProcessError):
        published.outdated("python:3.11@sha256:00")
