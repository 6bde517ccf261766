import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from queue import Queue
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from seldon_core.user_model import SeldonNotImplementedError
from waiting import SECONDS

from prepackaged import ClientError, DeploymentError, ModelError, NotReadyError
from prepackaged.server.inference.requests import Prediction
from prepackaged.server.protocols.errors import grpc_failure
from prepackaged.server.protocols.grpc_health import Health
from prepackaged.server.protocols.seldon.errors import http_failure
from prepackaged.server.protocols.seldon.grpc import COUNTED_AS, SERVICE_NAMES, Grpc
from prepackaged.server.protocols.seldon.json_codec import Request
from prepackaged.server.protocols.seldon.methods import Unit
from prepackaged.server.runtime.server import grpc_methods
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.server.telemetry.observer import observer
from prepackaged.server.transport.grpc.server import GrpcServer
from prepackaged.server.transport.limits import Limits
from prepackaged.server.transport.routing import WireProtocol
from prepackaged.server.transport.sockets import listen

MEGABYTE = 1024 * 1024
HELLO = prediction_pb2.SeldonMessage(strData="hello")
OK, NOT_OK = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Raw:
    """A model with a raw gRPC method."""

    def predict_grpc(self, message: Any) -> Any:
        raise AssertionError("nobody calls it here")


class FakePredictor:
    """A predictor that records its requests, and returns `outcome` or, without one, its input."""

    def __init__(self, outcome: Any = None, *, is_raw: bool = False) -> None:
        self.outcome = outcome
        self.model = Raw() if is_raw else object()
        self.metrics = Metrics()
        self.metadata: dict[str, Any] | None = None
        self.asked: list[Any] = []
        self.is_asked = threading.Event()

    def predict(self, request: Request, done: Callable[[Any], None]) -> Any:
        default = Prediction(request.value, [], {}, [])
        task = asyncio.ensure_future(self._answer(request, default))
        task.add_done_callback(lambda ended: ended.cancelled() or done(outcome_of(ended)))
        return task

    async def call(self, function: Any, method: str, message: Any, *more: Any, **_: Any) -> Any:
        return await self._answer((method, message), HELLO)

    async def _answer(self, asked: Any, default: Any) -> Any:
        self.asked.append(asked)
        self.is_asked.set()
        if isinstance(self.outcome, asyncio.Future):
            await self.outcome
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome if isinstance(self.outcome, Message) else default


def outcome_of(task: "asyncio.Task[Any]") -> Any:
    """Return the result or the exception of a task."""
    return task.exception() or task.result()


class Loop:
    """An event loop on a separate thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, work: Awaitable[Any]) -> Any:
        """Run a coroutine on the loop and return its result."""

        async def do() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(SECONDS)

    def future(self) -> "asyncio.Future[None]":
        """Create a future of this loop."""
        return self.loop.create_future()

    def close(self) -> None:
        """Stop the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


Serve = Callable[..., grpc.Channel]


UNLIMITED = Limits()


@dataclass
class Running:
    """A running server and its health service."""

    server: GrpcServer
    health: Health

    @property
    def port(self) -> int:
        """The port that the operating system has chosen."""
        return self.server.port


async def started(predictor: Any, port: int = 0, limits: Limits = UNLIMITED) -> Running:
    """Start a server with Seldon's services, health, reflection and request metrics."""
    methods: Any = SimpleNamespace(call=None)
    seldon = WireProtocol(
        prefix="",
        http_failure=http_failure,
        grpc_failure=grpc_failure,
        methods=Grpc(predictor, methods, Unit(), predictor.metadata).methods(),
    )
    health = Health(SERVICE_NAMES)
    observe = observer(predictor.metrics, COUNTED_AS, None, None)
    listener = listen("grpc", port)
    methods = grpc_methods([seldon], health, limits, observe)
    return Running(await GrpcServer.started_on(listener, methods, limits), health)


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    """The event loop of all servers in this module."""
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def servers(loop: Loop) -> Iterator[list[Running]]:
    """The servers that a test starts; they are stopped after the test."""
    servers: list[Running] = []
    yield servers
    for server in servers:
        loop.run(server.server.stop(None))


@pytest.fixture
def serve(loop: Loop, servers: list[Running]) -> Iterator[Serve]:
    """Return a function that starts a server and returns a channel without message limits."""
    unlimited = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    with ExitStack() as stack:

        def serve(predictor: FakePredictor, **settings: Any) -> grpc.Channel:
            servers.append(loop.run(started(predictor, **settings)))
            address = f"localhost:{servers[-1].port}"
            return stack.enter_context(grpc.insecure_channel(address, options=unlimited))

        yield serve


