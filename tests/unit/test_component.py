import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from seldon_core import metadata, seldon_methods
from seldon_core.metrics import SeldonMetrics
from seldon_core.user_model import SeldonComponent

from prepackaged import (
    Artifact,
    Column,
    Component,
    DeploymentError,
    ModelFiles,
    NotReadyError,
    Signature,
    TensorComponent,
    artifacts,
)


@pytest.fixture(autouse=True)
def excepthook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the hook for uncaught exceptions, which every component replaces."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model directory."""
    (tmp_path / "model.txt").write_text("a model")
    return tmp_path


class Counting(Component):
    """A component that counts how often it was loaded."""

    files = ModelFiles(names=("model.txt",), suffixes=(".txt",))
    platform = "counting"
    loaded = 0

    def load_model(self, artifact: Artifact | None) -> None:
        assert artifact is not None
        self.content = artifact.path.read_text()
        self.loaded += 1

    def describe_model(self) -> dict[str, Any]:
        return {
            "inputs": [{"messagetype": "ndarray", "schema": {"names": ["a"], "shape": [1]}}],
            "custom": {"method": "count", "saved_with": "1.0"},
        }


class Table(Counting):
    """A component of a table with two columns."""

    signature = Signature((Column("a"), Column("b")))

    def describe_model(self) -> dict[str, Any]:
        return Component.describe_model(self)


class WithoutFiles(Component):
    """A component that needs no model."""


def loaded(component: Component) -> Component:
    """Load a component."""
    component.load()
    return component


def failure(component: Component) -> str:
    """Return the deployment error message of a failing load."""
    with pytest.raises(DeploymentError) as caught:
        component.load()
    return str(caught.value)


# Loading


def test_a_component_runs_under_any_seldon_microservice() -> None:
    """Components are subclasses of the class that upstream's microservice expects."""
    assert issubclass(Component, SeldonComponent)


def test_the_model_is_loaded_once(directory: Path) -> None:
    """Only the first of several calls of `load` reads the model."""
    model = Counting(str(directory))
    assert (model.loaded, model.ready) == (0, False)
    for _ in range(3):
        model.load()
    assert (model.loaded, model.ready, model.content) == (1, True, "a model")


def test_a_failed_load_leaves_the_component_unready_and_is_tried_again(directory: Path) -> None:
    """After a failed load the component is not ready, and a later call tries again."""
    (directory / "model.txt").rename(directory / "later")
    model = Counting(str(directory))
    assert failure(model).startswith(f"model directory {directory} has no model")
    assert model.ready is False
    (directory / "later").rename(directory / "model.txt")
    assert loaded(model).ready is True


def test_a_component_without_files_loads_without_a_model() -> None:
    """A component that needs no files loads without a model."""
    model = loaded(WithoutFiles())
    assert (model.ready, model.artifact) == (True, None)


def test_the_parameter_model_file_selects_a_file(directory: Path) -> None:
    """The parameter model_file selects one of two files."""
    (directory / "other.txt").write_text("another model")
    model = Counting(str(directory), "other.txt")
    model.load()
    assert model.content == "another model"


