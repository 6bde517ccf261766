"""How TensorFlow runs in this process: on which device, and how loud."""

import logging
import os

import tensorflow as tf

from prepackaged import choose_device


def prepare(device: str | None) -> str:
    """Let TensorFlow see one GPU, or the CPU alone, and speak of errors alone.

    To be called before anything is computed, and after the microservice has forked. Gives the
    device: `cpu` or `cuda:N`. Raises `DeploymentError` for a GPU that is not there.
    """
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] >= "2":  # notices and warnings are not asked for
        for logger in (tf.get_logger(), logging.getLogger("absl")):
            logger.setLevel(logging.ERROR)
    gpus = tf.config.list_physical_devices("GPU")
    chosen = choose_device(device, [f"cuda:{number}" for number in range(len(gpus))])
    visible = [gpus[int(chosen.partition(":")[2])]] if chosen != "cpu" else []
    tf.config.set_visible_devices(visible, "GPU")
    for gpu in visible:
        tf.config.experimental.set_memory_growth(gpu, True)  # noqa: FBT003  it has no name
    return chosen