def predict(channel: grpc.Channel, message: prediction_pb2.SeldonMessage = HELLO) -> Any:
    """Call Model.Predict."""
    return prediction_pb2_grpc.ModelStub(channel).Predict(message, timeout=SECONDS)


def failure(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """Return the code and the details of the error that a call raises."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def health_of(channel: grpc.Channel, service: str = "") -> int:
    """Return the health status of a service."""
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=SECONDS).status)


def counted(predictor: FakePredictor) -> dict[tuple[str, str], float]:
    """Return the number of counted requests by method and code."""
    text = predictor.metrics.exposition()[0].decode()
    return {
        (sample.labels["method"], sample.labels["code"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "prepackaged_requests_total"
    }


# The services


@pytest.mark.parametrize(
    ("service", "method", "kind", "hook"),
    [
        ("Generic", "TransformInput", "SeldonMessage", "transform_input"),
        ("Generic", "TransformOutput", "SeldonMessage", "transform_output"),
        ("Generic", "Route", "SeldonMessage", "route"),
        ("Generic", "Aggregate", "SeldonMessageList", "aggregate"),
        ("Generic", "SendFeedback", "Feedback", "send_feedback"),
        ("Model", "SendFeedback", "Feedback", "send_feedback"),
        ("Router", "Route", "SeldonMessage", "route"),
        ("Router", "SendFeedback", "Feedback", "send_feedback"),
        ("Transformer", "TransformInput", "SeldonMessage", "transform_input"),
        ("OutputTransformer", "TransformOutput", "SeldonMessage", "transform_output"),
        ("Combiner", "Aggregate", "SeldonMessageList", "aggregate"),
        ("Seldon", "SendFeedback", "Feedback", "send_feedback"),
    ],
)
def test_a_call_reaches_its_hook(
    serve: Serve, service: str, method: str, kind: str, hook: str
) -> None:
    """Each call of each service passes its message to the hook and returns the hook's message."""
    predictor = FakePredictor()
    stub = getattr(prediction_pb2_grpc, f"{service}Stub")(serve(predictor))
    message = {
        "SeldonMessage": prediction_pb2.SeldonMessage(strData="a"),
        "SeldonMessageList": prediction_pb2.SeldonMessageList(seldonMessages=[HELLO]),
        "Feedback": prediction_pb2.Feedback(request=HELLO, reward=0.5),
    }[kind]

    answer = getattr(stub, method)(message, timeout=SECONDS)

    assert predictor.asked == [(hook, message)]
    assert answer.strData == "hello"


@pytest.mark.parametrize("service", ["Model", "Seldon"])
def test_a_prediction_is_decoded_and_encoded(serve: Serve, service: str) -> None:
    """Predict decodes the request for the predictor and encodes its result."""
    predictor = FakePredictor()
    stub = getattr(prediction_pb2_grpc, f"{service}Stub")(serve(predictor))

    answer = stub.Predict(prediction_pb2.SeldonMessage(strData="a"), timeout=SECONDS)

    (request,) = predictor.asked
    assert (request.kind, request.value) == ("strData", "a")
    assert answer.strData == "a"


def test_a_model_that_reads_messages_gets_the_message(serve: Serve) -> None:
    """A raw model gets the protobuf message and returns the response message."""
    predictor = FakePredictor(is_raw=True)
    message = prediction_pb2.SeldonMessage(strData="a", meta={"puid": "7"})

    answer = predict(serve(predictor), message)

    assert predictor.asked == [("predict", message)]
    assert answer.strData == "hello"


def test_both_services_return_the_metadata(serve: Serve) -> None:
    """The Model and Seldon services return the same metadata."""
    predictor = FakePredictor()
    predictor.metadata = {
        "name": "iris",
        "versions": ["1.0"],
        "platform": "sklearn",
        "inputs": [{"messagetype": "ndarray", "schema": {"shape": [4]}}],
        "outputs": [],
        "custom": {"method": "predict_proba"},
    }
    channel = serve(predictor)

    of_model = prediction_pb2_grpc.ModelStub(channel).Metadata(Empty(), timeout=SECONDS)
    asked = prediction_pb2.SeldonModelMetadataRequest()
    of_seldon = prediction_pb2_grpc.SeldonStub(channel).ModelMetadata(asked, timeout=SECONDS)

    assert of_model == of_seldon
    assert (of_model.name, list(of_model.versions)) == ("iris", ["1.0"])
    assert of_model.inputs[0].schema.struct_value["shape"][0] == 4
    assert dict(of_model.custom) == {"method": "predict_proba"}


def test_invalid_metadata_is_an_empty_message(serve: Serve) -> None:
    """Without valid metadata, the server returns an empty message, as upstream does."""
    stub = prediction_pb2_grpc.ModelStub(serve(FakePredictor()))

    assert stub.Metadata(Empty(), timeout=SECONDS) == prediction_pb2.SeldonModelMetadata()


def test_graph_metadata_is_not_implemented(serve: Serve) -> None:
    """GraphMetadata is not implemented, since a model does not know its graph."""
    stub = prediction_pb2_grpc.SeldonStub(serve(FakePredictor()))

    assert failure(lambda: stub.GraphMetadata(Empty(), timeout=SECONDS)) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "GraphMetadata not available on the Model level.",
    )


