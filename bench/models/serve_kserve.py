"""The estimator at MLSERVER_MODEL_URI under KServe's server, as in KServe's sklearnserver."""

import os
from pathlib import Path
from typing import Any

import joblib
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import get_predict_input


class Estimator(Model):
    """Returns the output `predict_proba`."""

    def load(self) -> bool:
        """Load the estimator."""
        self.estimator = joblib.load(Path(os.environ["MLSERVER_MODEL_URI"]) / "model.joblib")
        self.ready = True
        return self.ready

    def predict(self, payload: InferRequest, headers: Any = None) -> InferResponse:
        """Predict, and create the response as KServe's `get_predict_response` does."""
        answer = self.estimator.predict_proba(get_predict_input(payload))
        output = InferOutput("predict_proba", list(answer.shape), "FP64")
        output.set_data_from_numpy(answer, binary_data=payload.use_binary_outputs)
        return InferResponse(
            payload.id,
            self.name,
            [output],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    model = Estimator("model")
    model.load()
    ModelServer(
        http_port=int(os.environ["MLSERVER_HTTP_PORT"]),
        grpc_port=int(os.environ["MLSERVER_GRPC_PORT"]),
        workers=1,
        enable_docs_url=False,
    ).start([model])
