"""What requests may contain, such as rows, records, missing values and categories, and what not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from serving import Server, serve_here
from xgboost import Booster, DMatrix, XGBClassifier, XGBRegressor

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(scope="module")
def server(model_of: Callable[..., Any], classifier_file: Path) -> Iterator[Server]:
    """A server with the classifier, which takes four numbers without column names."""
    with serve_here(model_of(classifier_file)) as server:
        yield server


@pytest.fixture(scope="module")
def rents_server(model_of: Callable[..., Any], rents_file: Path) -> Iterator[Server]:
    """A server with the rents: columns city and district with categories, and area."""
    with serve_here(model_of(rents_file)) as server:
        yield server


def tensor(values: Any) -> dict[str, Any]:
    """A Seldon tensor with an array's shape and values."""
    array = np.asarray(values)
    return {"shape": list(array.shape), "values": array.ravel().tolist()}


def test_the_answer_is_of_the_requests_kind(
    server: Server, classifier: XGBClassifier, rows: Array
) -> None:
    """An ndarray is answered by an ndarray; a tensor, or rows as jsonData, by a tensor."""
    whole = np.nan_to_num(rows[:3])
    expected = classifier.predict_proba(whole)

    as_ndarray = server.post({"data": {"ndarray": whole.tolist()}}).json()["data"]
    as_tensor = server.post({"data": {"tensor": tensor(whole)}}).json()["data"]
    as_json = server.post({"jsonData": whole.tolist()}).json()["data"]

    assert np.array_equal(np.float32(as_ndarray["ndarray"]), expected)
    assert as_tensor["tensor"]["shape"] == as_json["tensor"]["shape"] == [3, 3]
    assert np.array_equal(np.float32(as_tensor["tensor"]["values"]), expected.ravel())
    assert as_json == as_tensor


@pytest.mark.parametrize("missing", ["null", "NaN"])
@pytest.mark.parametrize("form", ['{"jsonData": ROWS}', '{"data": {"ndarray": ROWS}}'])
def test_null_and_nan_are_missing_values(
    form: str, missing: str, server: Server, classifier: XGBClassifier
) -> None:
    """Null and NaN are missing values, for which XGBoost has learned a branch."""
    text = form.replace("ROWS", f"[[0.5, {missing}, -1, 2]]")
    expected = classifier.predict_proba([[0.5, np.nan, -1, 2]])

    data = server.post_text(text).json()["data"]

    values = data["tensor"]["values"] if "tensor" in data else data["ndarray"][0]
    assert np.array_equal(np.float32(values), expected[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_every_dtype_of_numbers_is_taken(
    dtype: Any, model_of: Callable[..., Any], classifier: XGBClassifier, classifier_file: Path
) -> None:
    """Arrays of every numeric dtype are accepted, as other protocols and transports pass them."""
    whole = np.array([[0, 1, 1, 0], [1, 0, 0, 1]])

    answer = model_of(classifier_file).predict(whole.astype(dtype), [])

    assert np.array_equal(answer, classifier.predict_proba(whole))


RECORDS = [
    {"area": 50, "district": 20, "city": "Taipei"},
    {"area": None, "district": 10, "city": "Tainan"},
    {"area": 80.5, "district": 30.0, "city": None},
]


def asked(rents: XGBRegressor, records: list[dict[str, Any]], flats: pd.DataFrame) -> Array:
    """XGBoost's answer to the records as a DataFrame with the dtypes of training."""
    frame = pd.DataFrame(records)[list(flats.columns)].astype({"area": float})
    return np.asarray(rents.predict(frame.astype(flats.dtypes)))


@pytest.mark.usefixtures("since_3_1")
def test_records_hold_labels_in_any_order(
    rents_server: Server, rents: XGBRegressor, flats: pd.DataFrame
) -> None:
    """Records may have columns in any order, categories as labels, and null for a missing value."""
    answer = rents_server.post({"jsonData": RECORDS})

    assert answer.status_code == 200, answer.text
    values = answer.json()["data"]["tensor"]["values"]
    assert np.array_equal(np.float32(values), asked(rents, RECORDS, flats))


@pytest.mark.usefixtures("since_3_1")
def test_names_reorder_the_columns_of_an_ndarray(
    rents_server: Server, rents: XGBRegressor, flats: pd.DataFrame
) -> None:
    """An ndarray with names may have its columns in any order."""
    data = {"names": ["area", "city", "district"], "ndarray": [[50, "Taipei", 20]]}

    answer = rents_server.post({"data": data})

    assert answer.status_code == 200, answer.text
    assert np.float32(answer.json()["data"]["ndarray"]) == asked(rents, RECORDS[:1], flats)


@pytest.mark.usefixtures("since_3_1")
@pytest.mark.parametrize("method", ["leaf", "contributions", "margin"])
def test_labels_mean_the_same_to_every_method(
    method: str, rents: XGBRegressor, rents_file: Path, flats: pd.DataFrame, model_of: Any
) -> None:
    """Methods that use a DMatrix get the same category codes as those that predict in place."""
    option = {"leaf": "pred_leaf", "contributions": "pred_contribs", "margin": "output_margin"}
    data = DMatrix(flats, enable_categorical=True)
    rows = flats.astype(object).to_numpy().tolist()

    answer = model_of(rents_file, method=method).predict(rows, [])

    assert np.array_equal(answer, rents.get_booster().predict(data, **{option[method]: True}))


@pytest.fixture(scope="module")
def coded(flats: pd.DataFrame) -> Booster:
    """A booster that was trained on category codes, without labels."""
    codes = np.column_stack([flats["city"].cat.codes, flats["area"]])
    data = DMatrix(codes, flats["area"], feature_types=["c", "q"], enable_categorical=True)
    return xgboost.train({"max_depth": 3}, data, num_boost_round=5)


def test_codes_are_sent_where_the_model_knows_no_labels(
    coded: Booster, tmp_path: Path, model_of: Callable[..., Any]
) -> None:
    """A model without labels, as all before XGBoost 3.1, accepts category codes."""
    coded.save_model(tmp_path / "model.json")
    codes = [[0, 50.0], [2.0, 50.0], [None, 70.5]]
    data = DMatrix(np.array(codes, dtype=float), feature_types=["c", "q"], enable_categorical=True)

    answer = model_of(tmp_path).predict(codes, [])

    assert np.array_equal(answer, coded.predict(data))


@pytest.mark.parametrize("code", [-1, 0.5, "Taipei"])
def test_a_value_that_is_not_a_category_is_refused(
    code: Any, coded: Booster, tmp_path: Path, serve_model: Callable[..., Server]
) -> None:
    """An invalid code is refused; XGBoost would treat it as an unseen category."""
    coded.save_model(tmp_path / "model.json")

    answer = serve_model(tmp_path).post({"jsonData": [[1, 50], [code, 50]]})

    assert answer.status_code == 400
    assert "expected the code of a category, 0 for the first" in answer.json()["status"]["info"]
    assert "row 1, column 0: expected the code of a category" in answer.json()["status"]["info"]


@pytest.mark.usefixtures("since_3_1")
def test_damaged_labels_are_not_believed(
    tmp_path: Path, model_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """If XGBoost has damaged a column's non-ASCII labels, the column takes codes.

    The other columns keep their labels.
    """
    frame = pd.DataFrame({"size": ["L", "S", "S"] * 6, "city": ["台北市", "高雄市"] * 9})
    frame = frame.astype("category")
    wrapper = XGBRegressor(n_estimators=3, enable_categorical=True).fit(frame, np.arange(18.0))
    wrapper.save_model(tmp_path / "model.json")

    model = model_of(tmp_path)

    assert "damaged the labels of columns [1]: it only takes their codes" in caplog.text
    expected = wrapper.predict(frame[:2])
    assert np.array_equal(model.predict([["L", 0], ["S", 1]], []), expected)


@pytest.mark.usefixtures("since_3_1")
@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            {"city": "Taichung"},
            "row 0, column 'city': expected one of 'Hualien', 'Tainan', 'Taipei', got 'Taichung'",
        ),
        ({"city": 2}, "'Tainan', 'Taipei', got 2"),
        ({"district": 15}, "row 0, column 'district': expected one of 10, 20, 30, got 15"),
        ({"district": "ten"}, "column 'district': expected one of 10, 20, 30, got 'ten'"),
        ({"area": "wide"}, "row 0, column 'area': expected a number, got 'wide'"),
        ({"area": 10**400}, "row 0, column 'area': expected a number, got 1000"),
        ({"area": 1e39}, "row 0, column 'area': expected a number within 32 bits, got 1e+39"),
    ],
)
def test_a_wrong_value_is_named(record: dict[str, Any], words: str, rents_server: Server) -> None:
    """The message has the expected value, and the row, the column and the value received."""
    answer = rents_server.post({"jsonData": [RECORDS[0] | record]})

    assert answer.status_code == 400
    assert words in answer.json()["status"]["info"]


