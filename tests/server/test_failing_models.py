import asyncio
import importlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NoReturn
from unittest.mock import Mock

import grpc
import pytest
import requests
from rawhttp import WAYS, connected, post, text
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from seldon_core.user_model import SeldonComponent
from waiting import wait_until

from prepackaged.testing import Served, serve

# A plain `import flask` would turn off batching for the models of all tests in this directory:
# the server looks for that statement in the files beside a model.
flask = importlib.import_module("flask")


class Unspeakable:
    """An object whose str() and repr() raise."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("no words")

    __repr__ = __str__


class Exiting:
    """An object that raises SystemExit when it is converted."""

    def to_numpy(self) -> NoReturn:
        raise SystemExit("no more")


def fail(error: BaseException) -> NoReturn:
    """Raise the error; usable in a lambda."""
    raise error


def endless_list() -> list[Any]:
    """A list that contains itself."""
    endless: list[Any] = []
    endless.append(endless)
    return endless


def endless_dict() -> dict[str, Any]:
    """A dict that contains itself."""
    endless: dict[str, Any] = {}
    endless["itself"] = endless
    return endless


WHAT_IT_DOES: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (lambda: fail(ValueError("the model's own words")), "the model's own words"),
    "raises without words": (lambda: fail(KeyError()), "KeyError"),
    "raises half a surrogate": (lambda: fail(ValueError("\ud800")), "\ud800"),
    "raises the unspeakable": (lambda: fail(ValueError(Unspeakable())), "ValueError"),
    "exits": (lambda: sys.exit(3), "3"),
    "is interrupted": (lambda: fail(KeyboardInterrupt()), "KeyboardInterrupt"),
    "is cancelled": (lambda: fail(asyncio.CancelledError()), "CancelledError"),
    "has no memory": (lambda: fail(MemoryError()), "MemoryError"),
    "stops an iteration": (lambda: fail(StopIteration()), "StopIteration"),
    "raises a status beyond HTTP": (
        lambda: fail(SeldonMicroserviceException("beyond", status_code=999)),
        "beyond",
    ),
    "raises a status that is none": (
        lambda: fail(SeldonMicroserviceException("none", status_code="four hundred")),
        "none",
    ),
    "raises a status without a body": (
        lambda: fail(SeldonMicroserviceException("silent", status_code=204)),
        "silent",
    ),
    "returns None": (lambda: None, "predict returned NoneType; "),
    "returns an object": (object, "predict returned object; "),
    "returns a class": (lambda: int, "predict returned type; "),
    "returns a generator": (lambda: (number for number in [1]), "predict returned generator; "),
    "returns a set": (lambda: {1}, "predict returned set; "),
    "returns the unspeakable": (Unspeakable, "predict returned Unspeakable; "),
    "returns what exits": (lambda: {"a": Exiting()}, "no more"),
    "returns a list of it": (
        lambda: [Unspeakable()],
        "predict returned a value that JSON cannot hold",
    ),
    "returns an object of it": (
        lambda: {"a": Unspeakable()},
        "predict returned a value that JSON cannot",
    ),
    "returns a list without end": (endless_list, "predict returned a list that is not an array: "),
    "returns an object without end": (
        endless_dict,
        "predict returned a value that JSON cannot hold",
    ),
    "returns a text beside a list": (
        lambda: [[], "a"],
        "predict returned a list that is not an array: its lists have different lengths",
    ),
    "returns rows of unequal length": (
        lambda: [[1], [1, 2]],
        "predict returned a list that is not an array: ",
    ),
    "returns complex numbers": (lambda: [1j], "predict returned a value that JSON cannot hold"),
}


class Faulty:
    """Does what WHAT_IT_DOES has for the text; returns any other text."""

    def predict(self, X: Any, names: Any) -> Any:
        return WHAT_IT_DOES[X][0]() if X in WHAT_IT_DOES else X


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server whose model fails on request."""
    with serve(Faulty()) as served:
        yield served


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("what", WHAT_IT_DOES)
def test_a_failing_model_is_a_500_with_the_exceptions_text(
    server: Served, caplog: pytest.LogCaptureFixture, path: str, what: str
) -> None:
    """Any failure of the model is a 500 with its message, is logged, and the server goes on."""
    with connected(server.url) as connection:
        answer = connection.ask(post(text(what), path))
        assert connection.ask(post(text("next"), path)).text == "next"
    assert answer.status == 500
    assert answer.info.startswith(WHAT_IT_DOES[what][1])
    assert {record.message for record in caplog.records} <= {"The model failed"}


