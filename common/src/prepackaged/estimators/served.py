"""A fitted scikit-learn estimator as requests meet it: what it takes, and its answers."""

from collections.abc import Mapping
from typing import Any

from prepackaged.estimators.answers import choose_method, to_payload
from prepackaged.estimators.compiled import Compiled
from prepackaged.estimators.failures import blame
from prepackaged.estimators.inputs import Inputs
from prepackaged.estimators.signature import signature_of
from prepackaged.methods import asked_method
from prepackaged.signature import Column
from prepackaged.tables import Columns, Table


class ServedEstimator:
    """An estimator behind its methods; `method` answers unless a request asks for another.

    `written` are the columns that its MLmodel file has. With `allow_extra`, columns of a request
    that the estimator does not know are ignored, else refused. `advice` goes into errors that
    may be the fault of another version. Raises `DeploymentError` for a method that the estimator
    lacks.
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
        #: One request's rows as `predict` takes them. Raises `ClientError`.
        self.prepare = self.inputs.prepare
        self._compiled = {
            each: Compiled(estimator, columns.used, each)
            for each in self.signature.methods
            if self.inputs.wants_names
        }

    def rows(self, X: Any) -> Any:
        """What the estimator itself takes of a request. Raises `ClientError`."""
        return self.inputs.rows(self.prepare(X))

    def predict(self, prepared: Any, meta: Mapping[str, Any] | None = None) -> Any:
        """The answer to rows that are prepared, as a payload.

        Raises `ClientError` for data that the estimator refuses, and for a method that it does
        not have; `ModelError` for the rest.
        """
        method = asked_method(meta, self.signature)
        try:
            return to_payload(self._call(method, prepared))
        except Exception as error:
            raise blame(error, prepared, self._advice) from error

    def _call(self, method: str, prepared: Any) -> Any:
        if isinstance(prepared, Table) and method in self._compiled:
            return self._compiled[method](prepared)
        return getattr(self.estimator, method)(self.inputs.rows(prepared))
