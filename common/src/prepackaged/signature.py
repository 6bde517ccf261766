"""A model's inputs and outputs and the source of each fact, read once when it is loaded.

`tensor_values` and `tables` cast the values of requests according to these facts, and `metadata`
shows them in `GET /metadata`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import cached_property
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

Kind = Literal["float64", "float32", "int64", "bool", "text", "category", "datetime", "any"]
Source = Literal["model", "pipeline", "MLmodel", "metadata.yaml"]
RangeSource = Literal["training", "deviation", "thresholds", "samples"]  # the most exact first
FreeShape = tuple[int | None, ...]

BATCH = "batch"  # the name of the batch axis, unless the model names it differently
TEXT_KINDS = "OSU"  # numpy's dtype kinds for text
SHOWN = 20  # the most names shown of a list that may have thousands


class Unknown(Enum):
    """The type of `UNKNOWN`, for facts whose values may be None."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return self.name


UNKNOWN: Final = Unknown.UNKNOWN

# Stands for categories that JSON cannot express, such as intervals or bytes.
NO_CATEGORIES: Final[tuple[Any, ...]] = ()


@dataclass(frozen=True)
class ValueRange:
    """The known range of a column's numbers, from `low` to `high`, and its source.

    The source is `training` for the smallest and the largest value in training, `deviation` for 6
    standard deviations around the mean, `thresholds` for the thresholds of trees with a wide
    margin, and `samples` for the values in the samples beside the model.

    >>> print(ValueRange(10, 250, "training"))
    10 to 250
    """

    low: float
    high: float
    source: RangeSource

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Column:
    """A column of a table, as an input or output of a model.

    `name` is None if the model knows no name. `kind` is the type of the values in training:
    `float64`, `float32`, `int64`, `bool`, `text`, `category`, `datetime`, or `any` if it is
    unknown. `categories` are the values that occurred in training, if they are few; for the kind
    `category`, they are in the order of their codes. They are empty if JSON cannot express them,
    as for intervals. `open` is False if the model rejects all other values. `missing` is the
    value that meant "no value" in training, such as NaN or None, or `UNKNOWN`. `nullable` is
    False if the model rejects missing values, and `used` is False if it ignores the column. A
    request may omit an `optional` column, whose values are then missing.
    `value_range` is the known range of the numbers, or None. The model accepts numbers outside it,
    so comparisons of columns ignore it.
    Raises `ValueError` for an unknown kind.

    >>> print(Column("city", "text", categories=("Taipei", "Tainan")))
    city (text of Taipei, Tainan)
    """

    name: str | None = None
    kind: Kind = "any"
    categories: tuple[Any, ...] | None = None
    missing: Any = UNKNOWN
    used: bool = True
    nullable: bool = True
    open: bool = True
    optional: bool = False
    value_range: ValueRange | None = field(default=None, compare=False)

    @cached_property
    def categories_set(self) -> frozenset[Any]:
        """The categories as a set, for fast lookup."""
        return frozenset(self.categories or ())

    @cached_property
    def is_of_objects(self) -> bool:
        """Whether the numbers or booleans of this column were Python objects in training."""
        if self.kind == "bool":
            return self.missing is not UNKNOWN
        return self.kind == "any" and (self.missing is None or self.categories is not None)

    def label(self, place: int) -> str:
        """The column's name in quotes, or its position if it has no name, for error messages."""
        return str(place) if self.name is None else repr(self.name)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"expected a kind of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if isinstance(self.missing, float) and math.isnan(self.missing):
            object.__setattr__(self, "missing", math.nan)  # one object, so that columns are equal

    def __reduce__(self) -> tuple[Any, ...]:
        facts = tuple(getattr(self, each.name) for each in fields(self))
        return Column, facts  # unpickling must run __post_init__, since a pickle has its own NaN

    def __str__(self) -> str:
        kind: str = self.kind
        if self.categories:
            kind = f"{self.kind} of {_enumerated(self.categories)}"
        elif self.value_range is not None:
            kind = f"{self.kind} of {self.value_range}"
        missing = "" if self.missing is UNKNOWN else f", missing: {self.missing!r}"
        return f"{self.name or '?'} ({kind}{missing}{'' if self.used else ', unused'})"


