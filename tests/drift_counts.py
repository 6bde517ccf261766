"""The metrics of drift, as a server tells them."""

import requests
from prometheus_client.parser import text_string_to_metric_families
from serving import Server


def counts(server: Server) -> dict[str, float]:
    """The metrics of drift that are not 0, by their labels."""
    page = requests.get(f"{server.metrics}/metrics", timeout=60).text
    return {
        " ".join(sample.labels.values()) or "rows": sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith(("prepackaged_input", "prepackaged_predicted")) and sample.value
    }
