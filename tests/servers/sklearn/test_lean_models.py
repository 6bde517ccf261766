"""Servers import no more of pandas and SciPy than their models need, and models notice nothing."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from serving import ROOT
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from prepackaged.estimators.lean import LATER, Later

FIT = Path(__file__).with_name("fit_many.py")
NAMES = [
    *("calibrated", "envelope", "forest", "gaussian", "gaussian classes", "hist", "huber"),
    *("imputer", "lda", "mlp", "nca", "newton", "poisson", "positive", "power", "quantile"),
    *("quantiles", "ridge", "search", "selected", "spline"),
]
HEAVY = ["flask", "jsonschema", "pandas"]
HEAVY += ["scipy.stats", "scipy.optimize", "scipy.interpolate", "scipy.integrate"]
SERVE = """
import sys
import numpy as np
from Model import Model
model = Model(sys.argv[1])
model.load()
model.predict(np.array([[0.5, 1.0, 2.0]]))
print(*sorted({*sys.argv[2:]} & {*sys.modules}))
"""
# Who imports a module while scikit-learn is imported gets the module itself.
ELSEWHERE = """
import sys
import prepackaged.estimators.lean
import sklearn.linear_model
assert "scipy.stats" not in sys.modules
from scipy.stats import chi2, norm
from scipy import optimize, stats
import scipy.interpolate
import sklearn.covariance
assert sklearn.covariance._robust_covariance.chi2 is chi2
assert stats is sys.modules["scipy.stats"] and optimize is sys.modules["scipy.optimize"]
assert scipy.interpolate is sys.modules["scipy.interpolate"]
assert not isinstance(chi2, prepackaged.estimators.lean.Later)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """The output of a Python program."""
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that scikit-learn fitted and saved on its own."""
    directory = tmp_path_factory.mktemp("fitted")
    run(FIT, directory)
    return directory


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_needs_more_of_scipy_is_served(
    fitted: Path, model_of: Callable[..., Any], name: str
) -> None:
    """A model that needs scipy.stats or scipy.optimize answers as it does without the server."""
    model = model_of(fitted, model_file=f"{name}.joblib", class_names="false")
    answer = model.predict(np.load(fitted / "rows.npy"))
    np.testing.assert_array_equal(answer, np.load(fitted / f"{name}.npy"))


def test_fitting_under_the_server_gives_the_same_models(fitted: Path, tmp_path: Path) -> None:
    """Every estimator fitted, and every function called, gives the same numbers with stand-ins."""
    run(FIT, tmp_path, "lean")

    expected = {file.name: np.load(file) for file in fitted.glob("*.npy")}
    assert {file.name for file in tmp_path.glob("*.npy")} == expected.keys()
    for name, numbers in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / name), numbers, err_msg=name)


def usual_models() -> dict[str, Any]:
    """Estimators as most people have them."""
    encoded = [("numbers", StandardScaler(), [0, 1]), ("codes", OneHotEncoder(), [2])]
    return {
        "linear": LogisticRegression(),
        "forest": RandomForestClassifier(3),
        "boosting": HistGradientBoostingClassifier(max_iter=3),
        "svm": SVC(),
        "columns": make_pipeline(ColumnTransformer(encoded), LogisticRegression()),
    }


@pytest.mark.parametrize("name", usual_models())
def test_usual_models_need_neither_pandas_nor_scipy_stats(tmp_path: Path, name: str) -> None:
    """When a usual model has answered, only a ColumnTransformer has imported pandas, by itself."""
    rows = np.array([[0.5, 1.0, 2.0], [1.5, 0.0, 3.0]] * 10)
    joblib.dump(usual_models()[name].fit(rows, [0, 1] * 10), tmp_path / "model.joblib")

    output = run("-c", SERVE, tmp_path, *HEAVY, "sklearn", cwd=ROOT / "sklearn/server")
    expected = ["pandas", "sklearn"] if name == "columns" else ["sklearn"]  # its own import
    assert output.split() == expected


def test_other_importers_get_the_modules_themselves() -> None:
    """Only scikit-learn's modules get stand-ins, and not once the real module is there."""
    run("-c", ELSEWHERE)


def test_a_stand_in_is_its_original_in_use() -> None:
    """A stand-in is called and has attributes as its original, and can be copied."""
    import copy

    chi2 = copy.deepcopy(Later("scipy.stats.chi2"))
    assert chi2(2).isf(0.5) == chi2.isf(0.5, 2) == pytest.approx(2 * np.log(2))
    assert Later("scipy.optimize").nnls([[2.0]], [4.0])[0] == [2.0]
    with pytest.raises(AttributeError, match="nothing"):
        _ = Later("scipy.stats").nothing


def scikit_learn_modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of scikit-learn but its tests, with its path."""
    package = Path(sklearn.__file__).parent
    for path in package.rglob("*.py"):
        place = path.relative_to(package)
        if not {"tests", "externals"} & set(place.parts) and path.name != "conftest.py":
            yield str(place), ast.parse(path.read_text())


def names_of_stand_ins(tree: ast.Module) -> set[str]:
    """The names that a module gives to what it gets as stand-ins."""
    return {
        each.asname or each.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and not node.level
        for each in node.names
        if f"{node.module}.{each.name}" in LATER
    }


def test_scikit_learn_uses_in_functions_alone_what_models_import_later() -> None:
    """scikit-learn calls stand-ins, or reads attributes of them, and only inside functions.

    So a stand-in is never a base class, a type to check for, or a default.
    """
    found = {}
    for place, tree in scikit_learn_modules():
        names = names_of_stand_ins(tree)
        outside = list(outside_of_functions(tree))
        used = {
            id(node.func if isinstance(node, ast.Call) else node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call | ast.Attribute)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in names:
                found.setdefault(place, set()).add(node.id)
                assert id(node) in used, f"{place}:{node.lineno}"
                assert node not in outside, f"{place}:{node.lineno}"
    assert {"preprocessing/_data.py", "isotonic.py", "_loss/link.py"} <= found.keys()


def outside_of_functions(node: ast.AST) -> Iterator[ast.AST]:
    """What runs while a module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.Lambda):
            for part in (*child.args.defaults, *getattr(child, "decorator_list", ())):
                yield part
                yield from outside_of_functions(part)
        else:
            yield child
            yield from outside_of_functions(child)
