import json

import pytest

from prepackaged import DeploymentError
from prepackaged.server.runtime.config import Config, read_config


def test_the_defaults_are_upstreams() -> None:
    """Ports, paths and log level as seldon-core 1.17.1 has them."""
    assert read_config(["Model"], {}) == Config("Model", {})


def test_the_environment_gives_the_defaults_of_flags() -> None:
    """The variables that Seldon's operator sets."""
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
def test_the_older_port_variable_counts_where_the_newer_is_absent(
    environment: dict[str, str], port: int
) -> None:
    """PrimeHub sets the older one alone."""
    assert read_config(["Model"], environment).http_port == port


def test_the_command_line_of_the_images_is_understood() -> None:
    """Flags without effect are read and let go."""
    line = "Model --service-type MODEL --persistence 0 --access-log --threads 8 --max-requests 9"

    assert read_config(line.split(), {}).access_log


def test_parameters_have_the_types_that_they_say() -> None:
    """Seldon's five types."""
    given = [("s", "7", "STRING"), ("i", "7", "INT"), ("f", "7", "FLOAT"), ("d", "0.5", "DOUBLE")]
    given += [("yes", "True", "BOOL"), ("no", "0", "BOOL")]
    text = json.dumps([{"name": n, "value": v, "type": t} for n, v, t in given])

    parameters = read_config(["Model"], {"PREDICTIVE_UNIT_PARAMETERS": text}).parameters

    assert parameters == {"s": "7", "i": 7, "f": 7.0, "d": 0.5, "yes": True, "no": False}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "7",
        '{"name": "a"}',
        '[{"name": "a", "value": "x"}]',
        '[{"name": "a", "value": "x", "type": "INT"}]',
        '[{"name": "a", "value": "x", "type": "BOOL"}]',
        '[{"name": "a", "value": "x", "type": "LIST"}]',
    ],
)
def test_wrong_parameters_are_a_deployments_mistake(text: str) -> None:
    """The message says what a parameter looks like and what came."""
    with pytest.raises(DeploymentError, match="name, value and type"):
        read_config(["Model", "--parameters", text], {})


def test_a_port_that_is_no_number_is_a_deployments_mistake() -> None:
    """The message names the flag and the value."""
    with pytest.raises(DeploymentError, match="--http-port must be a whole number, got 'http'"):
        read_config(["Model"], {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "http"})


def test_the_bounds_of_time_and_connections_have_defaults_that_fit_a_cluster() -> None:
    """The end fits the operator's 20 s less preStop's 10; a proxy closes connections first."""
    config = read_config(["Model"], {})

    assert (config.grace, config.keepalive, config.max_connections) == (7, 120, 10_000)
    assert (config.timeout, config.grpc_timeout) == (None, None)


def test_the_bounds_can_be_set() -> None:
    """By the environment, and by flags that win over it."""
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


def test_annotations_bound_the_time_of_each_transport() -> None:
    """In milliseconds, as the operator has them."""
    annotations = {"seldon.io/rest-timeout": "1500", "seldon.io/grpc-timeout": "2500"}

    config = read_config(["Model"], {}, annotations)

    assert (config.timeout, config.grpc_timeout) == (1.5, 2.5)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", ""])
def test_a_time_that_is_none_is_a_deployments_mistake(text: str) -> None:
    """The message names the flag and the value."""
    message = f"--grace-seconds must be a number of seconds, got {text!r}"
    with pytest.raises(DeploymentError, match=message):
        read_config(["Model"], {"PREPACKAGED_GRACE_SECONDS": text})


def test_an_unknown_log_level_is_a_deployments_mistake() -> None:
    """The message lists those that there are."""
    with pytest.raises(DeploymentError, match="DEBUG, INFO, WARNING, ERROR; not 'LOUD'"):
        read_config(["Model"], {"SELDON_LOG_LEVEL": "loud"})


def test_the_access_log_is_text_unless_the_environment_says_json() -> None:
    """The variable is read beside the flag that turns the log on."""
    assert read_config(["Model"], {}).access_log_format == "text"
    environment = {"PREPACKAGED_ACCESS_LOG_FORMAT": "json"}
    assert read_config(["Model"], environment).access_log_format == "json"


def test_another_form_of_the_access_log_ends_the_start() -> None:
    """The one who deploys is told what there is."""
    with pytest.raises(DeploymentError, match="PREPACKAGED_ACCESS_LOG_FORMAT is text or json; not"):
        read_config(["Model"], {"PREPACKAGED_ACCESS_LOG_FORMAT": "xml"})


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
def test_tracing_is_asked_for_in_upstreams_way_or_in_opentelemetrys(
    arguments: list[str], environment: dict[str, str]
) -> None:
    """Any one of these is enough."""
    assert read_config(["Model", *arguments], environment).tracing


@pytest.mark.parametrize("environment", [{}, {"TRACING": "0"}, {"OTEL_SERVICE_NAME": "iris"}])
def test_tracing_is_off_otherwise(environment: dict[str, str]) -> None:
    """A name alone asks for nothing."""
    assert not read_config(["Model"], environment).tracing


def test_payloads_are_passed_through_where_the_environment_says_so() -> None:
    """Upstream's variable, with its values."""
    assert not read_config(["Model"], {}).passes_payload
    assert read_config(["Model"], {"PAYLOAD_PASSTHROUGH": "true"}).passes_payload
