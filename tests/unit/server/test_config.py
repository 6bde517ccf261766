import json
import logging
import math
import re

import pytest

from prepackaged import DeploymentError
from prepackaged.server.runtime.config import Config, read_config
from prepackaged.server.runtime.options import SETTINGS
from prepackaged.server.runtime.settings import Setting


def test_the_defaults_are_upstreams() -> None:
    """Ports, paths and log level default to those of seldon-core 1.17.1."""
    assert read_config(["Model"], {}) == Config("Model", {})


def test_environment_variables_set_the_defaults_of_flags() -> None:
    """The environment variables of Seldon's operator set the defaults of the flags."""
    environment = {
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9001",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "9501",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6001",
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "GRPC_WORKERS": "0",
        "GUNICORN_ACCESS_LOG": "true",
        "SELDON_LOG_LEVEL": "debug",
    }

    config = read_config(["Model", "--log-level", "ERROR"], environment)

    assert (config.http_port, config.grpc_port, config.metrics_port) == (9001, 9501, 6001)
    assert config.metrics_path == "/prometheus"
    assert not config.serves_grpc
    assert config.access_log
    assert config.log_level == "DEBUG"


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({"PREDICTIVE_UNIT_SERVICE_PORT": "9100"}, 9100),
        (
            {
                "PREDICTIVE_UNIT_SERVICE_PORT": "9100",
                "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9200",
            },
            9200,
        ),
    ],
)
def test_the_older_port_variable_applies_if_the_newer_is_missing(
    environment: dict[str, str], port: int
) -> None:
    """The older port variable, the only one that PrimeHub sets, applies if the newer is missing."""
    assert read_config(["Model"], environment).http_port == port


@pytest.mark.parametrize(
    ("flags", "environment", "name"),
    [
        ([], {}, "model"),
        ([], {"PREDICTIVE_UNIT_ID": "node"}, "node"),
        ([], {"PREDICTIVE_UNIT_ID": "node", "MLSERVER_MODEL_NAME": "served"}, "served"),
        ([], {"MLSERVER_MODEL_NAME": "served", "PREPACKAGED_MODEL_NAME": "iris"}, "iris"),
        (["--model-name", "flagged"], {"PREPACKAGED_MODEL_NAME": "iris"}, "flagged"),
        (["--model_name=a_b"], {"PREPACKAGED_MODEL_NAME": "iris"}, "a_b"),
        (["--model_name", "a_b"], {}, "a_b"),
    ],
)
def test_the_most_specific_setting_names_the_model(
    flags: list[str], environment: dict[str, str], name: str
) -> None:
    """The model name is the flag's, else our variable's, MLServer's or Seldon's, else "model"."""
    assert read_config(["Model", *flags], environment).model_name == name


