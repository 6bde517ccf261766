"""A Model that answers with half a surrogate pair, which JSON can escape but UTF-8 cannot hold."""

from typing import Any

HALF = "\ud800"


class Surrogates:
    """Has it in answers, in its health and in its metadata."""

    def predict_raw(self, msg: Any) -> Any:
        return {"strData": HALF, "meta": {"tags": {"came": msg}}}

    def transform_input(self, X: Any, names: Any) -> Any:
        return {"half": HALF}

    def health_status(self) -> str:
        return HALF

    def init_metadata(self) -> dict[str, Any]:
        return {"platform": HALF}
