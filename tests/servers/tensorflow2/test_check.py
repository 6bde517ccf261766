import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from serving import ROOT

SERVER = ROOT / "tensorflow2/server"


@pytest.mark.parametrize("number", ["", "7"], ids=["a SavedModel", "a numbered directory"])
def test_check_finds_the_file_that_the_server_serves(tmp_path: Path, number: str) -> None:
    """The report names the file, in TensorFlow Serving's numbered directories too."""
    module = tf.Module()
    module.twice = tf.function(
        lambda pictures: 2 * pictures,
        input_signature=[tf.TensorSpec([None, 64, 64, 3], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / number))

    command = [Path(sys.executable).with_name("check"), tmp_path, "--json"]
    environment = {**os.environ, "PREDICTIVE_UNIT_PARAMETERS": "[]"}
    done = subprocess.run(
        command, cwd=SERVER, env=environment, check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["file"]["name"] == str(Path(number) / "saved_model.pb")
    assert "1" in report["trial"]["milliseconds by rows"]
