"""All settings of the microservice, each with its names, default, example and meaning.

The command line, `--help` and the tables of docs/settings.md are generated from this list.
"""

from prepackaged.server.runtime.limits import BATCHING, BROWSERS, LIMITS, RELOADING
from prepackaged.server.runtime.settings import Setting
from prepackaged.server.runtime.shutdown import GRACE_SECONDS
from prepackaged.server.transport.sockets import ANY_HOST

MAX_CONNECTIONS = 10_000
# Longer than proxies keep idle connections, so that the proxy closes them first: Google's load
# balancer keeps them for 600 s.
KEEPALIVE_SECONDS = 620
CALL_SECONDS = 300  # a call to the model that takes longer is considered to hang
METRICS_PATH = ("PREDICTIVE_UNIT_METRICS_ENDPOINT", "MLSERVER_METRICS_ENDPOINT")
# OpenTelemetry's variables for the endpoint that receives traces.
TRACED_TO = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


MODEL = (
    Setting(
        "the Model's parameters, a JSON list; each image's page lists its own",
        flag="parameters",
        variables=("PREDICTIVE_UNIT_PARAMETERS",),
        default="[]",
        example='[{"name": "method", "type": "STRING", "value": "predict"}]',
    ),
    Setting(
        "the directory of the model, unless the parameter model_uri names one",
        flag="model-dir",
        variables=("MLSERVER_MODEL_URI", "AIP_STORAGE_URI"),
        default="",
        otherwise="/mnt/models, if it is not empty",
        example="/models/iris",
    ),
    # Seldon's operator sets PREDICTIVE_UNIT_ID for its v1 protocol, in addition to MLServer's.
    Setting(
        "the model's name in requests and answers of V1 and V2",
        flag="model-name",
        variables=("PREPACKAGED_MODEL_NAME", "MLSERVER_MODEL_NAME", "PREDICTIVE_UNIT_ID"),
        default="model",
        example="iris",
    ),
    Setting(
        "the model's version in requests and answers of V1 and V2",
        variables=("MLSERVER_MODEL_VERSION",),
        default="1",
        example="3",
    ),
    Setting(
        "false: do not send the samples beside the model to the model at the start",
        variables=("PREPACKAGED_SAMPLES",),
        default="true",
        example="false",
    ),
    Setting(
        "true: each answer names the model's digest, the framework and the image",
        variables=("PREPACKAGED_PROVENANCE_TAGS",),
        default="false",
        example="true",
    ),
    Setting(
        "false: do not count missing, unknown and unusual values and predicted classes",
        variables=("PREPACKAGED_DRIFT",),
        default="true",
        example="false",
    ),
)
PORTS = (
    Setting(
        "the address to listen on; :: means all IPv6 and IPv4 addresses",
        flag="host",
        variables=("PREPACKAGED_HOST",),
        default=ANY_HOST,
        example="127.0.0.1",
    ),
    # PrimeHub and older operators set only PREDICTIVE_UNIT_SERVICE_PORT. Seldon's variables are
    # first, then MLServer's, Vertex AI's and SageMaker's. PORT is not among them, because Knative
    # sets it to the port that a container declares, which may be the gRPC port.
    Setting(
        "the port of REST; it also accepts gRPC",
        flag="http-port",
        variables=(
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
            "PREDICTIVE_UNIT_SERVICE_PORT",
            "MLSERVER_HTTP_PORT",
            "AIP_HTTP_PORT",
            "SAGEMAKER_BIND_TO_PORT",
        ),
        default=9000,
        example="8080",
    ),
    Setting(
        "the port of gRPC",
        flag="grpc-port",
        variables=("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", "MLSERVER_GRPC_PORT"),
        default=5000,
        example="5001",
    ),
    Setting(
        "the port of the metrics",
        flag="metrics-port",
        variables=("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", "MLSERVER_METRICS_PORT"),
        default=6000,
        example="8002",
    ),
    Setting(
        "the path of the metrics",
        variables=METRICS_PATH,
        default="/metrics",
        example="/prometheus",
    ),
    Setting(
        "0: turn gRPC off, on both ports",
        flag="grpc-workers",
        variables=("GRPC_WORKERS",),
        default=1,
        example="0",
    ),
    Setting(
        "true: open the ports at once, and answer 503 until the model is loaded",
        variables=("PREPACKAGED_OPEN_EARLY",),
        default="false",
        otherwise="false; true on Vertex AI, and under Seldon's operator for protocol: v2",
        example="true",
    ),
    Setting(
        "an additional path for predictions; Vertex AI sets it",
        variables=("AIP_PREDICT_ROUTE",),
        default="",
        example="/predict",
    ),
    Setting(
        "an additional path for the model's health; Vertex AI sets it",
        variables=("AIP_HEALTH_ROUTE",),
        default="",
        example="/healthz",
    ),
)
PROCESSES = (
    Setting(
        "number of worker processes; each loads the model, and the metrics are their sums",
        flag="workers",
        variables=("GUNICORN_WORKERS",),
        default=1,
        example="2",
    ),
    Setting(
        "maximum number of open connections to each of the two ports, for each process",
        flag="max-connections",
        variables=("PREPACKAGED_MAX_CONNECTIONS",),
        default=MAX_CONNECTIONS,
        example="1000",
    ),
)
TIME = (
    Setting(
        "seconds to finish accepted requests after the signal to shut down",
        flag="grace-seconds",
        variables=("PREPACKAGED_GRACE_SECONDS",),
        default=GRACE_SECONDS,
        example="17",
    ),
    Setting(
        "seconds that an idle connection stays open; 0: close it after each response",
        flag="keepalive",
        variables=("GUNICORN_KEEPALIVE",),
        default=KEEPALIVE_SECONDS,
        example="65",
    ),
    Setting(
        "seconds after which the server treats a call to the model as hung; 0: never",
        flag="max-call-seconds",
        variables=("PREPACKAGED_MAX_CALL_SECONDS",),
        default=CALL_SECONDS,
        example="900",
    ),
    Setting(
        "maximum time from a REST request to its answer, in milliseconds; 0: no limit",
        annotation="seldon.io/rest-timeout",
        default="0",
        example="20000",
    ),
    Setting(
        "maximum time from a gRPC request to its answer, in milliseconds; 0: no limit",
        annotation="seldon.io/grpc-timeout",
        default="0",
        example="20000",
    ),
)
LOGS = (
    Setting(
        "DEBUG, INFO, WARNING, ERROR or CRITICAL; the variable overrides the flag",
        flag="log-level",
        variables=("SELDON_LOG_LEVEL",),
        default="INFO",
        example="DEBUG",
    ),
    Setting(
        "true: write a line for every request (access log); the images set the flag",
        flag="access-log",
        variables=("GUNICORN_ACCESS_LOG",),
        default="false",
        example="true",
        bare="true",
    ),
    Setting(
        "the format of the access log: text or json",
        variables=("PREPACKAGED_ACCESS_LOG_FORMAT",),
        default="text",
        example="json",
    ),
    Setting(
        "1: create a span for every request, with OpenTelemetry",
        flag="tracing",
        variables=("TRACING",),
        default="0",
        example="1",
        bare="1",
    ),
    Setting(
        "where to send spans; setting either variable turns tracing on",
        variables=TRACED_TO,
        otherwise="http://localhost:4318",
        example="http://collector:4318",
    ),
)
SELDON = (
    Setting(
        "the server's name in an inference graph, for meta.requestPath",
        variables=("PREDICTIVE_UNIT_ID",),
        otherwise="none; Seldon's operator sets it",
        example="iris",
    ),
    Setting(
        "the image's name, for meta.requestPath and metrics",
        variables=("PREDICTIVE_UNIT_IMAGE",),
        otherwise="each image sets its own",
        example="infuseai/sklearn-prepackaged:0.2.0",
    ),
    Setting(
        "true: predict_raw gets the undecoded body of a request",
        variables=("PAYLOAD_PASSTHROUGH",),
        default="false",
        example="true",
    ),
)
#: The settings by topic, in the order of their documentation.
GROUPS = {
    "Model": MODEL,
    "Loading a new model": RELOADING,
    "Ports": PORTS,
    "Processes and connections": PROCESSES,
    "Time": TIME,
    "Limits": LIMITS,
    "Batching": BATCHING,
    "Browsers": BROWSERS,
    "Logs and tracing": LOGS,
    "Seldon": SELDON,
}
SETTINGS = tuple(setting for group in GROUPS.values() for setting in group)
#: Flags for upstream's process model, which this server does not have: accepted without effect.
WITHOUT_EFFECT = (
    "grpc-threads",
    "threads",
    "max-requests",
    "max-requests-jitter",
    "single-threaded",
    "pidfile",
    "nthread",  # KServe's
)
