from pathlib import Path

import pytest

from prepackaged import Artifact, DeploymentError
from prepackaged.versions import Versions, check_policy, mlflow_versions

HERE = {"scikit-learn": "1.9.1", "xgboost": "3.2.0"}
SKLEARN_TAGS = "1.0-sklearn1.9:scikit-learn@1.9.1,1.0-sklearn1.6:scikit-learn@1.6.1"
XGBOOST_TAGS = (
    "1.0-xgboost3.2:xgboost@3.2.0:scikit-learn@1.9.1,"
    "1.0-xgboost2.1:xgboost@2.1.4:scikit-learn@1.6.1"
)


@pytest.mark.parametrize(
    ("saved", "differing"),
    [
        ({}, []),
        ({"scikit-learn": "1.9.1"}, []),
        ({"scikit-learn": "1.9.0"}, []),
        ({"scikit-learn": "1.10.0"}, ["scikit-learn"]),
        ({"scikit-learn": "1.8.2"}, ["scikit-learn"]),
        ({"scikit-learn": "0.24"}, ["scikit-learn"]),
        ({"xgboost": "1.7.6"}, []),
        ({"xgboost": "3.2.9"}, []),
        ({"xgboost": "3.10.0"}, ["xgboost"]),
        ({"scikit-learn": "1.6.1", "xgboost": "2.1.4"}, ["scikit-learn"]),
        ({"lightgbm": "4.0"}, []),
    ],
)
def test_minor_versions_differ(saved: dict[str, str], differing: list[str]) -> None:
    """XGBoost reads models of older versions; scikit-learn needs the same minor version."""
    assert Versions(saved, HERE).differing() == differing
    assert bool(Versions(saved, HERE).advice()) == bool(differing)


def test_the_tag_with_the_version_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice names the saving and the installed versions, and the tag to use."""
    monkeypatch.setenv("PREPACKAGED_TAGS", SKLEARN_TAGS)
    versions = Versions({"scikit-learn": "1.6.0"}, HERE, "3.10.13", "2.22.5")

    assert versions.advice() == (
        "it was saved by scikit-learn 1.6.0 (Python 3.10.13, MLflow 2.22.5), and this image has"
        " scikit-learn 1.9.1: use the tag 1.0-sklearn1.6"
    )


def test_a_tag_must_have_all_that_the_model_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recommended tag must have the versions of all packages in the model."""
    monkeypatch.setenv("PREPACKAGED_TAGS", XGBOOST_TAGS)

    older = Versions({"scikit-learn": "1.6.1", "xgboost": "2.0.3"}, HERE).advice()
    mixed = Versions({"scikit-learn": "1.6.1", "xgboost": "3.0.0"}, HERE).advice()

    assert older.endswith("use the tag 1.0-xgboost2.1")
    assert "use the tag" not in mixed


def test_only_existing_tags_are_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no tag has the version, the advice lists the available versions."""
    monkeypatch.setenv("PREPACKAGED_TAGS", SKLEARN_TAGS)

    assert Versions({"scikit-learn": "1.2.2"}, HERE).advice() == (
        "it was saved by scikit-learn 1.2.2, and this image has scikit-learn 1.9.1: no tag of this"
        " image has that version, only 1.9.1, 1.6.1; save the model again with a version that one"
        " of the tags has, or fork this image"
    )


@pytest.mark.parametrize("tags", ["", "nonsense", ",:,@", "a:b:c@"])
def test_an_image_that_knows_no_tags_recommends_none(
    tags: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without valid tags in the environment, none is recommended."""
    monkeypatch.setenv("PREPACKAGED_TAGS", tags)

    assert "use the tag" not in Versions({"scikit-learn": "1.2.2"}, HERE).advice()


def test_the_policy_warns_refuses_or_is_off(caplog: pytest.LogCaptureFixture) -> None:
    """The policy is to warn, to refuse or to do nothing about different versions."""
    differing, fitting = Versions({"scikit-learn": "1.8.0"}, HERE), Versions({}, HERE)
    path = Path("model.pkl")

    assert [fitting.checked(policy, path) for policy in ("warn", "refuse", "off")] == ["", "", ""]
    assert differing.checked("off", path) == ""
    assert caplog.text == ""
    assert differing.checked("warn", path) == differing.advice()
    assert "answers may differ, because it was saved by scikit-learn 1.8.0" in caplog.text
    with pytest.raises(DeploymentError, match=r"model.pkl: version_mismatch is refuse, and it was"):
        differing.checked("refuse", path)


@pytest.mark.parametrize(("word", "policy"), [(None, "warn"), ("", "warn"), (" Refuse ", "refuse")])
def test_the_policy_is_warn_unless_it_is_set(word: str | None, policy: str) -> None:
    """The default policy is warn; its case does not matter."""
    assert check_policy(word) == policy


def test_another_policy_is_refused() -> None:
    """The error for an unknown policy lists the known ones."""
    with pytest.raises(DeploymentError, match="to be warn, refuse, off, got 'strict'"):
        check_policy("strict")


@pytest.mark.parametrize(
    ("mlmodel", "expected"),
    [
        ({}, ("", "")),
        (
            {
                "mlflow_version": "2.1.0",
                "flavors": {"python_function": {"python_version": "3.12.4"}},
            },
            ("3.12.4", "2.1.0"),
        ),
        ({"flavors": None}, ("", "")),
        ({"flavors": {"python_function": "word"}, "mlflow_version": None}, ("", "")),
    ],
)
def test_mlmodel_names_python_and_mlflow(mlmodel: object, expected: tuple[str, str]) -> None:
    """The Python and MLflow versions are read from MLmodel; malformed values are ignored."""
    artifact = Artifact(Path("/m/model.pkl"), "model.pkl", Path("/m"), mlmodel=mlmodel)  # type: ignore[arg-type]

    assert mlflow_versions(artifact) == expected