PORTS = ("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "PREDICTIVE_UNIT_SERVICE_PORT", "MLSERVER_HTTP_PORT")
PORTS_OF_CLOUDS = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT")


@pytest.mark.parametrize("first", range(len(PORTS + PORTS_OF_CLOUDS)))
def test_the_port_variables_of_platforms_have_an_order(first: int) -> None:
    """The port variables of Seldon, MLServer, Vertex AI and SageMaker apply in this order."""
    names = (*PORTS, *PORTS_OF_CLOUDS)[first:]
    environment = {name: str(9100 + number) for number, name in enumerate(names)}

    assert read_config(["Model"], environment).http_port == 9100
    assert read_config(["Model", "--http_port=9200"], environment).http_port == 9200


def test_port_is_not_read() -> None:
    """PORT is ignored: Knative sets it to the container's declared port, which may be gRPC's."""
    config = read_config(["Model"], {"PORT": "5000"})
    assert (config.http_port, config.grpc_port) == (9000, 5000)


def test_mlservers_settings_are_read(caplog: pytest.LogCaptureFixture) -> None:
    """MLServer's variables that Seldon's operator sets are read; others are logged as ignored."""
    environment = {
        "MLSERVER_HTTP_PORT": "9001",
        "MLSERVER_GRPC_PORT": "9501",
        "MLSERVER_METRICS_PORT": "6001",
        "MLSERVER_METRICS_ENDPOINT": "/prometheus",
        "MLSERVER_MODEL_URI": "/mnt/models",
        "MLSERVER_GRPC_MAX_MESSAGE_LENGTH": "1000",
        "MLSERVER_PARALLEL_WORKERS": "1",
        "MLSERVER_DEBUG": "true",
    }
    with caplog.at_level(logging.INFO):
        config = read_config(["Model"], environment)

    assert (config.http_port, config.grpc_port, config.metrics_port) == (9001, 9501, 6001)
    assert (config.metrics_path, config.model_dir) == ("/prometheus", "/mnt/models")
    assert config.max_message == 1000
    assert caplog.messages == ["Ignored: MLSERVER_DEBUG, MLSERVER_PARALLEL_WORKERS"]
    unlimited = {"MLSERVER_GRPC_MAX_MESSAGE_LENGTH": "-1"}
    assert read_config(["Model"], unlimited).max_message is None
    ours = {**environment, "PREPACKAGED_MAX_MESSAGE_BYTES": "2000"}
    assert read_config(["Model"], ours).max_message == 2000


def test_kserves_flags_are_read() -> None:
    """The flags of KServe's runtime containers are accepted."""
    flags = "--model_name=iris --model_dir=/mnt/models --http_port=8080 --grpc_port=8081"
    config = read_config(["Model", *flags.split(), "--workers=2", "--nthread=1"], {})

    assert (config.model_name, config.model_dir, config.workers) == ("iris", "/mnt/models", 2)
    assert (config.http_port, config.grpc_port) == (8080, 8081)


VERTEX = {
    "AIP_HTTP_PORT": "8080",
    "AIP_MODE": "PREDICTION",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
    "AIP_STORAGE_URI": "",
}


def test_the_variables_of_vertex_ai_are_read() -> None:
    """Vertex AI's port and routes are read, and the port opens before the model is loaded."""
    config = read_config(["Model"], VERTEX)

    assert (config.http_port, config.opens_early, config.model_dir) == (8080, True, None)
    assert config.health_route == "/v1/endpoints/1/deployedModels/2"
    assert config.predict_route == "/v1/endpoints/1/deployedModels/2:predict"
    assert not read_config(["Model"], {**VERTEX, "PREPACKAGED_OPEN_EARLY": "false"}).opens_early
    with pytest.raises(DeploymentError, match=r"^AIP_PREDICT_ROUTE: expected a path"):
        read_config(["Model"], {"AIP_PREDICT_ROUTE": "predict"})


@pytest.mark.parametrize("left_out", ["PREDICTIVE_UNIT_ID", "MLSERVER_MODEL_VERSION"])
def test_for_seldons_v2_protocol_the_port_opens_before_the_model_is_loaded(left_out: str) -> None:
    """For the v2 protocol, which sets both variables, the port opens before the model is loaded."""
    both = {"PREDICTIVE_UNIT_ID": "node", "MLSERVER_MODEL_VERSION": "v1"}
    assert read_config(["Model"], both).opens_early
    del both[left_out]
    assert not read_config(["Model"], both).opens_early


def test_for_seldons_own_protocol_the_port_opens_after_the_model_is_loaded() -> None:
    """For Seldon's protocol, where an open port means ready, it opens after the model is loaded."""
    own = {
        "PREDICTIVE_UNIT_ID": "node",
        "MLSERVER_HTTP_PORT": "9001",
        "MLSERVER_GRPC_PORT": "9501",
        "MLSERVER_MODEL_URI": "/mnt/models",
        "MLSERVER_MODEL_NAME": "node",
    }
    assert not read_config(["Model"], own).opens_early


def test_a_model_in_a_bucket_stops_the_start() -> None:
    """A bucket as model location is an error, unless another setting names a directory."""
    bucket = {**VERTEX, "AIP_STORAGE_URI": "gs://bucket/model"}
    with pytest.raises(DeploymentError) as caught:
        read_config(["Model"], bucket)
    assert str(caught.value) == (
        "AIP_STORAGE_URI: expected a directory, got gs://bucket/model: this server downloads"
        " nothing, so build an image that has the model in /mnt/models, and import it into Vertex"
        " AI without an artifact URI"
    )
    assert read_config(["Model", "--model-dir=/models"], bucket).model_dir == "/models"


def test_the_model_version_is_the_one_that_the_operator_sets() -> None:
    """The model version is read from MLServer's variable."""
    assert read_config(["Model"], {}).model_version == "1"
    assert read_config(["Model"], {"MLSERVER_MODEL_VERSION": "v1"}).model_version == "v1"


def test_the_command_line_of_the_images_is_accepted() -> None:
    """The images' command line is accepted, including flags that have no effect."""
    line = "Model --service-type MODEL --persistence 0 --access-log --threads 8 --max-requests 9"

    assert read_config(line.split(), {}).access_log


def test_parameters_are_converted_to_their_declared_types() -> None:
    """Parameters are converted to Seldon's five types."""
    given = [("s", "7", "STRING"), ("i", "7", "INT"), ("f", "7", "FLOAT"), ("d", "0.5", "DOUBLE")]
    given += [("yes", "True", "BOOL"), ("no", "0", "BOOL")]
    text = json.dumps([{"name": n, "value": v, "type": t} for n, v, t in given])

    parameters = read_config(["Model"], {"PREDICTIVE_UNIT_PARAMETERS": text}).parameters

    assert parameters == {"s": "7", "i": 7, "f": 7.0, "d": 0.5, "yes": True, "no": False}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "got no JSON (Expecting property name"),
        ("7", "got int"),
        ('{"name": "a"}', "got dict"),
        ("[7]", "the parameter in place 1 has no name and no value and no type"),
        ('[{"name": "a", "value": "x"}]', "the parameter in place 1 has no type"),
        ('[{"name": "a", "value": "S3CRET", "type": "INT"}]', "'a' has no value of its type, INT"),
        ('[{"name": "a", "value": "x", "type": "BOOL"}]', "'a' has no value of its type, BOOL"),
        ('[{"name": "a", "value": [1], "type": "FLOAT"}]', "'a' has no value of its type, FLOAT"),
        ('[{"name": "a", "value": 1e400, "type": "INT"}]', "'a' has no value of its type, INT"),
        ('[{"name": "a", "value": "x", "type": "LIST"}]', "'a' has the type 'LIST'"),
    ],
)
def test_wrong_parameters_are_a_deployment_error(text: str, why: str) -> None:
    """The error names the parameter and its type, but no value, since it may be a secret."""
    good = '{"name": "token", "value": "S3CRET", "type": "STRING"}, '
    with pytest.raises(DeploymentError) as caught:
        read_config(["Model"], {"PREDICTIVE_UNIT_PARAMETERS": text.replace("[{", f"[{good}{{")})

    message = str(caught.value)
    assert message.startswith(
        "--parameters or PREDICTIVE_UNIT_PARAMETERS: expected a JSON list of objects with name,"
        " value and type, where type is STRING, INT, FLOAT, DOUBLE, BOOL; "
    )
    assert why.replace("place 1 has no type", "place 2 has no type") in message
    assert "S3CRET" not in message