@pytest.mark.parametrize("model_uri", [None, ""])
def test_a_missing_model_uri_names_the_parameter(model_uri: str | None) -> None:
    """The error for a missing model names the parameter, the files and the syntax."""
    assert failure(Counting(model_uri)) == (
        "no model to serve: mount a directory with model.txt, one *.txt at /mnt/models,"
        " or set the parameter model_uri to such a directory,"
        ' as in PREDICTIVE_UNIT_PARAMETERS=\'[{"name":"model_uri","type":"STRING",'
        '"value":"/mnt/models"}]\''
    )


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A replacement for `/mnt/models`, which does not exist yet."""
    monkeypatch.setattr(artifacts, "MOUNT", tmp_path / "mount")
    return tmp_path / "mount"


@pytest.mark.parametrize("model_uri", [None, ""])
def test_without_a_model_uri_the_mounted_model_is_served(
    mount: Path, model_uri: str | None
) -> None:
    """Without model_uri, the model in /mnt/models is served."""
    mount.mkdir()
    (mount / "model.txt").write_text("mounted")
    assert loaded(Counting(model_uri)).content == "mounted"


def test_a_model_uri_wins_over_the_mounted_model(mount: Path, directory: Path) -> None:
    """The parameter model_uri takes precedence over the mounted model."""
    mount.mkdir()
    (mount / "model.txt").write_text("mounted")
    assert loaded(Counting(str(directory))).content != "mounted"


@pytest.mark.parametrize("names", [(), ("lost+found",)])
def test_an_empty_mount_is_no_model(mount: Path, names: tuple[str, ...]) -> None:
    """An empty mount counts as a missing model."""
    mount.mkdir()
    for name in names:
        (mount / name).mkdir()
    assert failure(Counting()).startswith("no model to serve: ")


def test_a_mount_without_a_model_lists_what_it_holds(mount: Path) -> None:
    """The error for a mount without a model lists its files."""
    mount.mkdir()
    (mount / "notes.md").touch()
    assert failure(Counting()) == (
        f"model directory {mount} has no model: expected model.txt, one *.txt; found notes.md"
    )


def test_a_server_that_needs_no_model_gets_the_mount(mount: Path) -> None:
    """A server that needs no model gets the mount as model_uri if it exists."""
    assert loaded(WithoutFiles()).model_uri is None
    mount.mkdir()
    (mount / "anything").touch()
    assert loaded(WithoutFiles()).model_uri == str(mount)


@pytest.mark.parametrize("kind", [AttributeError, NotImplementedError])
@pytest.mark.parametrize("hook", ["load_model", "describe_model"])
def test_errors_that_upstream_would_ignore_are_wrapped(
    directory: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], hook: str
) -> None:
    """AttributeError and NotImplementedError are wrapped, since upstream would ignore them."""

    def fail(*arguments: object) -> None:
        raise kind("no attribute 'weights'")

    monkeypatch.setattr(Counting, hook, fail)
    model = Counting(str(directory))
    with pytest.raises(RuntimeError, match="no attribute 'weights'") as caught:
        model.load()
    assert type(caught.value) is RuntimeError  # NotImplementedError is a subclass of RuntimeError
    assert str(caught.value) == f"loading the model failed: {kind.__name__}: no attribute 'weights'"
    assert isinstance(caught.value.__cause__, kind)
    assert model.ready is False


def test_any_other_exception_is_raised_unchanged(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other exception is raised unchanged."""

    def fail(*arguments: object) -> None:
        raise KeyError("weights")

    monkeypatch.setattr(Counting, "load_model", fail)
    with pytest.raises(KeyError, match="weights"):
        Counting(str(directory)).load()


# Health


def test_health_is_refused_until_the_model_is_loaded(directory: Path) -> None:
    """Before the model is loaded, the health check fails with HTTP 503."""
    model = Counting(str(directory))
    with pytest.raises(NotReadyError, match="the model is not loaded yet") as caught:
        model.health_status()
    assert caught.value.status_code == 503
    assert loaded(model).health_status() == "healthy"


def test_seldon_answers_health_with_the_text(directory: Path) -> None:
    """Upstream's health function returns the component's status."""
    answer = seldon_methods.health_status(loaded(Counting(str(directory))), SeldonMetrics())
    assert answer == {"strData": "healthy", "meta": {}}


# Metadata


def test_metadata_is_the_platform_and_the_models_description(directory: Path) -> None:
    """The metadata consists of the platform and the model's description."""
    assert loaded(Counting(str(directory))).init_metadata() == {
        "platform": "counting",
        "inputs": [{"messagetype": "ndarray", "schema": {"names": ["a"], "shape": [1]}}],
        "custom": {"method": "count", "saved_with": "1.0"},
    }


