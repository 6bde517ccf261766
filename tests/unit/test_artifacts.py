import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from permissions import as_anyone, permissions

from prepackaged import Artifact, DeploymentError, ModelFiles, find_artifact, local_path

FILES = ModelFiles(
    names=("model.joblib", "model.pkl"),
    suffixes=(".joblib", ".pkl"),
    flavor="sklearn",
    flavor_key="pickled_model",
)
PLAIN_FILES = ModelFiles(names=("model.joblib",), suffixes=(".joblib",))

MLFLOW_1 = """\
artifact_path: model
flavors:
  python_function:
    env: conda.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.8.10
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 0.24.2
run_id: 4ae3e5a4c9c34b0a9a5fbb5e4dd1ac5c
utc_time_created: '2021-06-15 08:15:30.123456'
"""
MLFLOW_2 = """\
artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.10.13
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.3.2
mlflow_version: 2.9.2
model_size_bytes: 1024
model_uuid: 0a1b2c3d4e5f60718293a4b5c6d7e8f9
run_id: 4ae3e5a4c9c34b0a9a5fbb5e4dd1ac5c
signature:
  inputs: '[{"type": "double", "required": true, "name": "age"}]'
  outputs: '[{"type": "long", "required": true}]'
  params: null
utc_time_created: '2023-12-01 08:15:30.123456'
"""
MLFLOW_3 = """\
artifact_path: mlflow-artifacts:/1/models/m-9f8e7d6c5b4a/artifacts
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.9
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.7.0
is_signature_from_type_hint: false
mlflow_version: 3.1.1
model_id: m-9f8e7d6c5b4a
model_size_bytes: 1024
model_uuid: m-9f8e7d6c5b4a
prompts: null
run_id: 4ae3e5a4c9c34b0a9a5fbb5e4dd1ac5c
type_hint_from_example: false
utc_time_created: '2025-07-01 08:15:30.123456'
"""


def put(directory: Path, *names: str) -> None:
    """Write files that are not empty."""
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"a model")


def refusal(model_uri: Path | str, model_file: str | None = None) -> str:
    """Return the error message of a search for a model."""
    with pytest.raises(DeploymentError) as caught:
        find_artifact(str(model_uri), FILES, model_file)
    return str(caught.value)


# The location of the model: model_uri


def test_a_plain_path_names_a_directory(tmp_path: Path) -> None:
    """A directory given as a plain path is searched for the model."""
    put(tmp_path, "model.pkl")
    assert find_artifact(str(tmp_path), FILES) == Artifact(
        path=tmp_path / "model.pkl", name="model.pkl", directory=tmp_path
    )


def test_a_relative_path_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path starts at the working directory, and the result is absolute."""
    put(tmp_path, "models/model.pkl")
    monkeypatch.chdir(tmp_path)
    assert find_artifact("models/model.pkl", FILES).directory == tmp_path / "models"


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "file:", "FILE://"])
def test_a_file_uri_names_a_local_path(tmp_path: Path, prefix: str) -> None:
    """All forms of a local file URI are accepted."""
    assert local_path(f"{prefix}{tmp_path}") == tmp_path


def test_a_file_uri_is_percent_decoded(tmp_path: Path) -> None:
    """Percent-encoded characters in a file URI are decoded."""
    put(tmp_path, "a b/100%/模型.pkl")
    uri = f"file://{tmp_path}/a%20b/100%25/%E6%A8%A1%E5%9E%8B.pkl"
    assert local_path(uri) == tmp_path / "a b" / "100%" / "模型.pkl"


def test_a_plain_path_is_taken_literally(tmp_path: Path) -> None:
    """Special characters in a plain path are taken literally."""
    put(tmp_path, "a%20b#1?:c/model.pkl")
    assert local_path(f"{tmp_path}/a%20b#1?:c") == tmp_path / "a%20b#1?:c"


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20))
def test_any_file_name_survives_its_uri(name: str) -> None:
    """A file URI from the standard library is converted back to the same path."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory).resolve() / f"-{name}"
        path.touch()
        assert local_path(path.as_uri()) == path


def test_a_file_uri_of_another_host_is_refused() -> None:
    """A file URI with a host is refused, with a hint at the missing slash."""
    assert refusal("file://mnt/models") == (
        "model_uri 'file://mnt/models' names the host 'mnt', not a local path:"
        " write file:///path, with three slashes"
    )