WHOLE = "expected a whole number of at least 1"
PORT = "expected a whole number from 0 to 65535"
SECONDS = "expected a number of seconds"
GRPC_PORT = "PREDICTIVE_UNIT_GRPC_SERVICE_PORT or MLSERVER_GRPC_PORT"
METRICS_PORT = "PREDICTIVE_UNIT_METRICS_SERVICE_PORT or MLSERVER_METRICS_PORT"


@pytest.mark.parametrize(
    ("variable", "flag", "text", "expected"),
    [
        (GRPC_PORT, "--grpc-port", "70000", PORT),
        (METRICS_PORT, "--metrics-port", "-1", PORT),
        (METRICS_PORT, "--metrics-port", "tcp://10.0.0.1:6000", PORT),
        ("GUNICORN_WORKERS", "--workers", "two", WHOLE),
        ("GUNICORN_WORKERS", "--workers", "0", WHOLE),
        ("GRPC_WORKERS", "--grpc-workers", "-1", "expected a whole number of at least 0"),
        ("PREPACKAGED_MAX_CONNECTIONS", "--max-connections", "-1", WHOLE),
        ("PREPACKAGED_MAX_CONNECTIONS", "--max-connections", "0", WHOLE),
        ("PREPACKAGED_GRACE_SECONDS", "--grace-seconds", "soon", SECONDS),
        ("PREPACKAGED_GRACE_SECONDS", "--grace-seconds", "-1", SECONDS),
        ("PREPACKAGED_GRACE_SECONDS", "--grace-seconds", "nan", SECONDS),
        ("PREPACKAGED_GRACE_SECONDS", "--grace-seconds", "inf", SECONDS),
        ("GUNICORN_KEEPALIVE", "--keepalive", "2m", SECONDS),
        ("PREPACKAGED_MAX_CALL_SECONDS", "--max-call-seconds", "never", SECONDS),
        ("GUNICORN_ACCESS_LOG", "--access-log", "-", "expected true or false"),
        ("TRACING", "--tracing", "maybe", "expected true or false"),
    ],
)
def test_a_wrong_setting_names_its_flag_and_its_variable(
    variable: str, flag: str, text: str, expected: str
) -> None:
    """The error message names both the flag and the variable, whichever was set."""
    message = f"{flag} or {variable}: {expected}, got {text!r}"
    said = [([], {name: text}) for name in variable.split(" or ")]
    for arguments, environment in (*said, ([f"{flag}={text}"], {})):
        with pytest.raises(DeploymentError, match=f"^{re.escape(message)}$"):
            read_config(["Model", *arguments], environment)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("PREPACKAGED_OPEN_EARLY", "ture", "expected true or false, got 'ture'"),
        ("PAYLOAD_PASSTHROUGH", "2", "expected true or false, got '2'"),
        ("PREPACKAGED_ACCESS_LOG_FORMAT", "xml", "expected text or json, got 'xml'"),
        (
            "PREPACKAGED_ACCESS_LOG_FORMAT",
            "x" * 999,
            f"expected text or json, got '{'x' * 100}...'",
        ),
    ],
)
def test_a_wrong_variable_names_itself(variable: str, text: str, message: str) -> None:
    """A misspelt value is an error instead of a silent default, and the message is truncated."""
    with pytest.raises(DeploymentError, match=f"^{variable}: {re.escape(message)}$"):
        read_config(["Model"], {variable: text})


