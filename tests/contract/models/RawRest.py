"""A Model that takes whole messages over REST, and values over gRPC."""

from typing import Any


class RawRest:
    """Answers with the name of the hook that ran."""

    def predict_rest(self, msg: Any) -> Any:
        return {"strData": "rest", "meta": {"tags": {"came": msg}}}

    def predict(self, X: Any, names: Any, meta: Any = None) -> str:
        return "values"