class Talkative:
    """Raises an error with the whole input as its message."""

    def predict(self, X: Any, names: Any) -> Any:
        raise ValueError(X)


def test_a_long_message_is_cut_over_both_transports() -> None:
    """Clients get the first 1900 characters and the number of the others."""
    sent = "x" * 100_000
    expected = f"{'x' * 1900}... (98100 more characters)"
    with serve(Talkative()) as server:
        with connected(server.url) as connection:
            assert connection.ask(post(text(sent))).info == expected
        with grpc.insecure_channel(server.grpc) as channel:
            stub = prediction_pb2_grpc.ModelStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(prediction_pb2.SeldonMessage(strData=sent), timeout=60)
    assert caught.value.details() == expected


class Hooked:
    """Raises in the named hook."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self._fail)

    def predict(self, X: Any, names: Any) -> Any:
        return [[1, 2]]

    def _fail(self, *values: Any) -> NoReturn:
        raise ValueError("a hook failed")


@pytest.mark.parametrize(
    ("hook", "result", "told"),
    [
        ("tags", 3, "tags returned int; expected a dict"),
        ("tags", ["a"], "tags returned list; expected a dict"),
        ("tags", "a", "tags returned str; expected a dict"),
        ("class_names", 3, "class_names returned int; expected a list"),
        ("class_names", "ab", "class_names returned str; expected a list"),
        (
            "metrics",
            ({"type": "COUNTER", "key": "a", "value": 1},),
            (
                'Bad metric created during request: [{"type": "COUNTER", "key": "a", "value": 1}]:'
                " expected a list of objects with key, type and value, got tuple"
            ),
        ),
    ],
)
def test_a_hook_that_returns_the_wrong_kind_is_named(hook: str, result: Any, told: str) -> None:
    """A wrong result of a hook around predict gives 500 with the hook and the types."""
    model = Hooked("unused")
    setattr(model, hook, lambda: result)
    with serve(model) as server, connected(server.url) as connection:
        answer = connection.ask(post(b'{"data": {"ndarray": [[1, 2]]}}'))
    assert (answer.status, answer.info) == (500, told)


class OwnError(Exception):
    """An exception of the model's, with the attributes of Seldon's."""

    def __init__(self, message: Any, status_code: Any) -> None:
        super().__init__("the text")
        self.message = message
        self.status_code = status_code


class ReluctantError(Exception):
    """An exception whose attributes cannot be read."""

    @property
    def message(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "status", "code", "told"),
    [
        (OwnError("not here", 404), 404, grpc.StatusCode.NOT_FOUND, "not here"),
        (OwnError("slow down", 429), 429, grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down"),
        (OwnError("", 403), 403, grpc.StatusCode.PERMISSION_DENIED, "the text"),
        (OwnError(None, 503), 503, grpc.StatusCode.UNAVAILABLE, "the text"),
        (OwnError("fine", 200), 500, grpc.StatusCode.INTERNAL, "fine"),
        (OwnError("too much", 600), 500, grpc.StatusCode.INTERNAL, "too much"),
        (OwnError("no number", "404"), 500, grpc.StatusCode.INTERNAL, "no number"),
        (ReluctantError("the text"), 500, grpc.StatusCode.INTERNAL, "the text"),
    ],
)
def test_an_exception_of_the_authors_has_its_own_status_and_message(
    error: Exception, status: int, code: grpc.StatusCode, told: str
) -> None:
    """Attributes `message` and `status_code` of the model's own exceptions reach the client."""
    model = Faulty()
    model.predict = Mock(side_effect=error)  # type: ignore[method-assign]
    with serve(model) as server:
        with connected(server.url) as connection:
            answer = connection.ask(post(text("x")))
        with grpc.insecure_channel(server.grpc) as channel:
            stub = prediction_pb2_grpc.ModelStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(prediction_pb2.SeldonMessage(strData="x"), timeout=60)
    assert (answer.status, answer.info) == (status, told)
    assert (caught.value.code(), caught.value.details()) == (code, told)