@pytest.mark.parametrize(
    ("model_uri", "scheme"),
    [
        ("s3://bucket/model", "s3"),
        ("gs://bucket/model", "gs"),
        ("http://host/model.pkl", "http"),
        ("https://host/model.pkl", "https"),
        ("hdfs://name/model", "hdfs"),
        ("models:/iris/1", "models"),
    ],
)
def test_a_scheme_of_another_place_is_refused(model_uri: str, scheme: str) -> None:
    """A remote URI is refused, since the platform has to download models."""
    assert refusal(model_uri) == (
        f"model_uri {model_uri!r}: the scheme {scheme}:// is not supported here."
        " Give a local path or file://; downloading is the platform's part"
        " (in Kubernetes, its storage initializer puts the model into /mnt/models)"
    )


@pytest.mark.parametrize("model_uri", ["file://[", "/mnt/\0models", "/mnt/" + 300 * "m"])
def test_an_impossible_path_is_refused(model_uri: str) -> None:
    """A path that the system cannot look up is a deployment error."""
    assert "cannot be read: " in refusal(model_uri)


def test_a_missing_path_lists_its_parent(tmp_path: Path) -> None:
    """The error for a missing path lists its parent directory."""
    put(tmp_path, "iris/model.pkl", "wine/model.pkl")
    assert refusal(tmp_path / "irsi") == (
        f"model_uri '{tmp_path}/irsi' does not exist; {tmp_path} has iris, wine"
    )


def test_the_error_for_a_path_in_a_missing_parent_is_short(tmp_path: Path) -> None:
    """If the parent directory is missing too, the error only says that the path does not exist."""
    uri = tmp_path / "a/b"
    assert refusal(uri) == f"model_uri '{uri}' does not exist"


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    """The error for a path below a file says that it is not a directory."""
    put(tmp_path, "model.pkl")
    message = refusal(tmp_path / "model.pkl/model.pkl")
    assert "cannot be read: [Errno 20] Not a directory" in message


# Links


def test_a_broken_link_names_its_target(tmp_path: Path) -> None:
    """The error for a broken link names its target."""
    (tmp_path / "models").symlink_to("/phfs/gone")
    assert refusal(tmp_path / "models") == (
        f"model_uri '{tmp_path}/models' is a link to /phfs/gone, which does not exist"
    )


def test_a_broken_link_to_the_model_file_names_its_target(tmp_path: Path) -> None:
    """The error for a broken link to the model file names its target."""
    (tmp_path / "model.pkl").symlink_to("/phfs/gone.pkl")
    assert refusal(tmp_path) == (
        "'model.pkl', which the model directory names,"
        " is a link to /phfs/gone.pkl, which does not exist"
    )


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    """A cycle of links is a deployment error."""
    (tmp_path / "models").symlink_to(tmp_path / "models")
    assert "cannot be read: " in refusal(tmp_path / "models")


def test_links_into_a_read_only_mount_are_followed(tmp_path: Path) -> None:
    """Links into a read-only mount are followed, for the directory and for the file."""
    mount = tmp_path / "mount"
    put(mount, "v3/weights.pkl")
    (mount / "v3").chmod(0o555)
    (tmp_path / "share").mkdir()
    (tmp_path / "share/model.pkl").symlink_to(mount / "v3/weights.pkl")
    (tmp_path / "models").symlink_to(tmp_path / "share", target_is_directory=True)
    assert find_artifact(str(tmp_path / "models"), FILES) == Artifact(
        path=mount / "v3/weights.pkl", name="model.pkl", directory=tmp_path / "share"
    )


# The choice of the model file


def test_model_uri_may_name_the_file(tmp_path: Path) -> None:
    """If model_uri names a file, it may have any name and suffix."""
    put(tmp_path, "iris-2024.bin", "model.pkl")
    found = find_artifact(f"file://{tmp_path}/iris-2024.bin", FILES)
    assert found == Artifact(tmp_path / "iris-2024.bin", "iris-2024.bin", tmp_path)


def test_a_link_to_the_file_keeps_its_own_name(tmp_path: Path) -> None:
    """A link's own name counts, since the target's name may not show the format."""
    put(tmp_path, "blobs/5f2c")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/model.pkl").symlink_to("../blobs/5f2c")
    assert find_artifact(str(tmp_path / "snapshot/model.pkl"), FILES) == Artifact(
        path=tmp_path / "blobs/5f2c", name="model.pkl", directory=tmp_path / "snapshot"
    )


