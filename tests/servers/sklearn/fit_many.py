"""Fit and save estimators that need parts of SciPy which others do not, and try them.

python fit_many.py DIRECTORY [lean]

Each estimator is saved as NAME.joblib; NAME.npy has its answer to `rows`. `others.npy` has what
functions of scikit-learn return. With `lean`, scikit-learn is imported as the servers import it.
"""

import sys
import warnings
from pathlib import Path

if "lean" in sys.argv:
    import prepackaged.estimators.lean  # noqa: F401

import joblib
import numpy as np
from scipy.stats import randint, uniform
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import SpectralCoclustering
from sklearn.covariance import EllipticEnvelope
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.impute import IterativeImputer  # type: ignore[attr-defined, unused-ignore]
from sklearn.inspection import partial_dependence
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import (
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.metrics import consensus_score, label_ranking_loss, roc_auc_score
from sklearn.model_selection import RandomizedSearchCV
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, QuantileTransformer, SplineTransformer

directory = Path(sys.argv[1])
warnings.simplefilter("ignore")  # of fits that have not converged
random = np.random.default_rng(0)
rows = random.normal(size=(60, 3))
target = (rows[:, 0] + rows[:, 1] ** 2 > 0.5).astype(int)
numbers = rows @ [1.0, -2.0, 0.5]
counts = np.abs(numbers).round()
SHARES = uniform(0.3, 0.6)
classifier = LogisticRegression()
estimators = {
    "calibrated": (CalibratedClassifierCV(classifier, method="isotonic", cv=2), target),
    "coclustering": (SpectralCoclustering(2, random_state=0), None),
    "envelope": (EllipticEnvelope(random_state=0), None),
    "forest": (RandomForestClassifier(5, random_state=0), target),
    "gaussian": (GaussianProcessRegressor(), numbers),
    "gaussian classes": (GaussianProcessClassifier(), target),
    "hist": (HistGradientBoostingClassifier(max_iter=5), counts),
    "huber": (HuberRegressor(), numbers),
    "imputer": (make_pipeline(IterativeImputer(sample_posterior=True, random_state=0), Ridge()),
                numbers),
    "lda": (LinearDiscriminantAnalysis(), target),
    "mlp": (MLPClassifier([4], solver="lbfgs", random_state=0), target),
    "nca": (make_pipeline(NeighborhoodComponentsAnalysis(random_state=0), classifier), target),
    "newton": (LogisticRegression(solver="newton-cg"), target),
    "poisson": (PoissonRegressor(), counts),
    "positive": (LinearRegression(positive=True), numbers),
    "power": (make_pipeline(PowerTransformer(), classifier), target),
    "quantile": (QuantileRegressor(solver="highs"), numbers),
    "quantiles": (make_pipeline(QuantileTransformer(n_quantiles=9, output_distribution="normal"),
                                classifier), target),
    "ridge": (Ridge(positive=True), numbers),
    "search": (RandomizedSearchCV(RandomForestClassifier(random_state=0),
                                  {"n_estimators": randint(2, 5), "max_features": SHARES},
                                  n_iter=2, random_state=0, cv=2), target),
    "selected": (make_pipeline(SelectKBest(f_classif, k=2), classifier), target),
    "spline": (make_pipeline(SplineTransformer(), Ridge()), numbers),
}  # fmt: skip


def answer(estimator: object) -> np.ndarray:
    """What a server answers by default."""
    for method in ("predict_proba", "predict"):
        if hasattr(estimator, method):
            return np.asarray(getattr(estimator, method)(rows))
    return np.asarray(estimator.row_labels_)  # type: ignore[attr-defined]


for name, (estimator, wanted) in estimators.items():
    estimator.fit(rows, wanted)
    joblib.dump(estimator, directory / f"{name}.joblib")
    np.save(directory / f"{name}.npy", answer(estimator))

isotonic = IsotonicRegression().fit(rows[:, 0], numbers)
fitted = estimators["forest"][0]
others = [
    *isotonic.predict(rows[:, 0]),
    roc_auc_score(target, rows[:, 0]),
    label_ranking_loss(np.eye(3)[counts.astype(int) % 3], rows),
    consensus_score(([[True]], [[True]]), ([[True]], [[True]])),
    *partial_dependence(fitted, rows, [0], grid_resolution=4)["average"].ravel(),
]
np.save(directory / "others.npy", others)
np.save(directory / "rows.npy", rows)
