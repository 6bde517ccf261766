"""Hypothesis strategies for Seldon messages as clients might send them."""

import base64
from typing import Any

import numpy as np
from hypothesis import strategies as st

numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(), st.booleans())
cells = st.one_of(numbers, st.text(max_size=5), st.none())
anything = st.recursive(
    st.one_of(st.none(), numbers, st.text(max_size=5)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.lists(st.text(max_size=4), max_size=3)


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[Any] = cells) -> list[list[Any]]:
    """Rows of equal length."""
    width = draw(st.integers(1, 3))
    return draw(st.lists(st.lists(values, min_size=width, max_size=width), min_size=1, max_size=3))


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, Any]:
    """A tensor: shape and values, sometimes one value short."""
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    size = int(np.prod(shape)) - draw(st.sampled_from([0, 0, 0, 1]))
    values = draw(st.lists(st.floats(), min_size=max(size, 0), max_size=max(size, 0)))
    return {"shape": shape, "values": values}


def data_of(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A message with `data`, with names or without."""
    return st.fixed_dictionaries({kind: values}, optional={"names": names}).map(
        lambda data: {"data": data}
    )


def field(kind: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A message with one field other than `data`."""
    return st.fixed_dictionaries({kind: values})


payloads = st.one_of(
    data_of("ndarray", tables()),
    data_of("ndarray", tables(numbers)),
    data_of("tensor", tensors()),
    field("jsonData", anything),
    field("strData", st.text(max_size=10)),
    field("binData", st.binary(max_size=10).map(lambda raw: base64.b64encode(raw).decode())),
)
metas = st.fixed_dictionaries(
    {},
    optional={
        "puid": st.text(max_size=5),
        "tags": st.dictionaries(st.text(max_size=3), anything, max_size=2),
        "routing": st.dictionaries(st.text(max_size=3), st.integers(-1, 3), max_size=2),
        "requestPath": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    },
)
messages = st.builds(lambda payload, meta: {**payload, "meta": meta}, payloads, metas)
