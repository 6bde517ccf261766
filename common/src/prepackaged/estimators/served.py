"""Serve a fitted scikit-learn estimator: convert its inputs, call its methods."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from prepackaged.errors import ClientError
from prepackaged.estimators.answers import choose_method, to_payload
from prepackaged.estimators.compiled import Compiled
from prepackaged.estimators.failures import blame
from prepackaged.estimators.inputs import NAMES_NEEDED, Inputs
from prepackaged.estimators.needed_kinds import needed_kind
from prepackaged.estimators.signature import signature_of
from prepackaged.methods import asked_method
from prepackaged.signature import Column
from prepackaged.tables import Columns, Table


class ServedEstimator:
    """An estimator with its methods; `method` is used unless a request chooses another.

    `written` are the columns in its MLmodel file. If `allow_extra` is true, unknown columns of a
    request are ignored, else refused. `advice` is added to errors that a version mismatch may have
    caused. Raises `DeploymentError` if the estimator lacks the method.
    """

    def __init__(
        self,
        estimator: Any,
        method: str | None = None,
        written: tuple[Column, ...] | None = None,
        *,
        allow_extra: bool = True,
        advice: str = "",
    ) -> None:
        self.estimator = estimator
        self._advice = advice
        self.method = choose_method(estimator, method)
        self.signature = signature_of(estimator, self.method, written)
        columns = Columns.of(self.signature.inputs, allow_extra=allow_extra)
        self.inputs = Inputs(estimator, columns)
        #: Convert the rows of a request for `predict`. Raises `ClientError`.
        self.prepare = self.inputs.prepare
        self._compiled = {
            each: Compiled(estimator, columns.used, each)
            for each in self.signature.methods
            if self.inputs.wants_names and not self.inputs.may_add
        }

    def rows(self, X: Any) -> Any:
        """The estimator's input for a request. Raises `ClientError`."""
        return self.inputs.rows(self.prepare(X))

    def predict(self, prepared: Any, meta: Mapping[str, Any] | None = None) -> Any:
        """The answer to prepared rows, as a payload.

        Raises `ClientError` for data that the estimator refuses, and for a method that it lacks;
        `ModelError` for all other failures.
        """
        method = asked_method(meta, self.signature)
        try:
            return to_payload(self._call(method, prepared), method)
        except Exception as error:
            if self.inputs.lacks_names(prepared, error):
                raise ClientError(NAMES_NEEDED) from error
            wrong = needed_kind(error, prepared, partial(self._call, method))
            if wrong := wrong or self.inputs.lacking(prepared, error):
                raise wrong from error
            raise blame(error, prepared, self._advice) from error

    def _call(self, method: str, prepared: Any) -> Any:
        if isinstance(prepared, Table) and method in self._compiled:
            return self._compiled[method](prepared)
        return getattr(self.estimator, method)(self.inputs.rows(prepared))
