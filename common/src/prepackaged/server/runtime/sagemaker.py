"""`serve`, the command with which SageMaker starts a container: `docker run IMAGE serve`.

Reference: SageMaker, "Use Your Own Inference Code with Hosting Services".
"""

import os
import sys

from prepackaged.server.runtime.cli import main as microservice

MODEL_DIR = "/opt/ml/model"
DEFAULTS = {"SAGEMAKER_BIND_TO_PORT": "8080", "GRPC_WORKERS": "0", "MODEL_NAME": "Model"}


def main() -> None:
    """Serve SageMaker's model on SageMaker's port, without gRPC.

    Further arguments are passed to the microservice.
    """
    for name, value in DEFAULTS.items():
        os.environ[name] = os.environ.get(name) or value
    flags = ["--model-dir", MODEL_DIR, "--access-log"]
    sys.argv[1:] = [os.environ["MODEL_NAME"], *flags, *sys.argv[1:]]
    microservice()
