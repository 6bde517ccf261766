from typing import Any

import numpy as np
import pytest

from prepackaged import ClientError
from prepackaged.b64 import decode_b64, encode_b64, is_b64


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", b""),
        ("AA==", b"\0"),
        ("aGk=", b"hi"),
        ("iVBORw0KGgo=", b"\x89PNG\r\n\x1a\n"),
        ("aGlo\r\naQ==\n", b"hihi"),
    ],
)
def test_base64_is_decoded_as_in_rfc_4648(text: str, content: bytes) -> None:
    """Base64 is decoded as in RFC 4648, ignoring line breaks."""
    assert decode_b64({"b64": text}) == content


def test_base64_objects_may_be_anywhere() -> None:
    """Base64 objects are decoded anywhere in lists, objects and arrays; the input is unchanged."""
    bits = {"b64": "aGk="}
    cells = np.array([[bits, 1], [None, "x"]], dtype=object)
    value = {"a": [bits, [bits, "aGk="]], "b": {"c": bits}, "d": 2.5, "e": {"b64": bits, "more": 1}}

    assert decode_b64(value) == {
        "a": [b"hi", [b"hi", "aGk="]],
        "b": {"c": b"hi"},
        "d": 2.5,
        "e": {"b64": b"hi", "more": 1},
    }
    assert decode_b64(cells).tolist() == [[b"hi", 1], [None, "x"]]
    assert cells[0, 0] == bits  # the request is not changed
    numbers = np.zeros(3)
    assert decode_b64(numbers) is numbers


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("a", "'a': "),
        ("aGk", "'aGk': "),
        ("a*k=", "'a*k=': "),
        ("äöü=", "'äöü=': "),
        (5, "5"),
        (None, "None"),
        (["aGk="], "['aGk=']"),
    ],
)
def test_invalid_base64_is_the_clients_mistake(value: Any, got: str) -> None:
    """The error message for invalid Base64 shows the value, truncated."""
    with pytest.raises(ClientError) as caught:
        decode_b64([{"b64": value}])
    wanted = 'expected {"b64": "..."} with a string in Base64, got '
    assert str(caught.value).startswith(wanted + got)


def test_a_long_text_is_truncated_in_the_message() -> None:
    """A long value is truncated in the error message."""
    with pytest.raises(ClientError) as caught:
        decode_b64({"b64": "*" * 10**6})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [{"b64": "aGk=", "x": 1}, {"B64": "aGk="}, {}, "b64", ["b64"]])
def test_other_values_are_not_decoded(value: Any) -> None:
    """Only an object whose single key is "b64" is decoded, as in TensorFlow Serving."""
    assert not is_b64(value)
    assert decode_b64(value) == value


def test_encoded_bytes_are_decoded_to_the_same_bytes() -> None:
    """Encoded bytes are decoded to the same bytes."""
    assert encode_b64(b"hi") == {"b64": "aGk="}
    assert decode_b64(encode_b64(bytes(range(256)))) == bytes(range(256))