def test_reflection_lists_every_service(serve: Serve) -> None:
    """Reflection lists every service for clients without .proto files."""
    stub = reflection_pb2_grpc.ServerReflectionStub(serve(FakePredictor()))
    question = reflection_pb2.ServerReflectionRequest(list_services="")

    (answer,) = stub.ServerReflectionInfo(iter([question]), timeout=SECONDS)

    assert sorted(each.name for each in answer.list_services_response.service) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "seldon.protos.Combiner",
        "seldon.protos.Generic",
        "seldon.protos.Model",
        "seldon.protos.OutputTransformer",
        "seldon.protos.Router",
        "seldon.protos.Seldon",
        "seldon.protos.Transformer",
    ]


# Health


@pytest.mark.parametrize("service", ["", "seldon.protos.Model", "seldon.protos.Seldon"])
def test_a_started_server_is_healthy(serve: Serve, service: str) -> None:
    """The whole server and each of its services report healthy."""
    assert health_of(serve(FakePredictor()), service) == OK


def test_an_unknown_service_has_no_health(serve: Serve) -> None:
    """A health check of an unknown service fails with NOT_FOUND."""
    channel = serve(FakePredictor())

    code, _ = failure(lambda: health_of(channel, "seldon.protos.Modle"))

    assert code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", ["", "seldon.protos.Model"])
def test_readiness_turns_red_while_calls_are_answered(
    loop: Loop, serve: Serve, servers: list[Running], service: str
) -> None:
    """Before it stops, a server reports NOT_SERVING but still answers calls."""
    channel = serve(FakePredictor())

    loop.loop.call_soon_threadsafe(partial(servers[0].health.set_status, is_serving=False))

    assert health_of(channel, service) == NOT_OK
    assert predict(channel).strData == "hello"


def test_a_health_watch_receives_the_change(
    loop: Loop, serve: Serve, servers: list[Running]
) -> None:
    """A health watch receives the change to NOT_SERVING."""
    watch = health_pb2_grpc.HealthStub(serve(FakePredictor())).Watch(
        health_pb2.HealthCheckRequest(service="seldon.protos.Model"), timeout=SECONDS
    )
    assert next(watch).status == OK

    loop.loop.call_soon_threadsafe(partial(servers[0].health.set_status, is_serving=False))

    assert next(watch).status == NOT_OK


def test_a_health_watch_of_an_unknown_service_says_so(serve: Serve) -> None:
    """A health watch of an unknown service receives SERVICE_UNKNOWN instead of an error."""
    watch = health_pb2_grpc.HealthStub(serve(FakePredictor())).Watch(
        health_pb2.HealthCheckRequest(service="seldon.protos.Modle"), timeout=SECONDS
    )

    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


# Errors


@pytest.mark.parametrize(
    ("error", "code", "details"),
    [
        (ClientError("expected 4"), grpc.StatusCode.INVALID_ARGUMENT, "expected 4"),
        (SeldonMicroserviceException("bad"), grpc.StatusCode.INVALID_ARGUMENT, "bad"),
        (ModelError("no luck"), grpc.StatusCode.INTERNAL, "no luck"),
        (NotReadyError("not yet"), grpc.StatusCode.UNAVAILABLE, "not yet"),
        (SeldonNotImplementedError("no route"), grpc.StatusCode.UNIMPLEMENTED, "no route"),
    ],
)
def test_an_error_has_its_code_and_message(
    serve: Serve, error: Exception, code: grpc.StatusCode, details: str
) -> None:
    """Each kind of error has its gRPC code, and its message is in the details."""
    channel = serve(FakePredictor(error))

    assert failure(lambda: predict(channel)) == (code, details)


