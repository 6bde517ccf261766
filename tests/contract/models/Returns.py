"""A Model whose result the request chooses with the tag `return`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonResponse

COUNTER = {"type": "COUNTER", "key": "returned", "value": 2, "tags": {"of": "response"}}


def _forbid() -> Any:
    raise SeldonMicroserviceException("not for you", status_code=403, reason="FORBIDDEN")


def _fail_silently() -> Any:
    raise SeldonMicroserviceException("nobody is told", status_code=204)


class NotFoundError(Exception):
    """An error with a status, as Seldon's guides write them for error handlers."""

    def __init__(self, message: str, status_code: int) -> None:
        Exception.__init__(self)
        self.message = message
        self.status_code = status_code


def _miss() -> Any:
    raise NotFoundError("no such flower", 404)


def _fail() -> Any:
    raise ValueError("the model is broken")


RESULTS: dict[str, Callable[[], Any]] = {
    "list": lambda: [[1, 2.5], [3, 4.5]],
    "flat list": lambda: [1, 2],
    "list of texts": lambda: ["a", "b"],
    "table of texts": lambda: [["a"], ["b"]],
    "mixed list": lambda: [[1, "a", None, True]],
    "empty list": list,
    "integers": lambda: np.array([[1, 2], [3, 4]]),
    "floats": lambda: np.array([[0.1, -0.0], [1e300, 5e-324]]),
    "single precision": lambda: np.array([[0.1]], dtype=np.float32),
    "booleans": lambda: np.array([[True], [False]]),
    "text array": lambda: np.array([["a", "bc"]]),
    "objects": lambda: np.array([["a", 1, None]], dtype=object),
    "three dimensions": lambda: np.zeros((1, 2, 3)),
    "no dimension": lambda: np.array(7.5),
    "no rows": lambda: np.zeros((0, 3)),
    "nan": lambda: np.array([[np.nan, np.inf, -np.inf]]),
    "nan in a dict": lambda: {"score": float("nan")},
    "text": lambda: "é 語 \u2028 <&>",
    "empty text": lambda: "",
    "bytes": lambda: b"\x00\xff",
    "bytearray": lambda: bytearray(b"abc"),
    "dict": lambda: {"b": [1, 2.0, None, "x"], "a": {"deep": True}},
    "numpy in a dict": lambda: {"n": np.int64(3), "f": np.float32(0.5), "a": np.array([1, 2])},
    "numbers as keys": lambda: {1: "one", 2: "two"},
    "bytes in a list": lambda: [b"\xff", b"cat"],
    "tuple in a dict": lambda: {"pair": (1, 2)},
    "none": lambda: None,
    "number": lambda: 1.5,
    "tuple": lambda: (1, 2),
    "numpy number": lambda: np.float64(1.5),
    "ragged list": lambda: [[1, 2], [3]],
    "response": lambda: SeldonResponse([[1]], {"of": "response"}, [COUNTER | {"tags": {}}]),
    "response of text": lambda: SeldonResponse("x", {"hook": "response"}),
    "unspeakable metric": lambda: SeldonResponse([[1]], {}, [COUNTER | {"key": "not a name"}]),
    "bad metric": lambda: SeldonResponse([[1]], {}, [{"key": "x"}]),
    "forbidden": _forbid,
    "not found": _miss,
    "silent": _fail_silently,
    "failure": _fail,
}


class Returns:
    """Counts the calls to predict, so that tests see if a TypeError in it causes a second call."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Return the result that the tag `return` names, or else the number of calls so far."""
        self.calls += 1
        asked = ((meta or {}).get("tags") or {}).get("return")
        if asked == "type error":
            raise TypeError("inside of predict")
        if asked == "written":
            X[...] = X + 1
            return X
        return RESULTS[asked]() if asked else [self.calls]

    def route(self, X: Any, names: Any, meta: Any = None) -> Any:
        """Return a number of numpy's."""
        return np.int64(1)

    def tags(self) -> dict[str, Any]:
        """Return a tag that a SeldonResponse may replace."""
        return {"hook": "tags"}

    def metrics(self) -> list[dict[str, Any]]:
        """Return a metric in addition to the SeldonResponse's."""
        return [{"type": "GAUGE", "key": "steady", "value": 1}]