@dataclass(init=False, frozen=True)
class TensorSpec:
    """A tensor, as an input or output of a model.

    `name` may be empty if there is only one output. `dtype` is numpy's: `str` or `object` for text,
    `bytes` for strings that may contain any bytes (TensorFlow's strings), None if the model accepts
    any number. `shape` begins with the batch axis; None stands for a free size, and a `shape` of
    None is unknown. A request may omit an `optional` input. Each row of a `ragged` output is a list
    of any length.

    `axes` has a name or None for each axis of `shape`: inputs must have the same size along axes
    of the same name. By default, a free first axis is named `batch`, and the others have no names.
    Raises `ValueError` if `axes` and `shape` differ in length.

    >>> print(TensorSpec("image", "float32", (None, 3, None, None)))
    image (float32 of shape [n, 3, ?, ?])
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: FreeShape | None
    optional: bool
    ragged: bool
    axes: tuple[str | None, ...]

    def __init__(
        self,
        name: str,
        dtype: npt.DTypeLike | None,
        shape: Sequence[int | None] | None = None,
        *,
        optional: bool = False,
        ragged: bool = False,
        axes: Sequence[str | None] | None = None,
    ) -> None:
        shape = None if shape is None else tuple(shape)
        named = _usual_axes(shape) if axes is None else tuple(axes)
        if len(named) != len(shape or ()):
            raise ValueError(f"expected a name or None for each axis of {shape}, got {named}")
        kind = None if dtype is None else np.dtype(dtype)
        facts = (name, kind, shape, optional, ragged, named)
        for each, value in zip(fields(self), facts, strict=True):
            object.__setattr__(self, each.name, value)

    @property
    def is_text(self) -> bool:
        """Whether values are text rather than numbers."""
        return self.dtype is not None and self.dtype.kind in TEXT_KINDS

    @property
    def is_batch(self) -> bool:
        """Whether its first axis is the batch, with one row for each row of the request."""
        return self.shape is not None and self.shape[:1] == (None,)

    def expected(self) -> str:
        """The dtype and shape in words, such as `float32 of shape [n, 3, ?, ?]`."""
        dtype = "numbers" if self.dtype is None else "text" if self.is_text else self.dtype.name
        return dtype if self.shape is None else f"{dtype} of shape {_shown_shape(self.shape)}"

    def __str__(self) -> str:
        optional = ", optional" if self.optional else ""
        return f"{self.name or 'array'} ({self.expected()}{optional})"


Facts = tuple[Column, ...] | tuple[TensorSpec, ...]
SOURCED = ("inputs", "outputs", "class_names", "methods")  # not `method`: a parameter sets it


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model.

    `inputs` and `outputs` are columns or tensors, or None if they are unknown; if only the number
    of columns is known, use that many columns without names. `class_names` are the classes of a
    classifier, in the order of its scores. `method` is the method that answers requests, and
    `methods` are all methods of the model.

    `sources` maps each of these fields except `method` to the source of the fact: `model`,
    `pipeline`, `MLmodel` or `metadata.yaml`. Raises `ValueError` for other names.

    `example` has inputs of one row that the model has answered, by name, or by position for columns
    without names; it is empty if all that were tried failed, None if none were tried.

    >>> print(Signature(inputs=(Column("area", "float64"),), class_names=("cheap", "dear")))
    inputs: area (float64)
    outputs: unknown
    class_names: cheap, dear
    """

    inputs: Facts | None = None
    outputs: Facts | None = None
    class_names: tuple[str, ...] | None = None
    method: str | None = None
    methods: tuple[str, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict, hash=False)
    example: Mapping[str, npt.NDArray[Any]] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", dict(self.sources))  # the caller may change its own
        _check("sources of", self.sources, SOURCED)
        _check("sources", self.sources.values(), get_args(Source))

    def with_source(self, source: Source) -> "Signature":
        """A copy in which `source` is the source of every known fact."""
        known = [name for name in SOURCED if getattr(self, name) not in (None, ())]
        return replace(self, sources=dict.fromkeys(known, source))

    @cached_property
    def input_tensors(self) -> tuple[TensorSpec, ...]:
        """The inputs if they are tensors, else an empty tuple."""
        return tuple(each for each in self.inputs or () if isinstance(each, TensorSpec))

    @cached_property
    def output_tensors(self) -> tuple[TensorSpec, ...]:
        """The outputs if they are tensors, else an empty tuple."""
        return tuple(each for each in self.outputs or () if isinstance(each, TensorSpec))

    def __str__(self) -> str:
        lines = {
            "inputs": _shown_facts(self.inputs),
            "outputs": _shown_facts(self.outputs),
            "class_names": _enumerated(self.class_names or ()),
            "method": self.method,
            "methods": _enumerated(self.methods),
        }
        shown = {name: text for name, text in lines.items() if text}
        return "\n".join(f"{name}: {text}{self._source(name)}" for name, text in shown.items())

    def _source(self, name: str) -> str:
        return f" [{self.sources[name]}]" if name in self.sources else ""


def declared_signature(model: Any) -> Signature | None:
    """The model's signature, or None if it has none."""
    signature = getattr(model, "signature", None)
    return signature if isinstance(signature, Signature) else None


def _usual_axes(shape: FreeShape | None) -> tuple[str | None, ...]:
    return tuple(
        BATCH if number == 0 and size is None else None for number, size in enumerate(shape or ())
    )


def _check(what: str, got: Any, known: Sequence[str]) -> None:
    if wrong := [name for name in got if name not in known]:
        raise ValueError(f"expected {what} {', '.join(known)}, got {', '.join(map(repr, wrong))}")


def _shown_facts(facts: Facts | None) -> str:
    """Columns or tensors as text, each by name unless columns have none."""
    if facts is None:
        return "unknown"
    nameless = Column()
    if facts and all(each == nameless for each in facts):
        return f"{len(facts)} columns without names"
    return _enumerated(facts)


def _enumerated(values: Sequence[Any]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(map(str, values[:SHOWN])) + more


def _shown_shape(shape: FreeShape) -> str:
    """A shape as text: n is the batch, ? any other free size."""
    names = ["n", *"?" * len(shape)]
    shown = [name if size is None else str(size) for name, size in zip(names, shape, strict=False)]
    return f"[{', '.join(shown)}]"