@pytest.mark.parametrize(
    ("retry_after", "trailers"),
    [
        (None, {}),
        (1, {"grpc-retry-pushback-ms": "1000"}),
        ("30", {"grpc-retry-pushback-ms": "30000"}),
        (1.5, {}),
        ("Wed, 01 Jan 2031 00:00:00 GMT", {}),
    ],
)
def test_a_trailer_says_when_to_retry(
    serve: Serve, retry_after: Any, trailers: dict[str, str]
) -> None:
    """Whole seconds become milliseconds; other forms of Retry-After have none in gRPC."""
    error = NotReadyError("not yet")
    error.retry_after = retry_after
    channel = serve(FakePredictor(error))

    with pytest.raises(grpc.RpcError) as caught:
        predict(channel)

    assert dict(caught.value.trailing_metadata()) == trailers


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, grpc.StatusCode.INVALID_ARGUMENT),
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (403, grpc.StatusCode.PERMISSION_DENIED),
        (404, grpc.StatusCode.NOT_FOUND),
        (413, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (422, grpc.StatusCode.INVALID_ARGUMENT),
        (429, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (500, grpc.StatusCode.INTERNAL),
        (501, grpc.StatusCode.UNIMPLEMENTED),
        (502, grpc.StatusCode.INTERNAL),
        (503, grpc.StatusCode.UNAVAILABLE),
        (504, grpc.StatusCode.DEADLINE_EXCEEDED),
        (200, grpc.StatusCode.INTERNAL),
    ],
)
def test_a_status_that_the_model_raises_is_mapped_to_a_code(
    serve: Serve, status: int, code: grpc.StatusCode
) -> None:
    """HTTP status codes that a model raises are mapped to gRPC codes."""
    channel = serve(FakePredictor(SeldonMicroserviceException("why", status_code=status)))

    assert failure(lambda: predict(channel)) == (code, "why")


def test_an_exception_in_the_model_is_reported_and_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """After an exception in the model, the client gets its text and the log its traceback."""
    channel = serve(FakePredictor(ZeroDivisionError("division by zero")))

    assert failure(lambda: predict(channel)) == (grpc.StatusCode.INTERNAL, "division by zero")
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [
        ZeroDivisionError
    ]


def test_long_error_details_are_truncated(serve: Serve) -> None:
    """Error details are truncated, since clients refuse more than 8 KiB of encoded details."""
    channel = serve(FakePredictor(ClientError("錯" * 10_000)))

    assert failure(lambda: predict(channel)) == (grpc.StatusCode.INVALID_ARGUMENT, "錯" * 666)


def test_a_surrogate_in_an_error_message_is_replaced(serve: Serve) -> None:
    """A lone surrogate in an error message is replaced, so that the error reaches the client."""
    channel = serve(FakePredictor(ClientError("column \ud800 is unknown")))

    assert failure(lambda: predict(channel)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "column ? is unknown",
    )


def test_an_invalid_message_is_the_client_s_fault(serve: Serve) -> None:
    """Bytes that are no valid message are an INVALID_ARGUMENT that says what was expected."""
    call = serve(FakePredictor()).unary_unary("/seldon.protos.Model/Predict")

    code, details = failure(lambda: call(b"\xff\xff\xff", timeout=SECONDS))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("expected a seldon.protos.SeldonMessage: ")


def test_a_result_of_the_wrong_type_is_the_model_s_fault(serve: Serve) -> None:
    """If a raw model returns the wrong message type, the INTERNAL error names both types."""
    predictor = FakePredictor(prediction_pb2.Feedback(), is_raw=True)
    channel = serve(predictor)

    assert failure(lambda: predict(channel)) == (
        grpc.StatusCode.INTERNAL,
        "expected a seldon.protos.SeldonMessage of the model, got Feedback",
    )


def test_an_unknown_method_is_unimplemented(serve: Serve) -> None:
    """An unknown method is UNIMPLEMENTED."""
    call = serve(FakePredictor()).unary_unary("/seldon.protos.Model/Predikt")

    code, _ = failure(lambda: call(b"", timeout=SECONDS))

    assert code == grpc.StatusCode.UNIMPLEMENTED


# Sizes


def test_large_messages_pass_in_both_directions(serve: Serve) -> None:
    """Messages of 20 MB, five times gRPC's own default limit, pass without any setting."""
    large = prediction_pb2.SeldonMessage(binData=b"\x07" * (20 * MEGABYTE))

    assert predict(serve(FakePredictor()), large).binData == large.binData


