from collections.abc import Callable

import pytest

from prepackaged import DeploymentError
from prepackaged.parameters import chosen, is_true, number, whole_number, wrong_parameter


@pytest.mark.parametrize("value", ["true", "True", " TRUE ", True])
def test_true_may_be_written_in_any_case(value: object) -> None:
    """True may be written in any case, or as a parameter of type BOOL."""
    assert is_true("allowed", value)


@pytest.mark.parametrize("value", [None, "", "false", "False", False])
def test_unset_is_false(value: object) -> None:
    """An unset or empty parameter is false."""
    assert not is_true("allowed", value)


@pytest.mark.parametrize("value", ["yes", "1", "ture"])
def test_any_other_value_stops_the_start(value: str) -> None:
    """Any other value is an error, so that misspelt words do not count as false."""
    with pytest.raises(DeploymentError, match=f"allowed to be true or false, got '{value}'"):
        is_true("allowed", value)


def test_a_long_value_is_truncated_in_the_error() -> None:
    """The error for a value of any length is one short line, with the cure at its end."""
    error = wrong_parameter("device", "cpu", "x" * 100_000, "set device to cpu")

    assert str(error) == (
        f"expected the parameter device to be cpu, got '{'x' * 99}: set device to cpu"
    )


@pytest.mark.parametrize(
    ("value", "word"), [(None, "ignore"), ("", "ignore"), (" Refuse ", "refuse")]
)
def test_a_parameter_is_one_of_its_words(value: object, word: str) -> None:
    """Unset, a parameter is the first of its words; otherwise any case is accepted."""
    assert chosen("extra", value, ("ignore", "refuse")) == word


def test_the_error_lists_the_valid_words() -> None:
    """The error lists the words."""
    with pytest.raises(DeploymentError, match="extra to be ignore or refuse, got 'drop'"):
        chosen("extra", "drop", ("ignore", "refuse"))


def test_numbers_are_read() -> None:
    """A whole number has a default; a number may be unset or have a fraction."""
    assert [whole_number("n", value, 1) for value in (None, "", " 4", 4)] == [1, 1, 4, 4]
    assert [number("n", value) for value in (None, "", "-999", 0.5)] == [None, None, -999, 0.5]


@pytest.mark.parametrize(
    "read", [lambda value: whole_number("n", value, 1), lambda value: number("n", value)]
)
def test_an_invalid_number_is_an_error(read: Callable[[object], object]) -> None:
    """Words are an error, which shows the value."""
    with pytest.raises(DeploymentError, match=r"the parameter n to be a .*number, got 'many'"):
        read("many")
