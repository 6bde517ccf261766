"""Set up TensorFlow in this process: its device and its log level."""

import logging
import os

import tensorflow as tf

from prepackaged import choose_device


def prepare(device: str | None) -> str:
    """Let TensorFlow use one GPU, or only the CPU, and log only errors unless configured otherwise.

    Call this before any computation, and after the microservice has forked. Returns the device,
    `cpu` or `cuda:N`. Raises `DeploymentError` for a GPU that is not available.
    """
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] >= "2":  # no notices or warnings requested
        for logger in (tf.get_logger(), logging.getLogger("absl")):
            logger.setLevel(logging.ERROR)
    gpus = tf.config.list_physical_devices("GPU")
    chosen = choose_device(device, [f"cuda:{number}" for number in range(len(gpus))])
    visible = [gpus[int(chosen.partition(":")[2])]] if chosen != "cpu" else []
    tf.config.set_visible_devices(visible, "GPU")
    for gpu in visible:
        tf.config.experimental.set_memory_growth(gpu, True)  # noqa: FBT003  it has no name
    return chosen
