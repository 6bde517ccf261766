"""A Model that reads headers with `request_headers`, which works under both servers."""

from typing import Any

from prepackaged import Component, request_headers


class Headed(Component):
    """Answers with the caller's name from the headers."""

    def __init__(self, model_uri: str | None = None) -> None:
        super().__init__(model_uri)
        self.load()

    def predict(self, X: Any, names: Any = None, meta: Any = None) -> str:
        return request_headers()["X-Caller"]

    def tags(self) -> dict[str, Any]:
        return {"content-type": request_headers()["CONTENT-TYPE"]}