def test_metadata_comes_from_the_signature_and_custom() -> None:
    """Without describe_model, the metadata comes from `signature` and `custom`."""

    class Stating(Component):
        platform = "stating"

        def load_model(self, artifact: Artifact | None) -> None:
            self.signature = Signature((Column("a"), Column("b")))
            self.custom["saved_with"] = "1.0"

    model = Stating()
    assert (model.signature, model.custom) == (None, {})
    assert loaded(model).init_metadata() == {
        "platform": "stating",
        "inputs": [{"messagetype": "ndarray", "schema": {"names": ["a", "b"], "shape": [2]}}],
        "outputs": [],
        "custom": {"saved_with": "1.0"},
    }


def test_a_model_without_a_signature_only_has_its_platform() -> None:
    """Without a signature, the metadata has only the platform."""
    assert loaded(WithoutFiles()).init_metadata() == {"platform": ""}


def test_a_subclass_s_description_replaces_the_signature(directory: Path) -> None:
    """A subclass's describe_model replaces the description from the signature."""
    model = Counting(str(directory))
    model.signature = Signature((Column("other"),))
    assert loaded(model).describe_model() == {
        "inputs": [{"messagetype": "ndarray", "schema": {"names": ["a"], "shape": [1]}}],
        "custom": {"method": "count", "saved_with": "1.0"},
    }


def test_a_model_is_called_on_the_main_thread_unless_it_says_otherwise() -> None:
    """By default a model is called on the main thread only, as in seldon-core."""
    assert Component.callable_from_any_thread is False
    assert TensorComponent.callable_from_any_thread is False


def test_metadata_before_loading_is_the_platform(directory: Path) -> None:
    """Before loading, the metadata has only the platform."""
    assert Counting(str(directory)).init_metadata() == {"platform": "counting"}


def test_name_and_version_come_from_the_image(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upstream takes the name and version in the metadata from the image."""
    monkeypatch.setattr(metadata, "MODEL_IMAGE", "infuseai/counting-prepackaged:0.1.0")
    answer = seldon_methods.init_metadata(loaded(Counting(str(directory))))
    assert answer["name"] == "infuseai/counting-prepackaged"
    assert answer["versions"] == ["0.1.0"]
    assert answer["platform"] == "counting"


def test_metadata_yaml_overlays_the_description(directory: Path) -> None:
    """Values in metadata.yaml take precedence, and `custom` is merged by key."""
    (directory / "metadata.yaml").write_text(
        "name: iris\nversions: [v3]\nplatform: mine\ncustom: {method: mine, owner: 王小明}\n"
    )
    assert loaded(Counting(str(directory))).init_metadata() == {
        "name": "iris",
        "versions": ["v3"],
        "platform": "mine",
        "inputs": [{"messagetype": "ndarray", "schema": {"names": ["a"], "shape": [1]}}],
        "custom": {"method": "mine", "saved_with": "1.0", "owner": "王小明"},
    }


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (
            "[{messagetype: ndarray, schema: {names: [b, c], shape: [2]}}]",
            "inputs: expected columns ['a', 'b'], as the model has, got ['b', 'c']",
        ),
        (
            "[{messagetype: tensor, schema: {shape: [-1, 3]}}]",
            "inputs: expected a row of shape [2], as the model has, got [3]",
        ),
        ("[{messagetype: ndarray, schema: {names: [b, a], shape: [2]}}]", ""),
        ("[{messagetype: tensor, schema: {shape: [1, 2]}}]", ""),
        ("[{name: flowers, datatype: FP32, shape: [-1, 2]}]", ""),
        ("[{messagetype: jsonData, schema: {names: 3}}]", ""),
        ("[]", ""),
    ],
)
def test_the_model_overrides_metadata_that_contradicts_it(
    directory: Path, caplog: pytest.LogCaptureFixture, inputs: str, why: str
) -> None:
    """Other columns than the signature's are not shown, and the log says so; others are."""
    (directory / "metadata.yaml").write_text(f"name: mine\ninputs: {inputs}\n")

    answer = loaded(Table(str(directory))).init_metadata()

    own = [{"messagetype": "ndarray", "schema": {"names": ["a", "b"], "shape": [2]}}]
    assert answer["name"] == "mine"
    assert answer["inputs"] == (own if why else yaml.safe_load(inputs))
    warned = [each for each in caplog.messages if "metadata.yaml is ignored" in each]
    assert warned == ([f"metadata.yaml is ignored for {why}"] if why else [])


def test_metadata_yaml_is_found_beside_a_model_file(directory: Path) -> None:
    """If model_uri names a file, metadata.yaml is read from its directory."""
    (directory / "metadata.yaml").write_text("name: iris")
    model = loaded(Counting(f"file://{directory}/model.txt"))
    assert model.init_metadata()["name"] == "iris"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"name: [unclosed", "metadata.yaml cannot be read: while parsing a flow sequence"),
        (b"\xff\xfe\x00", "metadata.yaml cannot be read: 'utf-8' codec can't decode byte 0xff"),
        (b"", "metadata.yaml: expected a YAML mapping, got NoneType"),
        (b"[a, b]", "metadata.yaml: expected a YAML mapping, got list"),
        (b"a sentence", "metadata.yaml: expected a YAML mapping, got str"),
        (b"owner: me", "metadata.yaml: $: Additional properties are not allowed ('owner' was"),
        (b"custom: {stage: 3}", "metadata.yaml: $.custom.stage: 3 is not of type 'string'"),
        (b"custom: plain", "metadata.yaml: $.custom: 'plain' is not of type 'object'"),
        (b"versions: v3", "metadata.yaml: $.versions: 'v3' is not of type 'array'"),
        (
            b"inputs: [{messagetype: 1}]",
            "metadata.yaml: $.inputs[0]: {'messagetype': 1} is not valid under",
        ),
    ],
)
def test_a_wrong_metadata_yaml_stops_the_start(
    directory: Path, text: bytes, complaint: str
) -> None:
    """An invalid metadata.yaml is a deployment error."""
    (directory / "metadata.yaml").write_bytes(text)
    model = Counting(str(directory))
    assert complaint in failure(model)
    assert model.ready is False