def test_an_empty_variable_counts_as_unset() -> None:
    """Empty variables count as unset, since deployment templates set variables to nothing."""
    names = {name for setting in SETTINGS for name in setting.variables}

    assert len(names) > 40
    for nothing in ("", " "):
        assert read_config(["Model"], dict.fromkeys(names, nothing)) == Config("Model", {})


SET_BY_NAME = [
    pytest.param(setting, name, id=name) for setting in SETTINGS for name in setting.variables
]


@pytest.mark.parametrize(("setting", "variable"), SET_BY_NAME)
def test_the_example_of_each_variable_is_valid(setting: Setting, variable: str) -> None:
    """The examples in docs/settings.md are valid and change the configuration."""
    assert read_config(["Model"], {variable: setting.example}) != Config("Model", {})


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.flag], ids=str)
def test_the_example_of_each_flag_is_valid(setting: Setting) -> None:
    """A flag has the same effect as its variable; without a value it means the documented value."""
    config = read_config(["Model", f"--{setting.flag}", setting.example], {})

    assert config == read_config(["Model"], {setting.variables[0]: setting.example})
    if setting.bare:
        assert read_config(["Model", f"--{setting.flag}"], {}) == config


@pytest.mark.parametrize("setting", [each for each in SETTINGS if each.annotation], ids=str)
def test_the_example_of_each_annotation_is_valid(setting: Setting) -> None:
    """The example of each annotation changes the configuration."""
    config = read_config(["Model"], {}, {setting.annotation: setting.example})

    assert config != Config("Model", {})


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_default_of_each_setting_changes_nothing(setting: Setting) -> None:
    """Setting the documented default changes nothing."""
    if setting.default is not None:
        said = str(setting.default)
        environment = dict.fromkeys(setting.variables[:1], said)
        annotations = {setting.annotation: said} if setting.annotation else {}

        assert read_config(["Model"], environment, annotations) == Config("Model", {})


