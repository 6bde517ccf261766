"""Convert a request to the input of an estimator: a DataFrame, an array, or a list of items."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from prepackaged.arrays import Array, count_words, from_lists
from prepackaged.column_names import wrong_names
from prepackaged.errors import ClientError, WrongNamesError
from prepackaged.estimators.columns import DOCUMENTS
from prepackaged.estimators.items import ITEMS, items_of
from prepackaged.estimators.steps import (
    first_step,
    forget_names,
    is_own,
    item_kind,
    may_add_columns,
)
from prepackaged.estimators.trial import NAME_AS_INDEX, reads_names
from prepackaged.tables import NUMBERS, Columns, Table, texts

NAMES_NEEDED = "expected column names beside the rows, or records: the model reads columns by name"
FLOATS = {"float64", "float32"}


class Inputs:
    """Prepare requests for an estimator with these columns.

    `prepare` converts a request to an array or a `Table`, which can be stacked with those of other
    requests; `rows` converts the result to the estimator's input. `wants_names` is true if that is
    a DataFrame, and `may_add` if an author's step may add columns to it. `takes_lists` is true if
    rows should be sent as lists, because an array has one dtype for all columns.
    """

    def __init__(self, estimator: Any, columns: Columns) -> None:
        kinds = {fact.kind for fact in columns.facts or () if fact.used}
        self._columns = columns
        first = first_step(estimator)
        self._is_own = is_own(first)
        self._item_kind = item_kind(first)
        is_numeric = bool(kinds) and kinds <= FLOATS
        self.wants_names = bool(columns.names) and not (is_numeric and forget_names(estimator))
        self.may_add = self.wants_names and may_add_columns(first)
        knows_count = columns.count is not None
        is_unknown = self._is_own and knows_count and not (columns.names or self._item_kind)
        self._reads_names = is_unknown and reads_names(first, columns.count or 0)
        is_other = self._item_kind or self.wants_names or self._reads_names
        self._is_plain = knows_count and not is_other
        self.takes_lists = bool(self._item_kind) or not kinds or not kinds <= {*FLOATS, "text"}

    def prepare(self, X: Any, names: Iterable[str] | None = None) -> Any:
        """The request's rows, cast by the signature. Raises `ClientError`."""
        if self._is_plain and isinstance(X, np.ndarray):
            array = self._columns.numbers(X, names)
            if array is not None:
                return array
        if isinstance(X, Table):
            return X
        if self._item_kind:
            return items_of(X, names, self._item_kind)
        if self.wants_names:
            return self._named(X, names) if self.may_add else self._columns.table(X, names)
        if self._columns.count is None or self._reads_names:
            return self._unknown(X, names)
        if self._is_own and (images := _deep_array(X)) is not None:
            return images
        return self._array(X, names)

    def rows(self, prepared: Any) -> Any:
        """The estimator's input."""
        if not isinstance(prepared, Table):
            is_table = bool(self._columns.names) and prepared.ndim == 2
            # The memory order of a DataFrame, so that sums round in the same way.
            return np.asfortranarray(prepared) if is_table else prepared
        if prepared.facts is ITEMS or prepared.facts is DOCUMENTS:  # not a table of one column
            return self._listed(prepared.arrays[0])
        return prepared.frame() if prepared.facts[0].name is not None else prepared.array()

    def lacks_names(self, prepared: Any, error: Exception) -> bool:
        """Whether an author's first step failed because it reads columns by name, and got none."""
        if not self._is_own or self._columns.count is not None:
            return False
        if isinstance(prepared, Table) and prepared.facts is DOCUMENTS:
            return isinstance(error, KeyError)  # the texts of a column without a name
        if isinstance(prepared, Table) and prepared.facts[0].name is not None:
            return False
        is_read = isinstance(getattr(error, "obj", None), np.ndarray)
        return is_read or (isinstance(error, IndexError) and NAME_AS_INDEX in str(error))

    def lacking(self, prepared: Any, error: Exception) -> ClientError | None:
        """The error for a column that an author's step needs and the request lacks; None without.

        `error` is the failure of the model for the prepared rows.
        """
        if not (self._is_own and isinstance(prepared, Table)):
            return None
        sent, names = [str(fact.name) for fact in prepared.facts], self._columns.names or ()
        missing = [name for name in names if name not in sent] if self.may_add else []
        if isinstance(error, KeyError) and error.args and str(error.args[0]) not in sent:
            missing = [str(error.args[0])]
        return wrong_names(sent, names, missing) if names and missing else None

    def _named(self, X: Any, names: Iterable[str] | None) -> Table:
        """The columns of training, or those of the request if an author's step may add the rest."""
        try:
            return self._columns.table(X, names)
        except WrongNamesError as error:
            if not error.missing:
                raise
        sent, known = Columns().table(X, names), self._columns.names or ()
        # Known columns come first, in the order of training, which scikit-learn checks.
        order = {name: place for place, name in enumerate(known)}
        pairs = zip(sent.facts, sent.arrays, strict=True)
        ordered = sorted(pairs, key=lambda pair: order.get(pair[0].name or "", len(order)))
        facts, arrays = zip(*ordered, strict=True)
        return Table(facts, arrays)

    def _array(self, X: Any, names: Iterable[str] | None) -> Any:
        """Numbers as an array, anything else as a table, which becomes an array after stacking."""
        if isinstance(X, np.ndarray) and X.dtype.kind in "biuf":
            return self._columns.array(X, names)  # this call raises the error
        table = self._columns.table(X, names)
        return table.array() if all(each.dtype.kind in NUMBERS for each in table.arrays) else table

    def _unknown(self, X: Any, names: Iterable[str] | None) -> Any:
        """Rows for a first step that stored no columns; the values determine the dtypes."""
        if self._reads_names:
            return self._under_names(X, names)
        if names:
            return self._columns.table(X, names)
        if (documents := texts(X)) is not None:
            return items_of(documents, None, "text")
        is_rows = isinstance(X, list) and X and not isinstance(X[0], dict)
        values = from_lists(X) if is_rows else X
        is_numeric = isinstance(values, np.ndarray) and values.dtype.kind in "biuf"
        return values if is_numeric else self._columns.table(X)

    def _under_names(self, X: Any, names: Iterable[str] | None) -> Table:
        """Rows with the request's names, for an author's first step that reads columns by name."""
        table = Columns().table(X, names)
        if table.facts[0].name is None:
            raise ClientError(NAMES_NEEDED)
        if len(table.facts) != self._columns.count:
            raise ClientError(
                f"expected rows of {count_words(self._columns.count)}, got {len(table.facts)}"
            )
        return table

    def _listed(self, values: Array) -> Any:
        """Items as a list for scikit-learn's own steps, as a Series for others."""
        if not self._is_own:
            return values.tolist()
        from pandas import Series  # only now: importing pandas is slow

        return Series(values)


def _deep_array(X: Any) -> Array | None:
    """Numbers with three or more axes, such as images; None for anything else."""
    values = from_lists(X) if isinstance(X, list) and _depth(X) > 2 else X
    is_deep = isinstance(values, np.ndarray) and values.ndim > 2 and values.dtype.kind in "biuf"
    return values if is_deep else None


def _depth(lists: Any) -> int:
    """The nesting depth of the first value."""
    depth = 0
    while isinstance(lists, list) and lists:
        lists, depth = lists[0], depth + 1
    return depth