def test_model_file_wins_over_everything(tmp_path: Path) -> None:
    """The parameter model_file takes precedence over all other files."""
    put(tmp_path, "MLmodel", "model.joblib", "model.pkl", "old/other.pkl")
    assert find_artifact(str(tmp_path), FILES, "old/other.pkl").name == "old/other.pkl"


def test_an_mlmodel_wins_over_a_well_known_name(tmp_path: Path) -> None:
    """MLmodel takes precedence over files with well-known names."""
    put(tmp_path, "model.joblib", "model.pkl")
    (tmp_path / "MLmodel").write_text(MLFLOW_2)
    assert find_artifact(str(tmp_path), FILES).name == "model.pkl"


def test_a_server_without_a_flavor_ignores_an_mlmodel(tmp_path: Path) -> None:
    """A server without an MLflow flavor ignores MLmodel."""
    put(tmp_path, "model.joblib")
    (tmp_path / "MLmodel").write_text(MLFLOW_2)
    assert find_artifact(str(tmp_path), PLAIN_FILES).name == "model.joblib"


def test_a_well_known_name_wins_over_a_known_suffix(tmp_path: Path) -> None:
    """A file with a well-known name takes precedence over files with a known suffix."""
    put(tmp_path, "model.pkl", "scaler.pkl", "encoder.joblib")
    assert find_artifact(str(tmp_path), FILES).name == "model.pkl"


def test_a_well_known_name_may_be_in_a_directory_below(tmp_path: Path) -> None:
    """A well-known name may include a directory, for models of several files."""
    put(tmp_path, "model/graph.pb")
    files = ModelFiles(names=("graph.pb", "model/graph.pb"), suffixes=(".pb",))
    assert find_artifact(str(tmp_path), files).path == tmp_path / "model/graph.pb"


def test_the_only_file_with_a_known_suffix_is_the_model(tmp_path: Path) -> None:
    """A single file with a known suffix is the model."""
    put(tmp_path, "README.md", "iris-2024.joblib", "metadata.yaml")
    assert find_artifact(str(tmp_path), FILES).name == "iris-2024.joblib"


@pytest.mark.parametrize(
    "names", [("a.pkl", "b.joblib"), ("model.joblib", "model.pkl")], ids=["suffixes", "known names"]
)
def test_two_candidates_are_refused_by_name(tmp_path: Path, names: tuple[str, str]) -> None:
    """With two candidates, the error names both and the parameter that decides."""
    put(tmp_path, *names)
    candidates = {"a.pkl": "a.pkl, b.joblib", "model.joblib": "model.joblib, model.pkl"}[names[0]]
    assert refusal(tmp_path) == (
        f"model directory {tmp_path} has 2 candidates: {candidates}."
        " Leave only one, or set the parameter model_file to one"
    )


def test_without_a_candidate_the_error_lists_the_files(tmp_path: Path) -> None:
    """If there is no candidate, the error lists the expected names and the existing files."""
    put(tmp_path, "weights.h5", "README.md")
    assert refusal(tmp_path) == (
        f"model directory {tmp_path} has no model: expected model.joblib, model.pkl,"
        " one *.joblib, one *.pkl or an MLflow sklearn model; found README.md, weights.h5"
    )


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    """The error for an empty directory says that nothing was found."""
    assert refusal(tmp_path).endswith("; found nothing")


def test_a_long_list_of_files_is_truncated(tmp_path: Path) -> None:
    """The error truncates a long list of files."""
    put(tmp_path, *(f"part-{number:03}.csv" for number in range(25)))
    assert refusal(tmp_path).endswith(", part-018.csv, part-019.csv and 5 more")


def test_hidden_files_are_no_candidates(tmp_path: Path) -> None:
    """Hidden files are never loaded."""
    put(tmp_path, "._model.pkl", ".model.pkl", ".pkl", "iris.pkl")
    assert find_artifact(str(tmp_path), FILES).name == "iris.pkl"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """An empty file, as a failed upload leaves it, is refused."""
    (tmp_path / "model.pkl").touch()
    assert refusal(tmp_path) == f"model file {tmp_path}/model.pkl is empty (0 bytes)"


def test_a_directory_named_like_a_model_is_refused(tmp_path: Path) -> None:
    """A directory with the name of a model file is refused."""
    (tmp_path / "model.pkl").mkdir()
    assert refusal(tmp_path) == (
        f"{tmp_path}/model.pkl, which the model directory names, is not a file"
    )


