"""The estimator at MLSERVER_MODEL_URI under Triton's Python backend, with pytriton."""

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

ESTIMATOR = joblib.load(Path(os.environ["MLSERVER_MODEL_URI"]) / "model.joblib")


@batch
def predict(x: Any) -> dict[str, Any]:
    """Return the probabilities for a batch of rows."""
    return {"predict_proba": ESTIMATOR.predict_proba(x)}


if __name__ == "__main__":
    ports = {kind: int(os.environ[f"MLSERVER_{kind}_PORT"]) for kind in ("HTTP", "GRPC", "METRICS")}
    config = TritonConfig(
        http_port=ports["HTTP"], grpc_port=ports["GRPC"], metrics_port=ports["METRICS"]
    )
    with Triton(config=config) as triton:
        triton.bind(
            "model",
            predict,
            [Tensor(name="x", dtype=np.float64, shape=(ESTIMATOR.n_features_in_,))],
            [Tensor(name="predict_proba", dtype=np.float64, shape=(-1,))],
            config=ModelConfig(max_batch_size=512, batcher=DynamicBatcher()),
        )
        triton.serve()
