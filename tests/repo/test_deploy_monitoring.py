"""The dashboard and the alert rules use metrics that a server exports."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families
from serving import ROOT, serve

from prepackaged.server.runtime.config import Config

RULES = yaml.safe_load((ROOT / "deploy/monitoring/alerts.yaml").read_text())
DASHBOARD = json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["spec"]["groups"] for rule in group["rules"]}
# Labels that Prometheus adds to every series of a pod, with our PodMonitor.
OF_TARGET = {"namespace", "job", "pod", "app_kubernetes_io_part_of"}
MODEL = """\
from prepackaged import Column, Component, Signature, ValueRange

class Model(Component):
    signature = Signature(
        inputs=(Column("area", "float64", value_range=ValueRange(10, 250, "training")),),
        class_names=("cheap", "dear"),
    )
    def predict(self, X, names): return X
    def send_feedback(self, X, names, reward, truth, routing=None): return None
"""
FEEDBACK = {"request": {"data": {"ndarray": [[1.0]]}}, "reward": 0.5}


def panels() -> dict[str, list[tuple[str, str]]]:
    """The legends and expressions of each panel, with Grafana's variable replaced."""
    return {
        panel["title"]: [
            (target["legendFormat"], re.sub(r"\[\$__rate_interval\]", "[5m]", target["expr"]))
            for target in panel["targets"]
        ]
        for panel in DASHBOARD["panels"]
    }


EXPRESSIONS = [rule["expr"] for rule in ALERTS.values()]
EXPRESSIONS += [expression for panel in panels().values() for _, expression in panel]


def nodes(expression: str) -> list[Any]:
    """The nodes of a parsed PromQL expression."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), lambda node: found.append(node))
    return found


def kept(expression: str) -> set[str]:
    """The labels by which the expression groups."""
    groups = [node.modifier for node in nodes(expression) if hasattr(node, "param")]
    return {label for group in groups if group for label in group.labels}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """The metrics of a running server after a prediction and feedback: their labels and values."""
    directory = tmp_path_factory.mktemp("model")
    (directory / "Model.py").write_text(MODEL)
    with serve(directory) as server:
        assert server.post({"data": {"ndarray": [[1.0]]}}).status_code == 200
        assert server.post(FEEDBACK, "/api/v1.0/feedback").status_code == 200
        page = requests.get(server.metrics + "/metrics", timeout=60).text
    found: dict[str, dict[str, set[str]]] = {"up": {}}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_exists(
    expression: str, exported: dict[str, dict[str, set[str]]]
) -> None:
    """All metrics, labels and methods in the expressions exist on a running server."""
    selectors = [node for node in nodes(expression) if hasattr(node, "matchers")]
    names = {selector.name for selector in selectors}
    of_any = OF_TARGET.union(*(exported.get(name, {}) for name in names))

    assert names
    assert names <= set(exported)
    assert kept(expression) <= of_any
    for selector in selectors:
        labels = exported[selector.name]
        for matcher in selector.matchers.matchers:
            assert matcher.name in OF_TARGET | set(labels)
            if matcher.name == "method":
                assert matcher.value in labels["method"]


def test_the_dashboard_shows_everything_that_a_server_exports(
    exported: dict[str, dict[str, set[str]]],
) -> None:
    """The dashboard shows every metric that a server exports, including feedback."""
    shown = {
        node.name
        for panel in panels().values()
        for _, expression in panel
        for node in nodes(expression)
        if hasattr(node, "matchers")
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in set(exported) - {"up"}}

    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}


@pytest.mark.parametrize("title", panels())
def test_a_legend_names_labels_that_its_series_have(title: str) -> None:
    """The labels in a legend are those by which its expression groups."""
    for legend, expression in panels()[title]:
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) == kept(expression) - {"le"}


def test_every_panel_has_a_title_and_a_place_of_its_own() -> None:
    """Panels have unique titles, positions and IDs."""
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]

    assert len(panels()) == len(set(places)) == len(set(numbers)) == len(DASHBOARD["panels"])


def test_the_queue_is_nearly_full_at_four_fifths_of_its_bound() -> None:
    """The alert's threshold is 80 % of the default queue bound."""
    expression = promql_parser.parse(ALERTS["PrepackagedServerQueueNearlyFull"]["expr"])

    assert expression.rhs.val == 0.8 * Config("Model", {}).max_waiting


