from pathlib import Path
from typing import Any

import joblib
import pytest
import requests
import sklearn
from prometheus_client.parser import text_string_to_metric_families
from serving import ROOT, Server, serve
from sklearn.linear_model import LogisticRegression
from waiting import wait_until

from prepackaged.provenance import digest_of

SERVER = ROOT / "sklearn/server"
FLOWER = {"data": {"ndarray": [[5.1, 3.5, 1.4, 0.2]]}}


def labels_of(server: Server, family: str) -> list[dict[str, str]]:
    """The labels of a metric family on the metrics page."""
    text = requests.get(server.metrics + "/metrics").text
    found = text_string_to_metric_families(text)
    return [sample.labels for each in found for sample in each.samples if sample.name == family]


@pytest.fixture
def directory(tmp_path: Path, classifier: LogisticRegression) -> Path:
    """A directory with a classifier of iris flowers."""
    joblib.dump(classifier, tmp_path / "model.joblib")
    return tmp_path


def test_a_server_tells_what_it_serves(directory: Path) -> None:
    """Log, metrics and metadata have the model's digest and versions; by default answers do not."""
    digest = digest_of([directory / "model.joblib"])
    with serve(SERVER, model_uri=str(directory)) as server:
        wait_until(lambda: "Serving model, digest" in server.log())
        assert f"Serving model, digest {digest}, scikit-learn {sklearn.__version__}" in server.log()
        assert labels_of(server, "prepackaged_model_info") == [
            {"digest": digest, "model": "model", "version": "1"}
        ]
        (build,) = labels_of(server, "prepackaged_build_info")
        assert build["framework"] == "scikit-learn"
        assert build["framework_version"] == sklearn.__version__
        custom = requests.get(server.url + "/metadata").json()["custom"]
        assert custom["model_digest"] == digest
        assert custom["scikit-learn"] == sklearn.__version__
        assert server.post(FLOWER).json()["meta"] == {}


def test_answers_tell_it_where_a_setting_says_so(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting, all answers have digest and versions, in Seldon's protocol and in V2."""
    monkeypatch.setenv("PREPACKAGED_PROVENANCE_TAGS", "true")
    monkeypatch.setenv("PREDICTIVE_UNIT_IMAGE", "infuseai/sklearn-prepackaged:0.1.0")
    expected = {
        "model_digest": digest_of([directory / "model.joblib"]),
        "framework": f"scikit-learn {sklearn.__version__}",
        "image": "infuseai/sklearn-prepackaged:0.1.0",
    }
    tensor: Any = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}
    with serve(SERVER, model_uri=str(directory)) as server:
        meta = server.post(FLOWER).json()["meta"]
        assert meta["tags"] == expected
        answer = server.post({"inputs": [tensor]}, "/v2/models/model/infer").json()
        assert answer["parameters"].items() >= expected.items()