def test_a_message_over_the_limit_is_refused(serve: Serve) -> None:
    """A request above the limit is refused with the limit in the details; the connection stays."""
    channel = serve(FakePredictor(), limits=Limits(MEGABYTE))
    large = prediction_pb2.SeldonMessage(binData=b"\x07" * (2 * MEGABYTE))

    code, details = failure(lambda: predict(channel, large))

    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1048576" in details
    assert predict(channel).strData == "hello"


def test_a_response_over_the_limit_is_refused(serve: Serve) -> None:
    """A response above the limit is replaced by an error with the limit in the details."""
    large = prediction_pb2.SeldonMessage(binData=b"\x07" * (2 * MEGABYTE))
    predictor = FakePredictor(large, is_raw=True)
    channel = serve(predictor, limits=Limits(MEGABYTE))

    code, details = failure(lambda: predict(channel))

    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1048576" in details


# Life cycle


def test_a_cancelled_call_logs_nothing(
    loop: Loop, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelling a call cancels its work, counts as 499 and logs nothing."""
    caplog.set_level(logging.INFO)
    never = loop.future()
    predictor = FakePredictor(never)
    is_cancelled = threading.Event()
    never.add_done_callback(lambda _: is_cancelled.set())
    channel = serve(predictor)
    call = prediction_pb2_grpc.ModelStub(channel).Predict.future(HELLO)
    assert predictor.is_asked.wait(SECONDS)

    call.cancel()

    assert is_cancelled.wait(SECONDS)
    predictor.outcome = None
    assert predict(channel).strData == "hello"
    assert counted(predictor) == {("predict", "499"): 1, ("predict", "200"): 1}
    assert caplog.records == []


def test_running_calls_are_answered_before_the_server_stops(
    loop: Loop, serve: Serve, servers: list[Running]
) -> None:
    """Stopping the server waits for running calls and refuses later ones."""
    predictor = FakePredictor(loop.future())
    channel = serve(predictor)
    running = prediction_pb2_grpc.ModelStub(channel).Predict.future(HELLO)
    assert predictor.is_asked.wait(SECONDS)

    stopping = asyncio.run_coroutine_threadsafe(servers[0].server.stop(SECONDS), loop.loop)
    loop.loop.call_soon_threadsafe(predictor.outcome.set_result, None)

    assert running.result(SECONDS).strData == "hello"
    stopping.result(SECONDS)
    assert failure(lambda: predict(channel))[0] == grpc.StatusCode.UNAVAILABLE


def test_open_streams_do_not_delay_the_shutdown(
    loop: Loop, serve: Serve, servers: list[Running]
) -> None:
    """Open health watches and reflection streams end when the server stops."""
    channel = serve(FakePredictor())
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == OK
    questions: Queue[Any] = Queue()
    questions.put(reflection_pb2.ServerReflectionRequest(list_services=""))
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    conversation = stub.ServerReflectionInfo(iter(questions.get, None))
    assert len(next(conversation).list_services_response.service) == 10

    loop.run(servers[0].server.stop(10 * SECONDS))

    questions.put(None)
    assert (list(watch), list(conversation)) == ([], [])


def test_a_port_in_use_is_a_deployment_error(
    loop: Loop, serve: Serve, servers: list[Running]
) -> None:
    """The error names the port in use and the flag that changes it."""
    serve(FakePredictor())
    port = servers[0].port

    with pytest.raises(DeploymentError, match=f"gRPC port {port} .* set with --grpc-port"):
        loop.run(started(FakePredictor(), port))


def test_calls_are_counted_by_method_and_status(serve: Serve) -> None:
    """Calls are counted with the same methods and status codes as REST, so one query sums both."""
    predictor = FakePredictor()
    channel = serve(predictor)

    predict(channel)
    prediction_pb2_grpc.ModelStub(channel).Metadata(Empty(), timeout=SECONDS)
    feedback = prediction_pb2_grpc.ModelStub(channel).SendFeedback
    feedback(prediction_pb2.Feedback(), timeout=SECONDS)
    prediction_pb2_grpc.RouterStub(channel).Route(HELLO, timeout=SECONDS)
    predictor.outcome = ClientError("expected 4")
    failure(lambda: predict(channel))
    predictor.outcome = SeldonNotImplementedError("no aggregate")
    combine = prediction_pb2_grpc.CombinerStub(channel).Aggregate
    failure(lambda: combine(prediction_pb2.SeldonMessageList(), timeout=SECONDS))

    assert counted(predictor) == {
        ("predict", "200"): 1,
        ("other", "200"): 1,
        ("feedback", "200"): 1,
        ("route", "200"): 1,
        ("predict", "400"): 1,
        ("aggregate", "501"): 1,
    }