class Case(NamedTuple):
    """Input series in promtool's notation, one value a minute, and the alerts that must fire."""

    series: dict[str, str]
    minutes: int
    rings: list[str]


OF_POD = 'namespace="n", job="j", pod="p"'
REQUESTS = f'prepackaged_requests_total{{{OF_POD}, method="%s", code="%s"}}'
SECONDS = f'prepackaged_request_seconds_bucket{{{OF_POD}, method="predict", code="200", le="%s"}}'
QUEUE = f"prepackaged_queue_depth_requests{{{OF_POD}}}"
BATCHING = f"prepackaged_batching_enabled{{{OF_POD}}}"
LOADING = f"prepackaged_model_load_seconds{{{OF_POD}}}"
RELOADED = f"prepackaged_model_last_reload_successful{{{OF_POD}}}"
BUILD = f'prepackaged_build_info{{{OF_POD}, version="1", image="i", python="3.11"}}'
ROWS = f"prepackaged_input_rows_total{{{OF_POD}}}"
ANOMALIES = f'prepackaged_input_anomalies_total{{{OF_POD}, column="area", kind="%s"}}'
UP = f'up{{{OF_POD}, app_kubernetes_io_part_of="prepackaged-servers"}}'
CASES = {
    "a server that does well": Case(
        {
            REQUESTS % ("predict", "200"): "0+97x80",
            REQUESTS % ("predict", "500"): "0+3x80",
            REQUESTS % ("predict", "400"): "0+50x80",
            SECONDS % "1.0": "0+100x80",
            SECONDS % "+Inf": "0+100x80",
            QUEUE: "700x80",
            BATCHING: "1x80",
            LOADING: "2x40 3x40",
            RELOADED: "1x80",
            BUILD: "1x80",
            ROWS: "0+100x80",
            ANOMALIES % "missing": "0+90x80",
            ANOMALIES % "above_range": "0+4x80",
            UP: "1x80",
        },
        75,
        [],
    ),
    "one in ten fails, whatever health says": Case(
        {
            REQUESTS % ("predict", "200"): "0+90x30",
            REQUESTS % ("predict", "503"): "0+10x30",
            REQUESTS % ("other", "200"): "0+900x30",
        },
        20,
        ["PrepackagedServerErrors"],
    ),
    "five in a hundred are slow": Case(
        {SECONDS % "1.0": "0+95x30", SECONDS % "2.5": "0+100x30", SECONDS % "+Inf": "0+100x30"},
        20,
        ["PrepackagedServerSlow"],
    ),
    "the queue fills": Case({QUEUE: "900x10"}, 5, ["PrepackagedServerQueueNearlyFull"]),
    "batching goes off": Case({BATCHING: "1x5 0x10"}, 10, ["PrepackagedServerBatchingOff"]),
    "batching never was on": Case({BATCHING: "0x30"}, 20, []),
    "three restarts": Case({LOADING: "2 2 3 3 4 4 5 5"}, 7, ["PrepackagedServerRestarts"]),
    "a new model cannot be loaded": Case(
        {RELOADED: "1x5 0x10"}, 10, ["PrepackagedServerReloadFailed"]
    ),
    "a model takes its time to load": Case({UP: "0x15 1x10"}, 20, []),
    "a pod stays dark": Case({UP: "0x30"}, 25, ["PrepackagedServerDown"]),
    "one in ten values is too large": Case(
        {ROWS: "0+100x80", ANOMALIES % "above_range": "0+10x80"},
        75,
        ["PrepackagedServerUnusualValues"],
    ),
    "all pods are gone": Case({BUILD: "1x30"}, 70, ["PrepackagedServerGone"]),
}

with_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool comes with Prometheus"
)


def promtool(*arguments: str | Path) -> None:
    """Run promtool, which must succeed."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@with_promtool
@pytest.mark.parametrize("name", CASES)
def test_what_rings_is_what_is_wrong(name: str, tmp_path: Path) -> None:
    """With made-up series, exactly the expected alerts fire."""
    case = CASES[name]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES["spec"]))
    rings = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in case.rings]
    test = {
        "interval": "1m",
        "input_series": [{"series": key, "values": value} for key, value in case.series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{case.minutes}m",
                "exp_samples": rings,
            }
        ],
    }
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))

    promtool("test", "rules", tmp_path / "tests.yaml")


def test_every_alert_is_tried() -> None:
    """Each alert fires in a case, and has a severity and a description."""
    assert {alert for case in CASES.values() for alert in case.rings} == set(ALERTS)
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
