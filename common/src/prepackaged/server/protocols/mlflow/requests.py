"""Read requests from bodies of `/invocations`.

Reference: MLflow 3's scoring server, mlflow.pyfunc.scoring_server; for CSV also Amazon SageMaker,
"Common data formats for inference".
"""

from dataclasses import dataclass
from typing import Any

from prepackaged.errors import ClientError
from prepackaged.server.inference.requests import InferenceRequest
from prepackaged.server.protocols.json_reading import expected
from prepackaged.server.protocols.mlflow.csv_rows import Header, read_csv
from prepackaged.server.protocols.prediction_routes import add_parameters
from prepackaged.server.protocols.row_requests import only_one, read_object, rows_of
from prepackaged.server.transport.background import LARGE
from prepackaged.server.transport.exchange import Exchange, TransportError
from prepackaged.signature import Signature, declared_signature

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
HEADERS: dict[str, Header] = {"": "", "present": "present", "absent": "absent"}
ROW_BYTES = 72  # the memory of a line of CSV in addition to its cells
OLD_FORMS = (
    "; since MLflow 2 a table goes under dataframe_split or dataframe_records,"
    " other values under instances or inputs"
)


@dataclass(slots=True)
class MlflowRequest(InferenceRequest):
    """A requested prediction, and whether the response is CSV."""

    wants_csv: bool = False


class Reader:
    """Read requests for one model, in JSON or CSV."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._takes_lists = bool(getattr(model, "takes_lists", False))
        self._signature = declared_signature(model) or Signature()

    def __call__(self, exchange: Exchange) -> MlflowRequest:
        """Read a body. Raises `ClientError`, or `TransportError` 415 for another Content-Type."""
        media_type, options = _content_type(exchange)
        if media_type == "text/csv":
            request = self._csv(exchange, _header(options))
        elif media_type in ("", "application/json"):
            request = self._json(exchange.body)
        else:
            raise TransportError(
                415, f"expected Content-Type application/json or text/csv, got {media_type[:100]}"
            )
        accepted = exchange.header(b"accept").partition(b",")[0].partition(b";")[0]
        request.wants_csv = accepted.strip().lower() == b"text/csv"
        return request

    def _json(self, body: bytes) -> MlflowRequest:
        try:
            message = read_object(body, None if self._takes_lists else "inputs")
            form = only_one(message, *FORMS)
        except ClientError as error:
            raise ClientError(f"{error}{OLD_FORMS}") from error
        if message.get("signature_name") not in (None, ""):
            raise ClientError("expected no signature_name, which MLflow's protocol does not have")
        request = self._of(form, message[form])
        add_parameters(request, message.get("params"), "params", self._model)
        return request

    def _of(self, form: str, value: Any) -> MlflowRequest:
        if form == "dataframe_split":
            return self._split(value)
        if form != "inputs" and not isinstance(value, list):
            raise expected(f"{form} as a list", value)
        if form == "dataframe_records" and not all(isinstance(each, dict) for each in value):
            raise ClientError("expected dataframe_records as a list of objects")
        return MlflowRequest(rows_of(value, as_lists=self._takes_lists), [])

    def _split(self, table: Any) -> MlflowRequest:
        if not isinstance(table, dict):
            raise expected("dataframe_split as an object with columns and data", table)
        rows = table.get("data")
        if not isinstance(rows, list):
            raise expected("dataframe_split.data as a list of rows", rows)
        names = _names_in(table.get("columns"))
        return MlflowRequest(rows_of(rows, as_lists=self._takes_lists), names)

    def _csv(self, exchange: Exchange, header: Header) -> MlflowRequest:
        body = exchange.body
        if len(body) > LARGE:
            exchange.hold(ROW_BYTES * max(body.count(b"\n"), body.count(b"\r")))
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ClientError(f"expected CSV in UTF-8, got none at byte {error.start}") from error
        rows, names = read_csv(text, header, self._signature)
        return MlflowRequest(rows_of(rows, as_lists=self._takes_lists), names)


def _content_type(exchange: Exchange) -> tuple[str, dict[str, str]]:
    """The media type in lower case (empty if there is none) and its parameters."""
    text = exchange.header(b"content-type").decode("latin-1")
    media_type, options = _with_options(text) if ";" in text else (text.strip(), {})
    charset = options.get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise TransportError(415, f"expected charset=utf-8, got {charset[:100]}")
    return media_type.lower(), options


def _with_options(text: str) -> tuple[str, dict[str, str]]:
    from werkzeug.http import parse_options_header  # rarely needed, and takes 0.1 s

    return parse_options_header(text)


def _header(options: dict[str, str]) -> Header:
    """SageMaker's content type parameter `header`; empty without it."""
    word = options.get("header", "").lower()
    if word not in HEADERS:
        raise ClientError(f"expected header=present or header=absent, got {word[:100]}")
    return HEADERS[word]


def _names_in(columns: Any) -> list[str]:
    """Column names as text; pandas uses numbers for columns without names."""
    if columns is None:
        return []
    if not isinstance(columns, list):
        raise expected("dataframe_split.columns as a list of names", columns)
    for place, name in enumerate(columns):
        if not isinstance(name, str | int | float) or isinstance(name, bool):
            raise expected(f"dataframe_split.columns[{place}] as a string or a number", name)
    return list(map(str, columns))
