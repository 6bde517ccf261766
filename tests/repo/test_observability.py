"""docs/observability.md agrees with the code about metrics and logs."""

import json
import re

from documents import blocks
from prometheus_client.parser import text_string_to_metric_families
from serving import ROOT

from prepackaged.server.telemetry.access_log import LINES
from prepackaged.server.telemetry.context import RequestContext
from prepackaged.server.telemetry.metrics import (
    ANOMALIES,
    HELP,
    OWN_GAUGES,
    PREDICTED_CLASSES,
    ROWS,
    Metrics,
)
from prepackaged.server.telemetry.observer import build_info

DOCUMENT = ROOT / "docs/observability.md"
ROW = re.compile(r"^\| `(prepackaged_\w+)` \| (\w+) \| ([^|]*)\| ([^|]+) \|$", re.MULTILINE)
PREDICT = RequestContext("POST", "/api/v1.0/predictions", ())
REQUESTS = [  # context, rows, status, bytes and milliseconds
    (PREDICT, 3, 200, 57, 1.23456),
    (PREDICT, None, 400, 115, 0.157),
    (RequestContext("gRPC", "/seldon.protos.Model/Predict", ()), 1, "OK", 31, 0.93),
]


def exposed() -> list[tuple[str, str, str, str]]:
    """The name, type, labels and help of every metric of the server, as Prometheus reads them."""
    metrics = Metrics()
    metrics.set_gauge("prepackaged_build_info", 1, **build_info("", None))
    metrics.set_gauge("prepackaged_model_info", 1, digest="", model="", version="")
    metrics.observe_request("predict", 200, 0.1)
    metrics.observe_batch(1)
    metrics.counter(ROWS)
    metrics.counter(ANOMALIES, column="", kind="")
    metrics.counter(PREDICTED_CLASSES, **{"class": ""})
    metrics.count_reloads("success", 1)
    for name in set(OWN_GAUGES) - {"prepackaged_build_info", "prepackaged_model_info"}:
        metrics.set_gauge(name, 1)
    found = []
    for family in text_string_to_metric_families(metrics.exposition()[0].decode()):
        labels = [label for label in family.samples[0].labels if label != "le"]
        name = family.name + ("_total" if family.type == "counter" else "")
        found.append((name, family.type, " ".join(sorted(labels)), family.documentation))
    return sorted(found)


def test_the_table_of_metrics_is_what_prometheus_reads() -> None:
    """The table has every metric with its type, its labels and its HELP text."""
    rows = ROW.findall(DOCUMENT.read_text())

    told = [
        (name, kind, " ".join(sorted(re.findall("`([^`]+)`", labels))), meaning)
        for name, kind, labels, meaning in rows
    ]

    assert sorted(told) == exposed()
    assert {name for name, *_ in told} == set(HELP)


def test_the_lines_of_the_access_log_are_those_that_are_written() -> None:
    """The example lines of the access log, text and JSON, are exactly what is written."""
    shown = {
        block.language: block.text for block in blocks(DOCUMENT) if block.about == "access log"
    }
    written = dict.fromkeys(LINES, "")
    for context, rows, *told in REQUESTS:
        context.rows = rows
        for form, line in LINES.items():
            written[form] += line(context, *told)

    assert shown == written
    assert all(json.loads(line) for line in shown["json"].splitlines())