def test_a_status_from_elsewhere_is_not_the_clients() -> None:
    """The status in an exception of an installed package, from another service, stays inside."""
    kind = type("StatusError", (OwnError,), {"__module__": "requests"})
    model = Faulty()
    model.predict = Mock(side_effect=kind("wrong key", 401))  # type: ignore[method-assign]
    with serve(model) as server, connected(server.url) as connection:
        answer = connection.ask(post(text("x")))
    assert (answer.status, answer.info) == (500, "the text")


@pytest.mark.parametrize("method", ["route", "aggregate"])
def test_the_error_for_a_missing_method_has_upstreams_words(method: str) -> None:
    """A missing route or aggregate gets upstream's text, which depends on the base class."""
    body: Any = [{"strData": "x"}] if method == "aggregate" else {"strData": "x"}
    for model, told in (
        (Faulty(), f"{method.capitalize()} not defined"),
        (SeldonComponent(), f"{method} is not implemented"),
    ):
        with serve(model) as server:
            answer = requests.post(f"{server.url}/{method}", json=body, timeout=60)
        assert (answer.status_code, answer.json()["status"]["info"]) == (400, told)


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("hook", ["tags", "metrics", "class_names"])
def test_a_failing_hook_is_a_500(path: str, hook: str) -> None:
    """Errors in the hooks around predict give 500 too."""
    with serve(Hooked(hook)) as server, connected(server.url) as connection:
        answer = connection.ask(post(text("hi"), path))
    assert (answer.status, answer.info) == (500, "a hook failed")


@pytest.mark.parametrize(
    ("hook", "method", "path"),
    [
        ("health_status", "GET", "/health/status"),
        ("transform_input", "POST", "/transform-input"),
        ("aggregate", "POST", "/aggregate"),
    ],
)
@pytest.mark.parametrize(
    "error",
    [ValueError("its words"), SystemExit("its words"), asyncio.CancelledError("its words")],
)
def test_a_failing_method_is_a_500(hook: str, method: str, path: str, error: BaseException) -> None:
    """Errors in methods other than predict give 500, and the server goes on."""
    model = Faulty()
    setattr(model, hook, Mock(side_effect=error))
    with serve(model) as server:
        message: Any = {"strData": "hi"}
        body = [message] if hook == "aggregate" else message
        answer = requests.request(method, server.url + path, json=body, timeout=60)
        assert (answer.status_code, answer.json()["status"]["info"]) == (500, "its words")
        assert requests.get(f"{server.url}/health/ping", timeout=60).text == "pong"


class Ints:
    """Returns an int from every method, which none of them may."""

    def predict(self, X: Any, names: Any) -> Any:
        return 3

    def aggregate(self, values: Any, names: Any) -> Any:
        return 3

    def send_feedback(self, *values: Any, routing: Any = None) -> Any:
        return 3

    transform_input = transform_output = predict


@pytest.mark.parametrize(
    "method", ["transform_input", "transform_output", "aggregate", "predict", "send_feedback"]
)
def test_a_result_of_the_wrong_kind_names_the_method(method: str) -> None:
    """The error names the method, since a model may have several."""
    message: Any = {"strData": "hi"}
    body = {"aggregate": [message], "send_feedback": {"reward": 1}}.get(method, message)
    with serve(Ints()) as server:
        address = f"{server.url}/{method.replace('_', '-')}"
        told = requests.post(address, json=body, timeout=60).json()["status"]["info"]
    assert told == f"{method} returned int; expected an array, list, str, bytes or dict"


class Handled:
    """A model whose error handler answers with the status in the request."""

    model_error_handler = flask.Blueprint("errors", __name__)

    def predict(self, X: Any, names: Any) -> Any:
        raise LookupError(X)


@Handled.model_error_handler.app_errorhandler(LookupError)
def handle(error: LookupError) -> Any:
    """Answer with the status in the request."""
    return flask.jsonify({}), int(str(error))


