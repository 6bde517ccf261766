"""Sends the rows in a file with MLServer's codecs; run in MLServer's environment."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec
from mlserver_requests import infer

URL, _, ROWS = sys.argv[1:]
VALUES = np.array(json.loads(Path(ROWS).read_text()))


def answer(request: Any) -> Any:
    """The only output of the server's response, as lists."""
    (output,) = infer(URL, "model", request).outputs
    return NumpyCodec.decode_output(output).tolist()


found = {"array": answer(NumpyRequestCodec.encode_request(VALUES))}
if VALUES.ndim == 2:
    frame = pd.DataFrame(VALUES).rename(columns=str)
    found["frame"] = answer(PandasCodec.encode_request(frame))
print(json.dumps(found))
