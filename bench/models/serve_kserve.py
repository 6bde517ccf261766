"""The estimator at MLSERVER_MODEL_URI under KServe's own server: what its sklearnserver does."""

import os
from pathlib import Path
from typing import Any

import joblib
from kserve import InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response


class Estimator(Model):
    """Answers with probabilities."""

    def load(self) -> bool:
        """Read the file."""
        self.estimator = joblib.load(Path(os.environ["MLSERVER_MODEL_URI"]) / "model.joblib")
        self.ready = True
        return self.ready

    def predict(
        self, payload: dict[str, Any] | InferRequest, headers: Any = None
    ) -> dict[str, Any] | InferResponse:
        """Probabilities, in the form of the request's protocol."""
        answer = self.estimator.predict_proba(get_predict_input(payload))
        return get_predict_response(payload, answer, self.name)


if __name__ == "__main__":
    model = Estimator("model")
    model.load()
    ModelServer(
        http_port=int(os.environ["MLSERVER_HTTP_PORT"]),
        grpc_port=int(os.environ["MLSERVER_GRPC_PORT"]),
        workers=1,
        enable_docs_url=False,
    ).start([model])
