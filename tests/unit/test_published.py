import json
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


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """A registry by image name, which a `skopeo` on the PATH answers from; two images to it."""
    for image, pin in (("alpha", "scikit-learn==1.9.1"), ("beta", "seldon-core==1.17.1")):
        (tmp_path / image / "server").mkdir(parents=True)
        (tmp_path / image / "server/requirements.txt").write_text(pin)
        (tmp_path / image / "Dockerfile").write_text("ARG BASE_IMAGE=python:3.11@sha256:0f\n")
    (tmp_path / "alpha/server/requirements-1.6.txt").write_text("scikit-learn==1.6.1")
    (tmp_path / "images.toml").write_text(TOML)
    (tmp_path / "VERSION").write_text("0.3.0\n")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    monkeypatch.setattr(images, "REGISTRY", "example.org/models")
    stands: dict[str, dict[str, object]] = {"python:3.11": {"Digest": "sha256:2e", **config(BASE)}}
    monkeypatch.setattr(published, "skopeo", lambda *words: read(stands, *words))
    return stands


def config(layers: list[str]) -> dict[str, object]:
    """An image's configuration, as the OCI image specification has it."""
    return {"os": "linux", "rootfs": {"type": "layers", "diff_ids": layers}}


def read(stands: dict[str, dict[str, object]], *words: str) -> str:
    """What skopeo prints of what stands there."""
    name = words[-1].removeprefix("docker://")
    if name not in stands:
        raise published.PublishedError("manifest unknown")
    return json.dumps(stands[name])


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("infuseai/sklearn-prepackaged:1", "docker.io"),
        ("docker.io/infuseai/sklearn-prepackaged:1", "docker.io"),
        ("ghcr.io/infuseai/sklearn-prepackaged:1", "ghcr.io"),
        ("localhost/sklearn-prepackaged:1", "localhost"),
        ("registry:5000/sklearn-prepackaged:1", "registry:5000"),
        ("python:3.11", "docker.io"),
    ],
)
def test_a_host_is_a_first_part_that_can_be_no_directory(name: str, host: str) -> None:
    """The rule of https://github.com/distribution/reference: a dot, a port, or localhost."""
    assert published.host(name) == host


def test_the_base_is_the_one_of_today(registry: dict[str, dict[str, object]]) -> None:
    """Its digest is the registry's, in place of any that the Dockerfiles name."""
    assert published.answer(["base"]) == "python:3.11@sha256:2e"


def test_two_bases_are_an_error(registry: dict[str, dict[str, object]]) -> None:
    """Which of them the images should follow is not for a tool to guess."""
    (images.ROOT / "beta/Dockerfile").write_text("ARG BASE_IMAGE=debian:12\n")

    with pytest.raises(published.PublishedError, match=r"name 2 base images: \['debian:12', 'pyt"):
        published.answer(["base"])


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("example.org/models", "example.org/models/alpha-prepackaged"),
        ("infuseai", "docker.io/infuseai/alpha-prepackaged"),
        ("docker.io/infuseai", "docker.io/infuseai/alpha-prepackaged"),
    ],
)
def test_the_subject_is_the_full_name_and_the_registrys_digest(
    registry: dict[str, dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    name: str,
) -> None:
    """An attestation is about a digest, under a name that says its host."""
    monkeypatch.setattr(images, "REGISTRY", place)
    registry[f"{place}/alpha-prepackaged:0.3.0"] = {"Digest": "sha256:1f"}

    assert published.answer(["subject", "alpha"]) == f"name={name}\ndigest=sha256:1f"


def test_targets_on_older_layers_are_outdated(registry: dict[str, dict[str, object]]) -> None:
    """A target whose image begins with today's base stays; one on another base is built anew."""
    registry["example.org/models/alpha-prepackaged:0.3.0"] = config([*BASE, "sha256:a"])
    registry["example.org/models/alpha-prepackaged:0.3.0-scikit-learn1.6"] = config(
        ["sha256:b0", "sha256:old", "sha256:a"]
    )
    registry["example.org/models/beta-prepackaged:0.3.0"] = config([*BASE, "sha256:b"])

    assert json.loads(published.answer(["outdated"])) == {
        "include": [{"target": "alpha-1.6", "image": "alpha", "variant": "cpu"}]
    }


def test_targets_that_are_not_there_are_outdated(
    registry: dict[str, dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    """A push that failed is made up for, and the log says what was missing."""
    targets = json.loads(published.answer(["outdated"]))["include"]

    assert [entry["target"] for entry in targets] == ["alpha", "alpha-1.6", "beta"]
    assert "beta: manifest unknown" in capfd.readouterr().err


def test_without_the_base_nothing_is_decided(registry: dict[str, dict[str, object]]) -> None:
    """A registry that is out of reach does not make every image outdated."""
    del registry["python:3.11"]

    with pytest.raises(published.PublishedError, match="manifest unknown"):
        published.answer(["outdated"])


@pytest.mark.parametrize(
    ("program", "told"),
    [("echo 'no such host' >&2; exit 1", "no such host"), (None, "skopeo is not installed here")],
)
def test_what_skopeo_says_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, told: str
) -> None:
    """The reason is skopeo's own, or that there is none."""
    monkeypatch.setenv("PATH", f"{tmp_path}")
    if program:
        (tmp_path / "skopeo").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "skopeo").chmod(0o755)

    with pytest.raises(published.PublishedError, match=told):
        published.skopeo("inspect", "docker://python:3.11")


def test_anything_else_is_told_the_usage() -> None:
    """A typo gets the four commands."""
    with pytest.raises(published.PublishedError, match=r"published\.py subject TARGET"):
        published.answer(["subjetc"])
