import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from serving import ROOT
from xgboost import XGBClassifier

from prepackaged import DeploymentError
from prepackaged.pickles import imports_of

sys.path.insert(0, str(ROOT / "xgboost/server"))


def test_a_wrapper_is_served_with_a_list_of_what_it_imports(tmp_path: Path) -> None:
    """A wrapper loads with the list of its imports, and is refused if one name is missing."""
    from Model import Model

    rows = np.arange(40.0).reshape(20, 2)
    wrapper = XGBClassifier(n_estimators=2).fit(rows, [0, 1] * 10)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(wrapper))
    names = imports_of(tmp_path / "model.pkl") or set()
    model = Model(str(tmp_path), allowed_imports=",".join(names))
    np.testing.assert_array_equal(model.predict(rows), wrapper.predict_proba(rows)[:, 1])

    with pytest.raises(DeploymentError, match=r"this pickle imports xgboost\.core\.Booster, which"):
        Model(str(tmp_path), allowed_imports=",".join(names - {"xgboost.core.Booster"}))


def test_files_of_its_own_import_nothing(tmp_path: Path) -> None:
    """The list of imports does not apply to XGBoost's own formats."""
    from Model import Model

    rows = np.arange(40.0).reshape(20, 2)
    XGBClassifier(n_estimators=2).fit(rows, [0, 1] * 10).save_model(tmp_path / "model.ubj")
    assert Model(str(tmp_path), allowed_imports="a.b").ready