def test_the_default_timeouts_fit_a_cluster() -> None:
    """Shutdown fits the operator's 20 s less preStop's 10 s, and proxies close idle connections."""
    config = read_config(["Model"], {})

    assert (config.grace, config.keepalive, config.max_connections) == (7, 620, 10_000)
    assert (config.timeout, config.grpc_timeout) == (None, None)


def test_the_limits_can_be_set() -> None:
    """Environment variables set the limits, and flags override them."""
    environment = {
        "PREPACKAGED_GRACE_SECONDS": "25",
        "GUNICORN_KEEPALIVE": "75",
        "PREPACKAGED_MAX_CONNECTIONS": "100",
    }
    flags = ["--grace-seconds", "0.5", "--keepalive", "2", "--max-connections", "7"]
    bounds = {
        tuple(environment.values()): read_config(["Model"], environment),
        tuple(flags[1::2]): read_config(["Model", *flags], environment),
    }

    for texts, config in bounds.items():
        numbers = (config.grace, config.keepalive, config.max_connections)
        assert numbers == tuple(map(float, texts))


def test_annotations_set_the_timeout_of_each_transport() -> None:
    """Annotations set the timeouts of REST and gRPC in milliseconds, as in Seldon's operator."""
    annotations = {"seldon.io/rest-timeout": "1500", "seldon.io/grpc-timeout": "2500"}

    config = read_config(["Model"], {}, annotations)

    assert (config.timeout, config.grpc_timeout) == (1.5, 2.5)


@pytest.mark.parametrize("text", ["0", "0.0", ""])
def test_a_timeout_of_0_means_no_timeout(text: str) -> None:
    """A timeout of 0 or an empty one means no timeout, as in gunicorn and the operator."""
    annotations = {"seldon.io/rest-timeout": text, "seldon.io/grpc-timeout": text}
    config = read_config(["Model"], {"PREPACKAGED_MAX_CALL_SECONDS": "0"}, annotations)
    assert (config.timeout, config.grpc_timeout, config.longest_call) == (None, None, math.inf)


@pytest.mark.parametrize(
    ("text", "bound"), [("1000", 1000), ("0", None), ("-1", None), ("", 64 * 2**20)]
)
def test_the_size_of_messages_can_be_unlimited(text: str, bound: int | None) -> None:
    """A message size of -1, as in gRPC, or 0 means no limit."""
    annotations = {"seldon.io/grpc-max-message-size": text}
    assert read_config(["Model"], {}, annotations).max_message == bound


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("seldon.io/rest-timeout", "soon", "a number of milliseconds"),
        ("seldon.io/grpc-timeout", "-5", "a number of milliseconds"),
        ("seldon.io/grpc-max-message-size", "4MB", "a whole number of at least -1"),
    ],
)
def test_a_wrong_annotation_names_itself(key: str, text: str, expected: str) -> None:
    """The error message names the annotation and its value."""
    message = f"the annotation {key}: expected {expected}, got {text!r}"
    with pytest.raises(DeploymentError, match=f"^{re.escape(message)}$"):
        read_config(["Model"], {}, {key: text})


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("warn", "WARNING"),
        ("WARNING", "WARNING"),
        ("Critical", "CRITICAL"),
        ("fatal", "CRITICAL"),
        ("debug", "DEBUG"),
    ],
)
def test_log_levels_are_those_of_python(text: str, level: str) -> None:
    """Log levels are Python's, including its short forms."""
    assert read_config(["Model"], {"SELDON_LOG_LEVEL": text}).log_level == level
    assert logging.getLevelName(text.upper()) == logging.getLevelName(level)


def test_an_unknown_log_level_is_a_deployment_error() -> None:
    """The error message lists the valid log levels."""
    message = "--log-level or SELDON_LOG_LEVEL: expected DEBUG or INFO or .*, got 'LOUD'"
    with pytest.raises(DeploymentError, match=message):
        read_config(["Model"], {"SELDON_LOG_LEVEL": "loud"})


