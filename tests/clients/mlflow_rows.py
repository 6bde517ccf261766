"""Sends the rows in a file with MLflow's scoring client to a server's address."""

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from samples import report

URL, _, ROWS = sys.argv[1:]
ADDRESS = urlsplit(URL)
CLIENT = ScoringServerClient(ADDRESS.hostname, ADDRESS.port)
VALUES = np.array(json.loads(Path(ROWS).read_text()))

CLIENT.ping()
found = {"array": CLIENT.invoke(VALUES).get_predictions().to_numpy().tolist()}
if VALUES.ndim == 2:
    found["frame"] = CLIENT.invoke(pd.DataFrame(VALUES)).get_predictions().to_numpy().tolist()
report(found)