def test_a_missing_model_file_lists_the_directory(tmp_path: Path) -> None:
    """The error for a missing model_file lists the directory."""
    put(tmp_path, "a.pkl", "b.pkl")
    assert refusal(tmp_path, "c.pkl") == (
        f"'c.pkl', which the parameter model_file names, does not exist; {tmp_path} has a.pkl,"
        " b.pkl"
    )


# MLflow models


@pytest.mark.parametrize("mlmodel", [MLFLOW_1, MLFLOW_2, MLFLOW_3], ids=["1", "2", "3"])
def test_every_mlflow_layout_is_read(tmp_path: Path, mlmodel: str) -> None:
    """The flavor's file and its table are found in MLmodel files of MLflow 1, 2 and 3."""
    put(tmp_path, "model.pkl", "input_example.pkl")
    (tmp_path / "MLmodel").write_text(mlmodel)
    found = find_artifact(str(tmp_path), FILES)
    assert (found.path, found.code) == (tmp_path / "model.pkl", None)
    assert found.flavor["serialization_format"] == "cloudpickle"


def test_the_error_for_a_missing_flavor_lists_the_existing_ones(tmp_path: Path) -> None:
    """If MLmodel lacks the image's flavor, the error lists the existing ones."""
    (tmp_path / "MLmodel").write_text("flavors: {xgboost: {data: model.xgb}, python_function: {}}")
    assert refusal(tmp_path) == (
        f"{tmp_path}/MLmodel: this image serves the MLflow flavor 'sklearn';"
        " the model has python_function, xgboost"
    )


@pytest.mark.parametrize("flavors", ["{}", "{1: {}, sklearn: null}"])
def test_an_mlflow_model_without_a_flavor_table_is_refused(tmp_path: Path, flavors: str) -> None:
    """A malformed flavor table is a deployment error."""
    (tmp_path / "MLmodel").write_text(f"flavors: {flavors}")
    assert "this image serves the MLflow flavor 'sklearn'" in refusal(tmp_path)


def test_an_mlflow_flavor_that_names_no_file_is_refused(tmp_path: Path) -> None:
    """If the flavor names no file, the error names the missing key."""
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {other: a}}")
    assert "flavor 'sklearn' has no 'pickled_model'" in refusal(tmp_path)


def test_a_directory_with_a_models_suffix_is_no_candidate(tmp_path: Path) -> None:
    """Directories with a model's suffix are ignored."""
    (tmp_path / "cache.joblib").mkdir()
    (tmp_path / "iris.joblib").write_bytes(b"model")
    assert find_artifact(str(tmp_path), FILES).name == "iris.joblib"


def test_an_mlflow_flavor_may_name_the_directory_of_its_file(tmp_path: Path) -> None:
    """The flavor may name a directory, as `pytorch` does, that has a file with a known name."""
    put(tmp_path, "data/model.pkl", "data/pickle_module_info.txt")
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {pickled_model: data}}")
    found = find_artifact(str(tmp_path), FILES)
    assert (found.path, found.directory) == (tmp_path / "data/model.pkl", tmp_path)


def test_the_error_for_a_missing_flavor_file_lists_the_directory(tmp_path: Path) -> None:
    """If the flavor's file is missing, the error names it and lists the directory."""
    (tmp_path / "MLmodel").write_text(MLFLOW_1)
    assert refusal(tmp_path) == (
        f"'model.pkl', which MLmodel names, does not exist; {tmp_path} has MLmodel"
    )


@pytest.mark.parametrize("text", [b"flavors: [unclosed", b"\xff\xfe\x00", b"flavors: !!evil x"])
def test_an_mlmodel_that_is_not_yaml_is_refused(tmp_path: Path, text: bytes) -> None:
    """The error for an MLmodel that is not YAML is a single line."""
    (tmp_path / "MLmodel").write_bytes(text)
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}/MLmodel cannot be read: ")
    assert "\n" not in message


@pytest.mark.parametrize("text", ["flavors: [sklearn]", "run_id: a", "flavors:", "{}"])
def test_an_mlmodel_without_flavors_is_refused(tmp_path: Path, text: str) -> None:
    """An MLmodel without flavors is refused."""
    (tmp_path / "MLmodel").write_text(text)
    assert refusal(tmp_path) == (f"{tmp_path}/MLmodel has no table `flavors`: not an MLflow model")