@pytest.mark.parametrize("status", [-1, 0, 99, 100, 101, 199, 600, 1000])
def test_an_informational_status_of_a_handler_is_a_500(status: int) -> None:
    """A handler's status outside 200 to 599 becomes 500: it would leave clients waiting."""
    with serve(Handled()) as server, connected(server.url) as connection:
        assert connection.ask(post(text("418"))).status == 418
        answer = connection.ask(post(text(f"{status}")))
        assert answer.status == 500
        assert answer.info.endswith(f"of the model's error handler, got {status}")


class Rows:
    """A batchable model that fails on the value 13."""

    batchable = True

    def predict(self, X: Any, names: Any) -> Any:
        if (X == 13).any():
            raise ValueError("13 is unlucky")
        return X * 2


def test_one_bad_request_spoils_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """In a batch, only the request that fails gets an error."""
    with ExitStack() as stack:
        server = stack.enter_context(serve(Rows()))
        connections = [stack.enter_context(connected(server.url)) for _ in range(15)]
        for _ in range(20):
            for number, connection in enumerate(connections):
                connection.send(post(b'{"data": {"ndarray": [[%d]]}}' % number))
            answers = [connection.answer() for connection in connections]
            assert answers.pop(13).info == "13 is unlucky"
            values = [answer.body.decode().partition('"ndarray":')[2][:6] for answer in answers]
            expected = [f"[[{2 * number}" for number in range(15) if number != 13]
            assert [value.partition("]")[0] for value in values] == expected
    assert [record for record in caplog.records if record.levelno == logging.WARNING] == []


def test_a_model_that_kills_its_process_ends_the_server(
    start_process: Callable[..., Any], tmp_path: Any
) -> None:
    """The server exits with the status that the model chose, and the client's connection ends."""
    process = start_process("Obedient", directory=str(tmp_path))
    with connected(process.server.url) as connection, pytest.raises(ConnectionError):
        connection.ask(post(text("die")))
    assert process.status() == 7


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "fact", ["signature", "batchable", "class_names", "tags", "artifact", "custom_service"]
)
def test_a_model_that_exits_in_a_hook_at_start_is_not_served(
    start_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, fact: str, workers: str
) -> None:
    """The server ends with status 1 and a reason, and not with 0 as if all was well."""
    monkeypatch.setenv("GUNICORN_WORKERS", workers)
    process = start_process("Exits", answers=False, fact=fact)
    assert process.status() == 1
    last_line = process.server.log().splitlines()[-1]
    assert last_line.endswith("Exits cannot be served: SystemExit: 0")


LATE = "A signal handler of the model failed between two requests"


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("handler", ["fail", "leave", "interrupt"])
def test_an_alarm_that_comes_after_its_request_is_logged(
    start_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, handler: str, workers: str
) -> None:
    """An exception in a signal handler between two requests ends neither server nor worker."""
    monkeypatch.setenv("GUNICORN_WORKERS", workers)
    process = start_process("Alarms")
    with connected(process.server.url) as connection:
        for number in range(1, 4):
            assert connection.ask(post(text(handler))).text == handler
            wait_until(lambda expected=number: process.server.log().count(LATE) == expected)
            assert connection.ask(post(text("next"))).text == "next"
    process.signal(signal.SIGTERM)
    assert process.status() == 0


def test_a_model_that_hangs_does_not_block_other_routes(
    start_process: Callable[..., Any], tmp_path: Any
) -> None:
    """While a prediction hangs, probes and metrics are answered, and two signals end the server."""
    process = start_process("Gate", directory=str(tmp_path))
    with connected(process.server.url) as connection:
        connection.send(post(text("hang")))
        wait_until((tmp_path / "entered").exists)
        assert requests.get(f"{process.server.url}/health/ping", timeout=60).text == "pong"
        status = requests.get(f"{process.server.url}/health/status", timeout=60)
        assert (status.status_code, status.json()["strData"]) == (200, "healthy")
        assert (
            "prepackaged_in_flight"
            in requests.get(f"{process.server.metrics}/metrics", timeout=60).text
        )
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGINT)
        assert process.status() == 1