def test_a_wrong_description_is_not_blamed_on_the_file(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without metadata.yaml, the error for an invalid description names describe_model."""
    monkeypatch.setattr(Counting, "describe_model", lambda _: {"custom": {"n": 3}})
    assert (
        failure(Counting(str(directory))) == "describe_model: $.custom.n: 3 is not of type 'string'"
    )


# Exit of a server that cannot start


def run_to_its_end(script: str) -> tuple[int, str]:
    """Return the exit status and the standard error of a Python process."""
    command = [sys.executable, "-c", f"from prepackaged import *\nComponent()\n{script}"]
    completed = subprocess.run(command, capture_output=True, text=True)
    return completed.returncode, completed.stderr


def test_an_uncaught_deployment_error_exits_with_status_1_and_one_line() -> None:
    """An uncaught DeploymentError exits with status 1 and a single line."""
    script = r"raise DeploymentError('no model:\nput one\n  into /mnt/models')"
    assert run_to_its_end(script) == (1, "no model: put one into /mnt/models\n")


def test_the_line_is_logged_if_logging_is_configured() -> None:
    """If logging is configured, the line is logged."""
    script = "import logging; logging.basicConfig()\nraise DeploymentError('no model')"
    assert run_to_its_end(script) == (1, "CRITICAL:prepackaged.errors:no model\n")


def test_the_line_does_not_include_the_cause() -> None:
    """The line does not include the causing exceptions."""
    script = "Component.files = ModelFiles(('a',), ())\nComponent('/mnt/nowhere').load()"
    status, text = run_to_its_end(script)
    assert (status, text.count("\n")) == (1, 1)
    assert text.startswith("model_uri '/mnt/nowhere' does not exist")


def test_any_other_uncaught_error_keeps_its_traceback() -> None:
    """Any other uncaught exception prints its traceback."""
    status, text = run_to_its_end("raise ValueError('a mistake')")
    assert status == 1
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("\nValueError: a mistake\n")