def test_the_code_of_an_mlflow_model_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules logged with an MLflow model can be imported while its file is read."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    put(tmp_path, "model.pkl")
    (tmp_path / "MLmodel").write_text(MLFLOW_2.replace("code: null", "code: code"))
    (tmp_path / "code").mkdir()
    (tmp_path / "code/brought_along.py").write_text("ANSWER = 42")
    artifact = find_artifact(str(tmp_path), FILES)
    for _ in range(2):
        with artifact.reading():
            from brought_along import ANSWER  # type: ignore[import-not-found]
    assert ANSWER == 42
    assert sys.path.count(str(tmp_path / "code")) == 1


# Reading the file


def failure(artifact: Artifact, error: Exception) -> str:
    """Return the deployment error message for an exception while the model file is read."""
    with pytest.raises(DeploymentError) as caught, artifact.reading():
        raise error
    return str(caught.value)


ARTIFACT = Artifact(Path("/mnt/models/model.pkl"), "model.pkl", Path("/mnt/models"))


def test_a_missing_module_is_named() -> None:
    """The error for a missing module names the module and the remedies."""
    error = ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm")
    assert failure(ARTIFACT, error) == (
        "model file /mnt/models/model.pkl needs the Python module 'lightgbm', which is neither"
        " beside it nor in this image: if it is your own, put its file beside the model file or"
        " into MLflow's code_paths; if it is a package, fork this image and add it"
    )


def test_the_error_recommends_the_image_that_has_a_missing_module() -> None:
    """If another of our images has the missing module, the error recommends that image."""
    error = ModuleNotFoundError("No module named 'xgboost.sklearn'", name="xgboost.sklearn")
    assert failure(ARTIFACT, error).endswith(": use the image xgboost-prepackaged")


def test_a_moved_module_is_reported_as_another_version() -> None:
    """If the package exists but lacks the module, the error says that the version differs."""
    error = ModuleNotFoundError("No module named 'json.old'", name="json.old")
    assert failure(ARTIFACT, error) == (
        "model file /mnt/models/model.pkl needs the Python module 'json.old', which the json of"
        " this image does not have: it was saved by another version; save the model again with the"
        " version of this image"
    )


def test_a_moved_class_is_reported_as_another_version() -> None:
    """If a package lacks a pickled class, the error says that the version differs."""
    error = AttributeError(
        "Can't get attribute '_Old' on <module 'json.decoder' from '/usr/lib/json/decoder.py'>"
    )
    assert failure(ARTIFACT, error) == (
        "model file /mnt/models/model.pkl needs json.decoder._Old, which the json of this image"
        " does not have: it was saved by another version; save the model again with the version of"
        " this image"
    )


def test_the_error_names_a_function_of_the_script_that_saved_the_model() -> None:
    """The error for a function of the saving script or notebook names it."""
    error = AttributeError("Can't get attribute 'clip' on <module '__main__' (built-in)>")
    assert "needs clip of the notebook or script that saved it" in failure(ARTIFACT, error)


@pytest.mark.parametrize("name", ["_loss", "json.old", ""])
def test_a_version_hint_replaces_guesses(name: str) -> None:
    """If a version hint is known, it replaces guesses about missing modules or classes."""
    errors = [ModuleNotFoundError(f"No module named {name!r}", name=name), ValueError("dtype:")]
    for error in errors:
        with pytest.raises(DeploymentError) as caught, ARTIFACT.reading("use the tag 1.0"):
            raise error
        assert str(caught.value) == (
            f"model file /mnt/models/model.pkl cannot be loaded: {type(error).__name__}:"
            f" {str(error).rstrip(':')}; use the tag 1.0"
        )


def test_a_missing_module_of_the_author_is_reported_despite_a_version_hint() -> None:
    """A missing module that is not the framework's is reported despite a version hint."""
    error = ModuleNotFoundError("No module named 'my_features'", name="my_features")
    with (
        pytest.raises(DeploymentError, match="'my_features', which is neither beside it"),
        ARTIFACT.reading("use the tag 1.0"),
    ):
        raise error


def test_the_error_names_the_kind_of_file(tmp_path: Path) -> None:
    """The error says what kind of file it is, such as a PNG image."""
    (tmp_path / "model.pkl").write_bytes(b"\x89PNG\r\n")
    artifact = Artifact(tmp_path / "model.pkl", "model.pkl", tmp_path)
    assert failure(artifact, KeyError("P")).endswith("KeyError: 'P'; the file is a PNG image")


