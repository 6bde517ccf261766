"""Answer requests of several rows with a model that accepts one row at a time."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from prepackaged.arrays import Array, list_by_row
from prepackaged.errors import ClientError
from prepackaged.signature import FreeShape

Arrays = dict[str, Array]


def run_by_row(
    run: Callable[[Arrays], Arrays],
    arrays: Arrays,
    by_row: Collection[str],
    shapes: Mapping[str, FreeShape | None],
) -> Arrays:
    """Call `run` for each row of the inputs `by_row`, and join its outputs.

    Inputs with one row and inputs not in `by_row` are passed unchanged to each call. For a request
    of one row, the result of `run` is returned unchanged. `shapes` are the shapes of one call's
    outputs, for `joined`. Raises `ClientError` if inputs have different numbers of rows.
    """
    counts = {name: len(arrays[name]) for name in by_row if name in arrays}
    rows = max(counts.values(), default=1)
    if wrong := [name for name, count in counts.items() if count not in (1, rows)]:
        most = next(name for name, count in counts.items() if count == rows)
        raise ClientError(
            f"expected as many rows in every input, or one; {most!r} has {rows},"
            f" {wrong[0]!r} has {counts[wrong[0]]}"
        )
    if rows == 1:
        return run(arrays)
    split = {name for name, count in counts.items() if count == rows}
    answers = [
        run({name: a[row : row + 1] if name in split else a for name, a in arrays.items()})
        for row in range(rows)
    ]
    return {name: joined([each[name] for each in answers], shapes.get(name)) for name in answers[0]}


def whole(shapes: Mapping[str, FreeShape | None]) -> frozenset[str]:
    """The outputs without an axis for rows, all of whose values belong to the row of the call.

    `shapes` are as for `run_by_row`. An output without axes is one number for the row.
    """
    return frozenset(
        name for name, shape in shapes.items() if shape is None or shape[:1] not in ((1,), ())
    )


def joined(parts: Sequence[Array], shape: FreeShape | None) -> Array:
    """Join the outputs for single rows, each of `shape`, to one array with rows as first axis.

    If the shape begins with 1, that axis becomes the rows. If sizes are free or unknown, such as
    the number of detected objects, the array contains a list for each row, even if they have equal
    lengths.
    """
    has_batch = shape is not None and shape[:1] == (1,)
    if shape is not None and None not in shape and len({part.shape for part in parts}) == 1:
        return np.concatenate(parts) if has_batch else np.stack(parts)
    return list_by_row(
        [(each[0] if has_batch and len(each) == 1 else each).tolist() for each in parts]
    )