@pytest.mark.parametrize("text", ["/prometheus", "prometheus", "//prometheus"])
def test_the_path_of_the_metrics_begins_with_a_slash(text: str) -> None:
    """The metrics path gets a leading slash if it has none."""
    environment = {"PREDICTIVE_UNIT_METRICS_ENDPOINT": text}
    assert read_config(["Model"], environment).metrics_path == "/prometheus"


def test_the_host_can_be_set() -> None:
    """The server listens on all addresses by default, or on the configured host."""
    assert read_config(["Model"], {}).host == "::"
    assert read_config(["Model"], {"PREPACKAGED_HOST": "10.0.0.1"}).host == "10.0.0.1"
    assert read_config(["Model", "--host", "localhost"], {}).host == "localhost"


def test_the_access_log_is_text_unless_set_to_json() -> None:
    """The access log format is text by default; an environment variable selects JSON."""
    assert read_config(["Model"], {}).access_log_format == "text"
    environment = {"PREPACKAGED_ACCESS_LOG_FORMAT": "json"}
    assert read_config(["Model"], environment).access_log_format == "json"


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--tracing"], {}),
        (["--tracing", "1"], {}),
        ([], {"TRACING": "1"}),
        ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}),
        ([], {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}),
    ],
)
def test_upstreams_and_opentelemetrys_variables_enable_tracing(
    arguments: list[str], environment: dict[str, str]
) -> None:
    """The flag, TRACING or OpenTelemetry's endpoint variables each enable tracing."""
    assert read_config(["Model", *arguments], environment).tracing


@pytest.mark.parametrize("environment", [{}, {"TRACING": "0"}, {"OTEL_SERVICE_NAME": "iris"}])
def test_tracing_is_off_by_default(environment: dict[str, str]) -> None:
    """Tracing is off by default; a service name alone does not enable it."""
    assert not read_config(["Model"], environment).tracing


def test_a_variable_enables_payload_passthrough() -> None:
    """Upstream's PAYLOAD_PASSTHROUGH variable enables payload passthrough."""
    assert not read_config(["Model"], {}).passes_payload
    assert read_config(["Model"], {"PAYLOAD_PASSTHROUGH": "true"}).passes_payload


def test_environment_variables_limit_requests() -> None:
    """Environment variables set the limits on requests; the pod's annotation takes precedence."""
    config = read_config(
        ["Model"],
        {
            "PREPACKAGED_MAX_BODY_BYTES": "1000",
            "PREPACKAGED_MAX_MESSAGE_BYTES": "2000",
            "PREPACKAGED_REQUEST_MEMORY_BYTES": "3000",
            "PREPACKAGED_MAX_WAITING": "4",
            "PREPACKAGED_BATCHING": "off",
            "PREPACKAGED_MAX_BATCH_ROWS": "5",
            "PREPACKAGED_MAX_BATCH_BYTES": "6000",
            "PREPACKAGED_CORS": "false",
            "PREPACKAGED_SAMPLES": "false",
            "PREPACKAGED_PROVENANCE_TAGS": "true",
        },
    )
    assert (config.max_body, config.max_message, config.request_memory) == (1000, 2000, 3000)
    assert (config.max_waiting, config.batches) == (4, False)
    assert (config.max_batch_rows, config.max_batch_bytes, config.cors) == (5, 6000, False)
    assert (config.samples, config.provenance_tags) == (False, True)
    annotations = {"seldon.io/grpc-max-message-size": "7000"}
    both = read_config(["Model"], {"PREPACKAGED_MAX_MESSAGE_BYTES": "2000"}, annotations)
    assert both.max_message == 7000


def test_an_invalid_limit_names_its_variable() -> None:
    """The error message names the variable and the expected values."""
    with pytest.raises(DeploymentError) as caught:
        read_config(["Model"], {"PREPACKAGED_MAX_BODY_BYTES": "0"})
    assert str(caught.value) == (
        "PREPACKAGED_MAX_BODY_BYTES: expected a whole number of at least 1, got '0'"
    )
