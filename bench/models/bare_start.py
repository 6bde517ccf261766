"""A lower bound of startup: import the framework, load the model, and predict once.

    python bare_start.py IMAGE DIRECTORY

It prints the prediction for the first sample in the directory, and exits when its standard input
is closed.
"""

import json
import sys
from pathlib import Path
from typing import Any


def skeleton(directory: Path, rows: Any) -> Any:
    """Return the rows, as `Plain` does."""
    import numpy as np

    return np.array(rows)


def sklearn(directory: Path, rows: Any) -> Any:
    """Call an estimator."""
    import joblib

    return joblib.load(directory / "model.joblib").predict_proba(rows)


def xgboost(directory: Path, rows: Any) -> Any:
    """Call a booster."""
    import numpy as np
    from xgboost import Booster

    return Booster(model_file=directory / "model.json").inplace_predict(np.array(rows))


def pytorch(directory: Path, rows: Any) -> Any:
    """Call a TorchScript module."""
    import torch

    module = torch.jit.load(directory / "model.pt").eval()
    with torch.inference_mode():
        return module(torch.tensor(rows)).numpy()


def tensorflow2(directory: Path, rows: Any) -> Any:
    """Call a Keras model."""
    import keras
    import numpy as np

    return keras.models.load_model(directory / "model.keras").predict_on_batch(np.array(rows))


def onnx(directory: Path, rows: Any) -> Any:
    """Run a session."""
    import numpy as np
    from onnxruntime import InferenceSession

    session = InferenceSession(directory / "model.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.array(rows, np.float32)})[0]


if __name__ == "__main__":
    place = Path(sys.argv[2])
    sample = json.loads((place / "samples.json").read_text())["inputs"][0]
    print(globals()[sys.argv[1]](place, sample).tolist(), flush=True)
    sys.stdin.read()
