from typing import Any

import numpy as np
import pytest

from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.v2 import json_responses, protobuf_codec
from prepackaged.server.protocols.v2.descriptors import CLASSES
from prepackaged.server.protocols.v2.json_responses import _about
from prepackaged.server.protocols.v2.outputs import Outputs
from prepackaged.server.protocols.v2.requests import InferRequest
from prepackaged.server.protocols.v2.served import Name


@pytest.mark.parametrize(
    ("value", "field", "contents"),
    [
        (np.array([True]), "bool_contents", [True]),
        (np.array([-1], np.int8), "int_contents", [-1]),
        (np.array([2**16 - 1], np.uint16), "uint_contents", [2**16 - 1]),
        (np.array([-(2**63)]), "int64_contents", [-(2**63)]),
        (np.array([2**64 - 1], np.uint64), "uint64_contents", [2**64 - 1]),
        (np.array([0.5], np.float32), "fp32_contents", [0.5]),
        (np.array([0.1]), "fp64_contents", [0.1]),
        (np.array(["caf\u00e9", b"\xff"], object), "bytes_contents", [b"caf\xc3\xa9", b"\xff"]),
    ],
)
def test_a_typed_response_has_its_values_in_the_field_of_their_datatype(
    value: Any, field: str, contents: list[Any]
) -> None:
    """A typed response has its values in the field of their datatype, a raw one as raw contents."""
    asked = InferRequest(None, [], id="r")
    outputs = Outputs(object()).selected(asked, {None: Prediction(value, [], {}, [])})
    tags = {"text": "x", "flag": True, "count": 2, "share": 0.5, "large": 2**70, "deep": {}}
    typed = decoded(protobuf_codec.encode(Name("m"), asked, outputs, tags))
    assert (typed.model_name, typed.model_version, typed.id) == ("m", "1", "r")
    assert list(getattr(typed.outputs[0].contents, field)) == contents
    chosen = {key: each.WhichOneof("parameter_choice") for key, each in typed.parameters.items()}
    assert chosen == {
        "text": "string_param", "flag": "bool_param", "count": "int64_param",
        "share": "double_param",
    }  # fmt: skip
    raw = decoded(
        protobuf_codec.encode(Name("m"), InferRequest(None, [], is_binary=True), outputs, {})
    )
    assert len(raw.raw_output_contents) == 1
    assert not raw.outputs[0].HasField("contents")


def decoded(message: bytes) -> Any:
    """Parse a response."""
    return CLASSES["ModelInferResponse"].FromString(message)


def test_long_output_names_are_not_cached() -> None:
    """Long output names are not cached, since a client may choose them."""
    outputs = Outputs(object())
    for name in ("n" * 10_000, "m" * 10_000):
        value = Prediction({name: np.array([1.0])}, [], {}, [])
        asked = InferRequest(None, [], is_binary=True)
        made = outputs.selected(asked, {None: value})
        before = [each.cache_info().currsize for each in (protobuf_codec._head, _about)]
        assert decoded(protobuf_codec.encode(Name("m"), asked, made, {})).outputs[0].name == name
        assert name.encode() in json_responses.encode(b"{", asked, made, {})[0]
        assert before == [each.cache_info().currsize for each in (protobuf_codec._head, _about)]