@pytest.mark.usefixtures("since_3_1")
def test_many_labels_are_not_all_listed(tmp_path: Path, serve_model: Callable[..., Server]) -> None:
    """The message does not list all of many labels."""
    frame = pd.DataFrame({"zone": pd.Categorical(range(100, 150))})
    wrapper = XGBRegressor(n_estimators=1, enable_categorical=True).fit(frame, np.arange(50.0))
    wrapper.save_model(tmp_path / "model.json")

    answer = serve_model(tmp_path).post({"jsonData": [{"zone": 99}]})

    assert "118, 119 and 30 more, got 99" in answer.json()["status"]["info"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"jsonData": [[1, 2, 3]]}', "expected rows of 4 values, got rows of 3"),
        ('{"data": {"ndarray": [[1, 2, 3, 4, 5]]}}', "got rows of 5 (shape [1, 5])"),
        ('{"jsonData": [1, 2, 3, 4]}', "one row goes into two brackets"),
        ('{"jsonData": []}', "got shape [0]"),
        ('{"jsonData": [[1, 2, 3, "x"]]}', "row 0, column 3: expected a number, got 'x'"),
        (
            '{"jsonData": [[1, 2, Infinity, 4]]}',
            "row 0, column 2: expected a number within 32 bits, got inf",
        ),
        (
            '{"data": {"ndarray": [[1, 2, 3, 4], [1, -1e39, 3, 4]]}}',
            "row 1, column 1: expected a number within 32 bits, got -1e+39",
        ),
        ('{"jsonData": [{"a": 1, "b": 2, "c": 3, "d": 4}]}', "this model knows no column names"),
        ('{"strData": "1 2 3 4"}', "got a string"),
        ('{"binData": "AAAA"}', "got binData"),
    ],
)
def test_a_payload_that_is_not_a_table_of_numbers_is_refused(
    body: str, words: str, server: Server
) -> None:
    """For a payload that is no table of numbers, the message has what was expected and received."""
    answer = server.post_text(body)

    assert answer.status_code == 400
    assert words in answer.json()["status"]["info"]


def test_text_of_numbers_is_taken_for_numbers(
    model_of: Callable[..., Any], classifier: XGBClassifier, classifier_file: Path
) -> None:
    """Numbers as text are converted: upstream turns all values to text if one of them is text."""
    answer = model_of(classifier_file).predict(np.array([["0.5", "1", "-1", "2"]]), [])

    assert np.array_equal(answer, classifier.predict_proba([[0.5, 1, -1, 2]]))
