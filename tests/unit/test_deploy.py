"""tools/deploy.py generates its files from images.toml."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import deploy
import images

SELDONS = {"SKLEARN_SERVER": {"protocols": {"seldon": {"image": "seldonio/sklearnserver"}}}}
CONFIG_MAP = {
    "kind": "ConfigMap",
    "metadata": {"name": "seldon-config", "resourceVersion": "7"},
    "data": {"predictor_servers": json.dumps(SELDONS), "credentials": "{}"},
}


def run(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    return subprocess.run(
        [sys.executable, Path(deploy.__file__), *words],
        input=given,
        env=os.environ | {"REGISTRY": "infuseai"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_targets_placeholder_is_its_name_in_capitals() -> None:
    """A target's name in a graph is in capitals, with underscores for other characters."""
    words = {name: deploy.implementation(target) for name, target in images.targets().items()}

    assert words["sklearn"] == "PREPACKAGED_SKLEARN"
    assert words["sklearn-1.6"] == "PREPACKAGED_SKLEARN_1_6"
    assert words["pytorch-gpu"] == "PREPACKAGED_PYTORCH_GPU"
    assert len(set(words.values())) == len(words)


def test_lines_of_a_placeholder_keep_its_indentation() -> None:
    """A placeholder alone on its line is replaced by lines of the same indentation."""
    text = "a: $name\nb:\n  - c: 1\n    $more\n"

    assert deploy.filled(text, {"name": "x", "more": "d: 2\ne:\n  f: 3\n"}) == (
        "a: x\nb:\n  - c: 1\n    d: 2\n    e:\n      f: 3\n"
    )


def test_an_unknown_placeholder_is_an_error() -> None:
    """An unknown placeholder in a template is an error."""
    with pytest.raises(KeyError, match="nmae"):
        deploy.filled("a: $nmae\nb: 1\n", {"name": "x"})


def test_merging_keeps_the_operators_own_servers() -> None:
    """Merging keeps the operator's own servers and all other data of the ConfigMap."""
    done = run("merge", given=json.dumps(CONFIG_MAP))
    merged = json.loads(done.stdout)
    servers = json.loads(merged["data"]["predictor_servers"])

    assert servers["SKLEARN_SERVER"] == SELDONS["SKLEARN_SERVER"]
    tag = {
        "image": "infuseai/sklearn-prepackaged",
        "defaultImageVersion": f"{images.release()}-sklearn1.6",
    }
    assert servers["PREPACKAGED_SKLEARN_1_6"]["protocols"] == {"seldon": tag, "v2": tag}
    assert merged["metadata"] == CONFIG_MAP["metadata"]
    assert merged["data"]["credentials"] == "{}"


def test_merging_is_idempotent() -> None:
    """Merging is idempotent."""
    once = deploy.merged(CONFIG_MAP)

    assert deploy.merged(once) == once


def test_a_wrong_command_prints_the_usage() -> None:
    """A wrong command prints the usage."""
    done = run("clean")

    assert done.returncode == 1
    assert "python3 tools/deploy.py merge" in done.stderr


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deploy/ directory with only its templates."""
    (tmp_path / "templates").symlink_to(deploy.DEPLOY / "templates")
    monkeypatch.setattr(deploy, "DEPLOY", tmp_path)
    return tmp_path


def test_the_files_of_a_removed_target_are_deleted(directory: Path) -> None:
    """Generated files of a removed target are deleted; other files are kept."""
    for kept in (*(f"{kind}/lightgbm.yaml" for kind in deploy.KINDS), "monitoring/alerts.yaml"):
        (directory / kept).parent.mkdir()
        (directory / kept).write_text("{}")

    deploy.main()

    assert list(directory.rglob("lightgbm*")) == []
    assert (directory / "monitoring/alerts.yaml").exists()
    assert (directory / "plain/sklearn.yaml").exists()


def test_the_configured_registry_is_used(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated files use the configured registry."""
    monkeypatch.setattr(images, "REGISTRY", "registry.example.com/ml")

    deploy.main()

    image = "registry.example.com/ml/sklearn-prepackaged"
    assert f"image: {image}:{images.release()}\n" in (directory / "plain/sklearn.yaml").read_text()
    for file in ("kserve/runtimes", "kustomize/base/server", "compose", "seldon/predictor-servers"):
        assert image in (directory / f"{file}.yaml").read_text(), file


def test_kserves_formats_have_the_frameworks_major_versions() -> None:
    """KServe's formats list the major versions of all framework versions of an image."""
    assert deploy.formats(images.find("tensorflow2-gpu")) == [
        '- {name: tensorflow, version: "2", autoSelect: false}'
    ]
    assert deploy.formats(images.find("xgboost")) == [
        '- {name: xgboost, version: "2", autoSelect: false}',
        '- {name: xgboost, version: "3", autoSelect: false}',
    ]
