import json
from pathlib import Path

import pytest

import run


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("method=predict", "STRING"),
        ("allow_pickle=true", "BOOL"),
        ("allow_pickle=False", "BOOL"),
        ("threads=4", "INT"),
        ("shift=-1", "INT"),
        ("image_scale=0.5", "DOUBLE"),
        ("image_scale=1e-3", "DOUBLE"),
        ("code=007", "STRING"),
        ("device=cuda:0", "STRING"),
        ("name=nan", "STRING"),
        ("expression=a=b", "STRING"),
        ("trusted_types='numpy.dtype, a.B'", "STRING"),
    ],
)
def test_parameters_have_the_type_that_they_look_like(words: str, kind: str) -> None:
    """A parameter gets the Seldon type that its value looks like."""
    name, _, value = words.partition("=")
    expected = {name: {"name": name, "value": value.strip("'"), "type": kind}}
    assert run.given_parameters("", words, "") == expected


def test_exported_parameters_stay_and_the_command_line_wins() -> None:
    """Command line parameters override exported ones, and PARAMETERS overrides MODEL_URI."""
    exported = [
        {"name": "method", "value": "predict_proba", "type": "STRING"},
        {"name": "model_uri", "value": "/exported", "type": "STRING"},
        {"name": "threads", "value": "2", "type": "INT"},
    ]
    given = run.given_parameters("models/iris", "method=predict", json.dumps(exported))
    assert given == {
        "method": {"name": "method", "value": "predict", "type": "STRING"},
        "model_uri": {
            "name": "model_uri",
            "value": str(Path.cwd() / "models/iris"),
            "type": "STRING",
        },
        "threads": exported[2],
    }
    again = run.given_parameters("/one", "model_uri=two", "")
    assert again["model_uri"]["value"] == str(Path.cwd() / "two")


@pytest.mark.parametrize("words", ["predict", "=predict", "method="])
def test_an_invalid_parameter_is_an_error(words: str) -> None:
    """The error for an invalid parameter shows the expected form."""
    with pytest.raises(SystemExit, match=f"^PARAMETERS: expected name=value, got '{words}'$"):
        run.given_parameters("", words, "")


@pytest.mark.parametrize("exported", ["{", "7", "[1]", '[{"value": 1}]'])
def test_invalid_exported_parameters_are_an_error(exported: str) -> None:
    """The error for invalid exported parameters names the variable without its value."""
    with pytest.raises(SystemExit, match=r"^PREDICTIVE_UNIT_PARAMETERS: expected a JSON list"):
        run.given_parameters("", "", exported)
