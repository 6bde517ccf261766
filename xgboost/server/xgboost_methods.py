"""The prediction methods of a booster, the same for all file types."""

import ctypes
import json
import re
from contextlib import nullcontext
from functools import cached_property

import numpy as np
from scipy.special import expit, softmax
from threadpoolctl import ThreadpoolController
from xgboost import DMatrix, build_info
from xgboost.core import XGBoostError
from xgboost_file import Loaded, reason

from prepackaged import Column, DeploymentError, ModelError, Signature, TensorSpec
from prepackaged.arrays import Array
from prepackaged.parameters import wrong_parameter
from prepackaged.signature import Facts

METHODS = ("predict", "predict_proba", "label", "margin", "leaf", "contributions")
PROBABLE = ("binary:logistic", "binary:logitraw", "reg:logistic", "multi:softprob", "multi:softmax")
CLASSIFYING = {"predict_proba": PROBABLE, "label": (*PROBABLE, "binary:hinge")}
CPU = "cpu"
OPENMP = ThreadpoolController().select(user_api="openmp")
BLOCK = 64  # the number of rows that a thread processes at a time in inplace_predict


class Answers:
    """A booster on one device, with the METHODS that it can answer.

    `predict` is XGBoost's own `Booster.predict`. A model that stopped early uses its best
    iteration, as XGBoost's wrappers do. Raises `DeploymentError` for a method that is unknown or
    that the booster lacks.
    """

    def __init__(self, loaded: Loaded, method: str | None, device: str) -> None:
        self.booster, self.classes, self.missing = loaded.booster, loaded.classes, loaded.missing
        self.device = device
        # 0 means as many threads as OpenMP may use; this replaces the value of a pickled model.
        self.booster.set_param({"device": device, "nthread": 0})
        config = json.loads(self.booster.save_config())["learner"]
        self.objective = str(config["objective"]["name"])
        self.kind = str(config["gradient_booster"]["name"])
        self.outputs = int(config["learner_model_param"].get("num_target", 1))
        self.class_count = int(config["learner_model_param"]["num_class"])
        self.best_iteration = self.booster.attr("best_iteration")
        self.method = self._checked(method or METHODS[0])

    def __call__(self, rows: Array, method: str | None = None) -> Array:
        """Call a method, or the default one, with rows of shape [n, features].

        Returns an array whose first axis is n. Raises `ModelError` if XGBoost fails.
        """
        try:
            answer: Array = getattr(self, method or self.method)(rows)
        except XGBoostError as error:
            raise ModelError(f"the model failed: {reason(error)}") from error
        return answer

    def predict(self, rows: Array) -> Array:
        """Values or probabilities of shape [n] or [n, outputs]; class numbers for `multi:softmax`.

        The dtype is float32.
        """
        return self._scores(rows)

    def margin(self, rows: Array) -> Array:
        """Sums of the trees before the objective's transformation, [n] or [n, outputs]."""
        return self._scores(rows, margin=True)

    def predict_proba(self, rows: Array) -> Array:
        """Probabilities of shape [n, classes]; [n, labels] if a row may have several labels."""
        if self.objective == "multi:softmax":
            return np.asarray(softmax(self.margin(rows), axis=1))
        is_raw = self.objective == "binary:logitraw"
        positive = expit(self.margin(rows)) if is_raw else self.predict(rows)
        return positive if positive.ndim == 2 else np.column_stack([1 - positive, positive])

    def label(self, rows: Array) -> Array:
        """The most likely class of each row, [n]; for several labels, 0 or 1 each, [n, labels].

        Classes are the file's labels, else int64 numbers.
        """
        numbers = self._class_numbers(rows)
        return numbers if self.classes is None else np.asarray(self.classes[numbers])

    def leaf(self, rows: Array) -> Array:
        """The number of the leaf that each row reaches in each tree, int32 of shape [n, trees]."""
        leaves = self._of_matrix(rows, pred_leaf=True)
        return leaves.reshape(len(rows), -1).astype(np.int32)

    def contributions(self, rows: Array) -> Array:
        """SHAP values of shape [n, features + 1] or [n, outputs, features + 1], the bias last."""
        return self._of_matrix(rows, pred_contribs=True)

    def signature(self, inputs: tuple[Column, ...], answer: Array) -> Signature:
        """The booster's inputs and outputs; `answer` is the result for an example row.

        The columns of `predict_proba` are the classes, or their numbers if the file has no names
        for them. Any other result is an array with a fixed number of values per row.
        """
        classes = None if self.classes is None else tuple(map(str, self.classes))
        outputs: Facts = (TensorSpec("", answer.dtype, (None, *answer.shape[1:])),)
        if self.method == "predict_proba" and self.outputs == 1:
            classes = classes or tuple(map(str, range(answer.shape[1])))
            outputs = tuple(map(Column, classes))
        methods = tuple(method for method in METHODS if not self._why_not(method))
        return Signature(inputs, outputs, classes, self.method, methods).with_source("model")

    def _class_numbers(self, rows: Array) -> Array:
        scores = self.predict(rows)
        if self.objective in ("multi:softmax", "binary:hinge"):
            return scores.astype(np.int64)
        if self.objective == "multi:softprob":
            return np.asarray(scores.argmax(axis=1))
        return (scores > (0 if self.objective == "binary:logitraw" else 0.5)).astype(np.int64)

    def _scores(self, rows: Array, *, margin: bool = False) -> Array:
        # Other boosters cannot predict in place, or differ in the last digits (dart).
        if self.kind != "gbtree" or self.device != CPU:
            return self._of_matrix(rows, output_margin=margin)
        # A second thread would have no work, but waiting for it would take longer than the trees.
        with OPENMP.limit(limits=1) if len(rows) <= BLOCK else nullcontext():
            scores: Array = self.booster.inplace_predict(
                rows,
                iteration_range=self._iterations(),
                predict_type="margin" if margin else "value",
                missing=self.missing,
                validate_features=False,  # `Features` has checked them, with clearer messages
            )
        return scores

    def _of_matrix(self, rows: Array, **what: bool) -> Array:
        answer: Array = self.booster.predict(
            DMatrix(rows, missing=self.missing),
            iteration_range=self._iterations(),
            validate_features=False,
            **what,
        )
        return answer

    def _iterations(self) -> tuple[int, int]:
        """The range of iterations, end exclusive; (0, 0) means all."""
        if self.best_iteration is None or self.kind == "gblinear":
            return 0, 0
        return 0, int(self.best_iteration) + 1

    def _checked(self, method: str) -> str:
        if method not in METHODS:
            raise wrong_parameter("method", f"one of {', '.join(METHODS)}", method)
        if reason := self._why_not(method):
            raise DeploymentError(reason)
        return method

    def _why_not(self, method: str) -> str:
        """The reason why this booster lacks one of the METHODS; empty if it has the method."""
        if self.objective not in CLASSIFYING.get(method, (self.objective,)):
            return (
                f"method {method} needs an objective that"
                f" {'tells probabilities' if method == 'predict_proba' else 'classifies'}; this"
                f" model's is {self.objective}: set method to predict, margin, leaf or"
                " contributions"
            )
        if method == "leaf" and self.kind == "gblinear":
            return "this model cannot answer method leaf: a linear booster has no trees"
        if method == "contributions" and self._has_trees_of_many_outputs:
            # XGBoost before 3.1 answers with zeros.
            return (
                "this model cannot answer method contributions: XGBoost has none for trees of"
                " several outputs"
            )
        return ""

    @cached_property
    def _has_trees_of_many_outputs(self) -> bool:
        if max(self.outputs, self.class_count) <= 1:  # only other boosters need the costly save_raw
            return False
        leaves = re.search(rb'"size_leaf_vector":"(\d+)"', self.booster.save_raw("json"))
        return leaves is not None and int(leaves[1]) > 1


def gpus() -> list[str]:
    """The GPUs that this build of XGBoost can use, as `cuda:N`; none for the CPU build."""
    if not build_info()["USE_CUDA"]:
        return []
    try:
        driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0)
    except OSError:
        return []
    driver.cuInit(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    return [f"cuda:{number}" for number in range(count.value)]
