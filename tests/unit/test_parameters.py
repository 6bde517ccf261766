import pytest

from prepackaged import DeploymentError
from prepackaged.parameters import is_true


@pytest.mark.parametrize("value", ["true", "True", " TRUE ", True])
def test_true_is_true(value: object) -> None:
    """True may be written in any case, or as a parameter of type BOOL."""
    assert is_true("allowed", value)


@pytest.mark.parametrize("value", [None, "", "false", "False", False])
def test_unset_is_false(value: object) -> None:
    """An unset or empty parameter is false."""
    assert not is_true("allowed", value)


@pytest.mark.parametrize("value", ["yes", "1", "ture"])
def test_any_other_word_stops_the_start(value: str) -> None:
    """Any other value is an error, so that misspelt words do not count as false."""
    with pytest.raises(DeploymentError, match=f"allowed must be true or false; not '{value}'"):
        is_true("allowed", value)