def test_a_git_lfs_pointer_is_refused(tmp_path: Path) -> None:
    """A Git LFS pointer is refused before it is read, with a hint to fetch the file."""
    (tmp_path / "model.pkl").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    assert refusal(tmp_path) == (
        f"model file {tmp_path}/model.pkl is a Git LFS pointer (56 bytes), not the model: fetch it"
        " with `git lfs pull`"
    )


def test_a_second_flavor_is_read_if_the_first_is_missing(tmp_path: Path) -> None:
    """An image can read a second flavor, but prefers its own."""
    files = replace(FILES, other_flavors=(("other", "data"),))
    put(tmp_path, "model.pkl", "other.pkl")
    other = "flavors: {other: {data: other.pkl}}"
    (tmp_path / "MLmodel").write_text(other)
    found = find_artifact(str(tmp_path), files)
    assert (found.name, found.flavor) == ("other.pkl", {"data": "other.pkl"})
    assert found.mlmodel == {"flavors": {"other": {"data": "other.pkl"}}}
    both = MLFLOW_2.replace("flavors:\n", "flavors:\n  other: {data: other.pkl}\n")
    (tmp_path / "MLmodel").write_text(both)
    assert find_artifact(str(tmp_path), files).name == "model.pkl"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (AttributeError("no attribute 'Scaler'"), "AttributeError: no attribute 'Scaler'"),
        (EOFError(), "EOFError"),
        (ValueError("bad magic\nsecond line"), "ValueError: bad magic"),
        (ImportError("cannot import name 'a'"), "ImportError: cannot import name 'a'"),
    ],
)
def test_any_other_failure_is_reported_with_the_file(error: Exception, told: str) -> None:
    """Any other exception becomes an error with the file's name and the exception's text."""
    assert failure(ARTIFACT, error) == (
        f"model file /mnt/models/model.pkl cannot be loaded, it is damaged or of another kind:"
        f" {told}"
    )


def test_a_deployment_error_passes_through() -> None:
    """A DeploymentError is passed on unchanged."""
    assert failure(ARTIFACT, DeploymentError("set trusted_types")) == "set trusted_types"


def test_an_interrupt_passes_through() -> None:
    """A KeyboardInterrupt is passed on unchanged."""
    with pytest.raises(KeyboardInterrupt), ARTIFACT.reading():
        raise KeyboardInterrupt


LOOK = """
import sys
from prepackaged import DeploymentError, ModelFiles, find_artifact
try:
    print(find_artifact(sys.argv[1], ModelFiles(("model.pkl",), (".pkl",))))
except DeploymentError as error:
    print(error)
"""


def look_as_anyone(model_uri: Path) -> str:
    """Return the result of a search for a model in a process without root's capabilities."""
    command = [*as_anyone(), sys.executable, "-c", LOOK, str(model_uri)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_directory_that_may_not_be_listed_is_named(tmp_path: Path) -> None:
    """The error for an unreadable model directory is a single line."""
    put(tmp_path, "models/model.pkl")
    with permissions(tmp_path / "models", 0o000):
        message = look_as_anyone(tmp_path / "models")
    assert message == f"model directory {tmp_path}/models: Permission denied"


def test_a_path_that_may_not_be_walked_is_named(tmp_path: Path) -> None:
    """The error for a parent directory without permission says so."""
    put(tmp_path, "private/models/model.pkl")
    with permissions(tmp_path / "private", 0o600):
        message = look_as_anyone(tmp_path / "private/models")
    assert message == (
        f"model_uri '{tmp_path}/private/models' cannot be read:"
        f" [Errno 13] Permission denied: '{tmp_path}/private/models'"
    )


def test_a_file_that_may_not_be_reached_is_named(tmp_path: Path) -> None:
    """A directory that can be listed but not entered is a deployment error."""
    put(tmp_path, "models/model.pkl")
    with permissions(tmp_path / "models", 0o400):
        message = look_as_anyone(tmp_path / "models")
    assert message == (
        "'model.pkl', which the model directory names, cannot be read:"
        f" [Errno 13] Permission denied: '{tmp_path}/models/model.pkl'"
    )


def test_a_missing_path_in_an_unlistable_parent_is_still_missing(tmp_path: Path) -> None:
    """A missing path in an unreadable parent directory is reported as missing."""
    (tmp_path / "models").mkdir()
    with permissions(tmp_path / "models", 0o100):
        message = look_as_anyone(tmp_path / "models/iris")
    assert message == f"model_uri '{tmp_path}/models/iris' does not exist"
