"""Grafana's dashboard in JSON, from panels that are described in TOML."""

import json
import tomllib
from typing import Any

# What is chosen at the dashboard's top: where the metrics are, and whose are shown.
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTED = 'namespace=~"$namespace", job=~"$job"'


def dashboard(described: str, note: str) -> str:
    """The dashboard with the panels that the TOML text describes, and a note on its origin."""
    panels = tomllib.loads(described)["panel"]
    whole = {
        "uid": "prepackaged-servers",
        "title": "Pre-packaged model servers",
        "description": note,
        "tags": ["prepackaged-servers"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables()},
        "panels": [panel(number, each) for number, each in enumerate(panels)],
    }
    return json.dumps(whole, indent=2) + "\n"


def variables() -> list[dict[str, Any]]:
    """The choices at the top."""
    of_namespace = 'label_values(prepackaged_build_info{namespace=~"$namespace"}, job)'
    return [
        {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"},
        choice("namespace", "Namespace", "label_values(prepackaged_build_info, namespace)"),
        choice("job", "Server", of_namespace),
    ]


def choice(name: str, label: str, query: str) -> dict[str, Any]:
    """Some of the values that a query finds, or all."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # whenever the time range changes
        "includeAll": True,
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def panel(number: int, described: dict[str, Any]) -> dict[str, Any]:
    """A chart over time, in its place: two in a row."""
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": described["title"],
        "description": described["help"],
        "datasource": SOURCE,
        "gridPos": {"x": number % 2 * 12, "y": number // 2 * 8, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": described["unit"], "min": 0}, "overrides": []},
        "options": {
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": True,
                "calcs": [],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            target(*each) for each in zip("ABCDEF", described["series"].items(), strict=False)
        ],
    }


def target(letter: str, series: tuple[str, str]) -> dict[str, Any]:
    """One query of a chart: its legend and its expression."""
    legend, expression = series
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": expression.strip().replace("SELECTED", SELECTED),
        "legendFormat": legend,
    }
