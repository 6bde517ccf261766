"""Run a pipeline with a ColumnTransformer on arrays, in a third of the time.

For a few rows, a ColumnTransformer spends most of its time looking up names in DataFrames. Here,
each of its steps gets an array of its columns, whose positions are looked up once; the rest is
unchanged. This is used only if trial rows and the first requests get bit-identical answers, and
the answers are compared again from time to time.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from prepackaged.errors import ClientError
from prepackaged.estimators.columns import is_numeric, is_table_encoder
from prepackaged.estimators.steps import is_dropped, is_passthrough
from prepackaged.estimators.trial_tables import trial_tables
from prepackaged.estimators.unchecked import Call, joined, method_of, transform_of
from prepackaged.signature import NO_CATEGORIES, Column
from prepackaged.tables import Table

logger = logging.getLogger(__name__)

CHECKS = 3  # the number of calls that must agree before arrays are used
CHECK_EVERY = 1000  # the number of calls from one comparison to the next

Step = Callable[[Table], Any]


class Compiled:
    """Call a method of a pipeline on arrays, if the result is the same as on a DataFrame."""

    def __init__(self, estimator: Any, facts: Sequence[Column], method: str) -> None:
        self._estimator = estimator
        self._method = method
        self._checks = CHECKS
        self._until_check = CHECK_EVERY
        self._fast = compiled(estimator, facts, method) if self._is_proven(facts) else None

    def __call__(self, table: Table) -> Any:
        """The method's result for the rows of a table. Raises whatever the estimator raises."""
        if self._fast is None:
            return self._exact(table)
        self._until_check -= 1
        if self._checks or self._until_check < 0:
            self._check(self._fast, table)
            return self._exact(table)
        return self._fast(table)

    def _exact(self, table: Table) -> Any:
        return getattr(self._estimator, self._method)(table.frame())

    def _is_proven(self, facts: Sequence[Column]) -> bool:
        """Whether a copy gives the same answers to trial rows; False if none can be made."""
        if any(fact.categories == NO_CATEGORIES for fact in facts):
            return False
        trial = copy.copy(self)
        trial._estimator = copy.deepcopy(self._estimator)
        fast = compiled(trial._estimator, facts, self._method)
        try:
            tables = list(trial_tables(facts))
        except ClientError:  # facts that contradict each other
            return False
        return fast is not None and all(trial._agrees(fast, each) for each in tables)

    def _check(self, fast: Step, table: Table) -> None:
        if not self._agrees(fast, table):
            logger.warning(
                "%s answers arrays differently from DataFrames; using DataFrames",
                self._method,
            )
            self._fast = None
        self._checks, self._until_check = max(self._checks - 1, 0), CHECK_EVERY

    def _agrees(self, fast: Step, table: Table) -> bool:
        """Whether both ways give bit-identical results, or the same kind of error."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about unknown categories and the like
            expected, got = _outcome(self._exact, table), _outcome(fast, table)
        if isinstance(expected, Exception) or isinstance(got, Exception):
            return type(expected) is type(got)
        if isinstance(expected, list):
            return len(expected) == len(got) and all(map(_is_same, expected, got))
        return _is_same(expected, got)


def compiled(estimator: Any, facts: Sequence[Column], method: str) -> Step | None:
    """The method as a function of tables with these columns; the pipeline is unchanged.

    Returns None if a step may depend on more than the values of its columns.
    """
    if type(estimator) is not Pipeline or _names_its_output(estimator):
        return None
    first, *steps = [step for _, step in estimator.steps if not is_passthrough(step)]
    if type(first) is not ColumnTransformer or not steps:
        return None
    select = _by_place(first, facts)
    transforms = [transform_of(step) for step in steps[:-1]]
    answer = method_of(steps[-1], method)

    def call(table: Table) -> Any:
        values = select(table)
        for transform in transforms:
            values = transform(values)
        return answer(values)

    return call


def _names_its_output(estimator: Any) -> bool:
    """Whether the estimator or a step in it returns DataFrames, because of `set_output`."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    return any("_sklearn_output_config" in getattr(part, "__dict__", ()) for part in parts)


def _by_place(transformer: ColumnTransformer, facts: Sequence[Column]) -> Step:
    """A fitted ColumnTransformer as a function of tables."""
    places = {fact.name: place for place, fact in enumerate(facts)}
    names = [str(name) for name in transformer.feature_names_in_]
    parts = []
    for name, step, columns in transformer.transformers_:
        chosen = transformer._transformer_to_input_indices.get(name, [])
        if not is_dropped(step) and len(chosen):
            parts.append(_part(step, columns, [places[names[each]] for each in chosen]))
    is_sparse = bool(transformer.sparse_output_)
    return lambda table: _stacked([part(table) for part in parts], is_sparse=is_sparse)


def _part(step: Any, columns: Any, places: list[int]) -> Step:
    """One step of a ColumnTransformer, on the columns at these places."""
    if is_passthrough(step):
        return lambda table: _block(table, places)
    if isinstance(columns, str):
        return lambda table: step.transform(table.arrays[places[0]])
    if _goes_by_values(step):
        transforms = list(_transforms_of(step))
        return lambda table: reduce(
            lambda rows, each: each(rows), transforms, _block(table, places)
        )
    return lambda table: step.transform(_of(table, places).frame())


def _goes_by_values(step: Any) -> bool:
    """Whether the step is scikit-learn's own and first converts a DataFrame to an array."""
    if type(step) is Pipeline:
        return all(is_passthrough(each) or _goes_by_values(each) for _, each in step.steps)
    return is_numeric(step) or is_table_encoder(step)


def _transforms_of(step: Any) -> Iterator[Call]:
    """The step's transforms on arrays, without warnings; several if it is a pipeline."""
    for each in [each for _, each in step.steps] if type(step) is Pipeline else [step]:
        if type(each) is Pipeline:
            yield from _transforms_of(each)
        elif not is_passthrough(each):
            nameless = copy.copy(each)
            vars(nameless).pop("feature_names_in_", None)
            yield transform_of(nameless)


def _block(table: Table, places: list[int]) -> Any:
    """Columns as an array [rows, columns], in column-major order as in DataFrames."""
    return np.array([table.arrays[place] for place in places]).T


def _of(table: Table, places: list[int]) -> Table:
    facts, arrays = table.facts, table.arrays
    return Table(tuple(facts[place] for place in places), tuple(arrays[place] for place in places))


def _stacked(parts: list[Any], *, is_sparse: bool) -> Any:
    if is_sparse:
        return joined(parts)
    return np.hstack([part.toarray() if sparse.issparse(part) else part for part in parts])


def _outcome(call: Step, table: Table) -> Any:
    try:
        return call(table)
    except Exception as error:
        return error


def _is_same(expected: Any, got: Any) -> bool:
    if sparse.issparse(expected):
        return sparse.issparse(got) and _is_same(expected.toarray(), got.toarray())
    if type(expected) is not type(got) or not isinstance(expected, np.ndarray):
        return False
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return False
    return bool(np.array_equal(expected, got, equal_nan=expected.dtype.kind in "fc"))
