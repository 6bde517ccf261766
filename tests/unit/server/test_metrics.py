import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.parser import text_string_to_metric_families
from seldon_core import metrics as seldon
from seldon_core.metrics import SeldonMetrics

from prepackaged import ModelError
from prepackaged.server.telemetry.custom_metrics import BadMetricError, validate
from prepackaged.server.telemetry.metrics import Metrics, expose

# Workers keep their files open until they end, which is later than these tests.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

NOT_SET = "NOT_IMPLEMENTED"
LABELS = {
    "deployment_name": NOT_SET,
    "model_name": NOT_SET,
    "model_image": NOT_SET,
    "model_version": NOT_SET,
    "predictor_name": NOT_SET,
    "predictor_version": NOT_SET,
    "seldon_deployment_name": NOT_SET,
    "image_name": NOT_SET,
    "image_version": NOT_SET,
}

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


@pytest.fixture(scope="module")
def shared() -> SeldonMetrics:
    """Upstream's metrics, shared because their process starts slowly."""
    return SeldonMetrics()


@pytest.fixture
def upstream(shared: SeldonMetrics) -> SeldonMetrics:
    """Upstream's metrics, cleared."""
    shared.clear()
    return shared


@pytest.fixture
def metrics() -> Metrics:
    """Metrics without any samples."""
    return Metrics()


def text_of(metrics: Metrics) -> str:
    """Return the exposition text."""
    return metrics.exposition()[0].decode()


def samples_in(text: str, prefix: str = "") -> Samples:
    """Return the samples by name and labels, and fail on duplicates."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset((k, v) for k, v in sample.labels.items() if k != "worker_id")
            assert (sample.name, labels) not in samples
            if sample.name.startswith(prefix):
                samples[sample.name, labels] = sample.value
    return samples


def custom_in(text: str) -> Samples:
    """Return the samples of custom metrics."""
    return {key: v for key, v in samples_in(text).items() if not key[0].startswith("prepackaged_")}


def values_in(text: str, name: str) -> list[float]:
    """Return the values of all samples with this name."""
    return [value for (of, _), value in samples_in(text).items() if of == name]


def metric(
    key: Any = "a", value: Any = 1, kind: Any = "COUNTER", **more: Any
) -> list[dict[str, Any]]:
    """Build a custom metric as a hook returns it."""
    return [{"type": kind, "key": key, "value": value, **more}]


# Custom metrics


def test_custom_metrics_are_exposed_as_upstream_exposes_them(
    metrics: Metrics, upstream: SeldonMetrics
) -> None:
    """Custom metrics have upstream's names, labels and values, except for the process id."""
    for each in (metrics, upstream):
        for method in ("predict", "predict", "inputtransform"):
            each.update(metric("hits", 2), method)
            each.update(metric("hits", 3, tags={"kind": "b"}), method)
            each.update(metric("level", 0.5, "GAUGE", tags={"model_name": "mine"}), method)
            each.update(metric("slow", 20.5, "TIMER"), method)
            each.update(metric("calls_total", 1), method)
        each.update_reward(0.25)
        each.update_reward(-2)

    theirs, _ = upstream.generate_metrics()

    assert custom_in(text_of(metrics)) == custom_in(theirs)
    assert len(custom_in(theirs)) == 2 * (1 + 1 + 1 + 53 + 1) + 2


def test_a_counter_has_these_labels(metrics: Metrics) -> None:
    """A counter has the labels of the deployment, the method and its own tags."""
    metrics.update(metric("hits", 2.5, tags={"kind": "b"}), "predict")

    labels = frozenset({**LABELS, "method": "predict", "kind": "b"}.items())
    assert custom_in(text_of(metrics)) == {("hits_total", labels): 2.5}


def test_the_deployment_s_labels_override_tags(metrics: Metrics) -> None:
    """The deployment's labels override tags, and series that become equal are added up."""
    metrics.update(metric("hits", 1, tags={"model_name": "a"}), "predict")
    metrics.update(metric("hits", 2, tags={"model_name": "b"}), "predict")

    labels = frozenset({**LABELS, "method": "predict"}.items())
    assert custom_in(text_of(metrics)) == {("hits_total", labels): 3}


def test_the_method_is_added_to_a_metric_s_tags(metrics: Metrics) -> None:
    """The method is added to a metric's tags, as upstream does; a metric without tags gets none."""
    tagged, plain = metric(tags={"kind": "b"}), metric()

    metrics.update(tagged, "predict")
    metrics.update(plain, "predict")

    assert tagged == metric(tags={"kind": "b", "method": "predict"})
    assert plain == metric()


def test_a_gauge_has_its_last_value(metrics: Metrics) -> None:
    """A gauge has its last value."""
    metrics.update(metric("level", 3, "GAUGE"), "predict")
    metrics.update(metric("level", 2, "GAUGE"), "predict")

    assert values_in(text_of(metrics), "level") == [2]


EDGES = [bound * 1000 for bound in seldon.BINS[1:-1]]


@given(st.lists(st.sampled_from(EDGES) | st.floats(-1e3, 1e5) | st.just(float("inf")), max_size=8))
def test_a_timer_fills_the_buckets_that_upstream_fills(
    shared: SeldonMetrics, values: list[float]
) -> None:
    """Timers fill the same buckets as upstream: milliseconds in, seconds out."""
    shared.clear()
    metrics = Metrics()
    for value in values:
        for each in (metrics, shared):
            each.update(metric("slow", float(value), "TIMER"), "predict")

    theirs, _ = shared.generate_metrics()

    assert custom_in(text_of(metrics)) == custom_in(theirs)


def test_a_timer_of_nan_is_in_no_bucket(metrics: Metrics, upstream: SeldonMetrics) -> None:
    """A NaN is in no bucket but in the sum, as upstream."""
    for each in (metrics, upstream):
        each.update(metric("slow", float("nan"), "TIMER"), "predict")

    for text in (text_of(metrics), upstream.generate_metrics()[0]):
        assert values_in(text, "slow_count") == [0]
        assert np.isnan(values_in(text, "slow_sum")).all()


@pytest.mark.parametrize("value", [np.float32(2), np.int64(2), np.array(2.0), np.array([2]), True])
def test_numpy_numbers_are_accepted(metrics: Metrics, value: Any) -> None:
    """Numpy numbers are accepted as metric values."""
    metrics.update(metric(value=value), "predict")

    assert values_in(text_of(metrics), "a_total") == [float(np.asarray(value).item())]


def test_a_metric_from_protobuf_has_its_defaults(metrics: Metrics) -> None:
    """In metrics from protobuf, a missing type means COUNTER and a missing value means 0."""
    metrics.update([{"key": "a"}, {"key": "b", "value": 2}, {"key": "c", "type": "GAUGE"}], "route")

    text = text_of(metrics)
    assert [values_in(text, name) for name in ("a_total", "b_total", "c")] == [[0], [2], [0]]


def test_each_family_is_printed_once(metrics: Metrics) -> None:
    """Each metric family has one TYPE and one HELP line."""
    for method in ("predict", "route"):
        for kind in ("COUNTER", "GAUGE", "TIMER"):
            metrics.update(metric(kind.lower(), 1, kind, tags={"x": method}), method)

    lines = text_of(metrics).splitlines()
    heads = [line for line in lines if line.startswith(("# TYPE", "# HELP"))]
    assert len(heads) == len(set(heads))
    assert {"# TYPE counter_total counter", "# TYPE gauge gauge", "# TYPE timer histogram"} <= set(
        heads
    )


def test_a_counter_is_the_same_with_and_without_its_suffix(metrics: Metrics) -> None:
    """`hits` and `hits_total` are one Prometheus counter, so they are added up."""
    metrics.update([*metric("hits", 1), *metric("hits_total", 2)], "predict")
    metrics.update(metric("a_total_total", 4), "predict")

    text = text_of(metrics)
    assert values_in(text, "hits_total") == [3]
    assert values_in(text, "a_total_total") == [4]


def test_if_two_families_share_a_name_the_first_is_shown(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """If metrics of two types share a name, only the first is shown, with a single warning."""
    caplog.set_level(logging.WARNING)
    metrics.update(metric("a", 1, "GAUGE"), "predict")
    for _ in range(2):
        metrics.update(metric("a", 1, "TIMER"), "predict")

    assert {name for name, _ in custom_in(text_of(metrics))} == {"a"}
    assert caplog.messages == ["The TIMER a is not shown: the GAUGE a has its name"]


# Feedback


def test_feedback_is_counted_with_its_reward(metrics: Metrics) -> None:
    """Feedback is counted, and its rewards are added up."""
    metrics.update_reward(0.5)
    metrics.update_reward(2)

    labels = frozenset({**LABELS, "method": "feedback"}.items())
    assert custom_in(text_of(metrics)) == {
        ("seldon_api_model_feedback_total", labels): 2,
        ("seldon_api_model_feedback_reward_total", labels): 2.5,
    }


@pytest.mark.parametrize("reward", [0, 0.0, float("nan"), float("inf")])
def test_feedback_without_a_reward_is_not_counted(metrics: Metrics, reward: float) -> None:
    """Zero rewards are ignored, as upstream; so are NaN and infinity, which would stay forever."""
    metrics.update_reward(reward)

    assert custom_in(text_of(metrics)) == {}


def test_feedback_is_not_counted_behind_the_old_engine(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SELDON_EXECUTOR_ENABLED=false, feedback is not counted: the old engine does it."""
    monkeypatch.setattr(seldon, "legacy_mode", True)

    metrics.update_reward(1)

    assert custom_in(text_of(metrics)) == {}


# Bad metrics

HOSTILE = [
    metric("a-b"),
    metric("a b"),
    metric("1a"),
    metric("a\n"),
    metric('a{x="1"} 1\nb'),
    metric("été"),
    metric(""),
    metric("_total"),
    metric("\ud800"),
    metric(7),
    metric(None),
    metric("prepackaged_requests"),
    metric(value="1"),
    metric(value=None),
    metric(value=1j),
    metric(value=np.array([1, 2])),
    metric(value=10**400),
    metric(kind="SUMMARY"),
    metric(tags=None),
    metric(tags=["a"]),
    metric(tags={"a": 1}),
    metric(tags={7: "a"}),
    metric(tags={"a-b": "c"}),
    metric(tags={"a\n": "c"}),
    metric(tags={"": "c"}),
    metric(tags={"__name__": "c"}),
    metric(kind="TIMER", tags={"le": "1"}),
    [7],
    ({"type": "COUNTER", "key": "a", "value": 1},),
    {"type": "COUNTER", "key": "a", "value": 1},
    None,
]


@pytest.mark.parametrize("bad", HOSTILE, ids=repr)
def test_a_bad_metric_is_the_model_s_fault(metrics: Metrics, bad: Any) -> None:
    """A bad metric is a model error (500), and none of the metrics in its list count."""
    metrics.update(metric("good"), "predict")
    together = metric("other") + bad if isinstance(bad, list) else bad

    with pytest.raises(BadMetricError, match=r"^Bad metric created during request: ") as caught:
        metrics.update(together, "predict")

    assert isinstance(caught.value, ModelError)
    assert (caught.value.status_code, caught.value.reason) == (500, "MICROSERVICE_BAD_METRIC")
    assert {name for name, _ in custom_in(text_of(metrics))} == {"good_total"}


def test_the_error_shows_the_metric_and_says_why() -> None:
    """The error message shows the metric and the reason."""
    with pytest.raises(BadMetricError) as caught:
        validate(metric("a-b"))

    assert str(caught.value) == (
        "Bad metric created during request:"
        ' [{"type": "COUNTER", "key": "a-b", "value": 1}]: Prometheus does not allow a metric'
        " named 'a-b'"
    )


def test_the_error_message_truncates_a_long_metric() -> None:
    """The error message truncates a long metric, but keeps the reason."""
    with pytest.raises(BadMetricError) as caught:
        validate(metric("a-" * 100_000))

    assert len(str(caught.value)) < 1000
    assert "...: Prometheus does not allow a metric named" in str(caught.value)


@pytest.mark.parametrize("missing", ["type", "key", "value"])
def test_a_metric_of_a_hook_needs_key_type_and_value(missing: str) -> None:
    """A metric from a hook needs key, type and value; only protobuf may omit some."""
    (incomplete,) = metric()
    del incomplete[missing]

    with pytest.raises(BadMetricError, match="expected a list of objects with key, type and value"):
        validate([incomplete])


@pytest.mark.parametrize(
    ("metrics", "kind"),
    [(tuple(metric()), "tuple"), (metric()[0], "dict"), (None, "NoneType"), ("key", "str")],
)
def test_metrics_must_be_a_list(metrics: Any, kind: str) -> None:
    """The error for anything but a list names its type, since JSON shows a tuple as a list."""
    with pytest.raises(BadMetricError, match=f"key, type and value, got {kind}$"):
        validate(metrics)


@pytest.mark.parametrize("part", [{"type": "SUM"}, {"value": "1"}, {"type": None}])
def test_the_error_for_a_wrong_type_or_value_lists_the_valid_ones(part: dict[str, Any]) -> None:
    """The error for an unknown type or a value that is no number lists what is possible."""
    with pytest.raises(BadMetricError, match=r"COUNTER, GAUGE or TIMER, and a number as value$"):
        validate([metric()[0] | part])


def test_a_metric_that_cannot_be_shown_is_reported_without_its_text() -> None:
    """A metric that contains itself is reported without its text."""
    endless: list[Any] = metric("a-b")
    endless[0]["tags"] = endless

    with pytest.raises(BadMetricError, match="request: list: Prometheus does not allow a metric"):
        validate(endless)


TEXTS = st.text(max_size=4) | st.sampled_from(["a", "le", "__x", "model_name", "a\nb", "\ud800"])
ANY = TEXTS | st.integers() | st.floats() | st.none()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["COUNTER", "GAUGE", "TIMER"]),
                "key": TEXTS,
                "value": st.integers() | st.floats(),
            },
            optional={"tags": st.dictionaries(TEXTS, TEXTS, max_size=2) | ANY},
        ),
        max_size=4,
    )
)
def test_the_exposition_can_always_be_parsed(custom: list[dict[str, Any]]) -> None:
    """Any metric is either refused or gives an exposition that can be parsed."""
    metrics = Metrics()
    for each in custom:
        with suppress(BadMetricError):
            metrics.update([each], "predict")

    assert values_in(text_of(metrics), "prepackaged_batch_requests_count") == [0]


def test_a_tag_s_value_may_be_any_text(metrics: Metrics) -> None:
    """Quotes, line breaks and lone surrogates in tags are escaped or replaced."""
    metrics.update(metric(tags={"x": 'a"b\\c\nd'}), "predict")
    metrics.update(metric(tags={"x": "a\ud800"}), "predict")

    values = {dict(labels)["x"] for _, labels in custom_in(text_of(metrics))}
    assert values == {'a"b\\c\nd', "a?"}


def test_a_deployment_s_label_may_be_any_json(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment's label in PREDICTOR_LABELS may be a number."""
    monkeypatch.setitem(seldon.DEFAULT_LABELS, "predictor_version", json.loads("2"))
    metrics.update(metric(), "predict")

    ((_, labels),) = custom_in(text_of(metrics))
    assert dict(labels)["predictor_version"] == "2"


# The server's own metrics


def test_requests_are_counted_by_method_and_code(metrics: Metrics) -> None:
    """Requests are counted by method and status code."""
    for code in (200, 200, 400):
        metrics.observe_request("predict", code, 0.001)
    metrics.observe_request("route", 200, 0.001)

    assert samples_in(text_of(metrics), "prepackaged_requests_total") == {
        ("prepackaged_requests_total", frozenset({("method", method), ("code", code)})): value
        for method, code, value in (
            ("predict", "200", 2),
            ("predict", "400", 1),
            ("route", "200", 1),
        )
    }


def test_latency_buckets_are_cumulative(metrics: Metrics) -> None:
    """Latency buckets are cumulative and in seconds; a bound belongs to its bucket."""
    for seconds in (0.00005, 0.001, 0.0011, 100):
        metrics.observe_request("predict", 200, seconds)

    text = text_of(metrics)
    buckets = {
        dict(labels)["le"]: value
        for (_, labels), value in samples_in(text, "prepackaged_request_seconds_bucket").items()
    }
    assert [buckets[le] for le in ("0.0001", "0.0005", "0.001", "0.0025", "30.0", "+Inf")] == [
        1, 1, 2, 3, 3, 4,
    ]  # fmt: skip
    assert values_in(text, "prepackaged_request_seconds_count") == [4]
    assert values_in(text, "prepackaged_request_seconds_sum") == [pytest.approx(100.00215)]


def test_batches_are_counted_by_size(metrics: Metrics) -> None:
    """Batches are counted by their number of requests."""
    for size in (1, 1, 3, 5000):
        metrics.observe_batch(size)

    samples = samples_in(text_of(metrics), "prepackaged_batch_requests_bucket")
    buckets = {dict(labels)["le"]: value for (_, labels), value in samples.items()}
    assert [buckets[le] for le in ("1.0", "2.0", "4.0", "1024.0", "+Inf")] == [2, 2, 3, 3, 4]
    assert values_in(text_of(metrics), "prepackaged_batch_requests_sum") == [5005]


def test_a_gauge_may_be_read_at_each_scrape(metrics: Metrics) -> None:
    """A gauge may be a function that is called at each scrape."""
    queue = [1, 2]
    metrics.set_gauge("prepackaged_queue_depth_requests", lambda: len(queue))
    queue.append(3)

    assert values_in(text_of(metrics), "prepackaged_queue_depth_requests") == [3]


def test_build_information_is_in_labels(metrics: Metrics) -> None:
    """Build information is a gauge with labels, to be joined with other metrics."""
    metrics.set_gauge("prepackaged_build_info", 1, version="0.1.0", framework="sklearn")

    assert samples_in(text_of(metrics), "prepackaged_build_info") == {
        (
            "prepackaged_build_info",
            frozenset({("version", "0.1.0"), ("framework", "sklearn")}),
        ): 1
    }


def test_an_info_metric_only_has_its_last_labels(metrics: Metrics, tmp_path: Path) -> None:
    """A model that was replaced or unloaded is not on the page, for one process and for workers."""
    worker = Metrics(tmp_path, 0)
    for each in (metrics, worker):
        for digest in ("one", "two"):
            each.set_info("prepackaged_model_info", {"digest": digest})
    for text in (text_of(metrics), text_in(tmp_path)):
        assert samples_in(text, "prepackaged_model_info") == {
            ("prepackaged_model_info", frozenset({("digest", "two")})): 1
        }
    for each in (metrics, worker):
        each.clear_info("prepackaged_model_info")
    for text in (text_of(metrics), text_in(tmp_path)):
        assert samples_in(text, "prepackaged_model_info") == {}
    for each in (metrics, worker):
        each.set_info("prepackaged_model_info", {"digest": "one"})
    for text in (text_of(metrics), text_in(tmp_path)):
        assert values_in(text, "prepackaged_model_info") == [1]


def test_only_known_gauges_can_be_set(metrics: Metrics) -> None:
    """Setting an unknown gauge is an error."""
    with pytest.raises(KeyError, match="prepackaged_queue"):
        metrics.set_gauge("prepackaged_queue", 1)


def test_the_content_type_names_one_charset(metrics: Metrics) -> None:
    """The content type names the format's version and the charset once."""
    assert metrics.exposition()[1] == "text/plain; version=0.0.4; charset=utf-8"


# Threads and workers


@pytest.fixture
def restless() -> Iterator[None]:
    """Make threads switch as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_no_update_is_lost_between_threads(metrics: Metrics, restless: None) -> None:
    """Concurrent updates from several threads are all counted."""
    ready = threading.Barrier(4)

    def count() -> None:
        ready.wait()
        for _ in range(500):
            metrics.update([*metric("a"), *metric("slow", 1, "TIMER")], "predict")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    text = text_of(metrics)
    assert values_in(text, "a_total") == [2000]
    assert values_in(text, "slow_count") == [2000]


def workers(directory: Path, count: int) -> list[Metrics]:
    """Create the metrics of several workers with equal counts but different loads."""
    workers = [Metrics(directory, number) for number in range(count)]
    for number, worker in enumerate(workers):
        worker.update([*metric("hits", 2), *metric("slow", 20, "TIMER")], "predict")
        worker.observe_request("predict", 200, 0.25)
        worker.observe_batch(2)
        worker.set_gauge("prepackaged_queue_depth_requests", number)
        worker.set_gauge("prepackaged_in_flight_requests", lambda: 2)
        worker.set_gauge("prepackaged_model_load_seconds", number)
        worker.set_gauge("prepackaged_batching_enabled", number % 2)
        worker.set_gauge("prepackaged_build_info", 1, version="0.1.0")
        worker.refresh()
    return workers


def text_in(directory: Path) -> str:
    """Return the exposition text of all workers."""
    return expose(directory)[0].decode()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("hits_total", [6]),
        ("slow_count", [3]),
        ("slow_sum", [0.06]),
        ("prepackaged_requests_total", [3]),
        ("prepackaged_request_seconds_sum", [0.75]),
        ("prepackaged_batch_requests_sum", [6]),
        ("prepackaged_queue_depth_requests", [3]),
        ("prepackaged_in_flight_requests", [6]),
        ("prepackaged_model_load_seconds", [2]),
        ("prepackaged_batching_enabled", [0]),
        ("prepackaged_build_info", [1]),
    ],
)
def test_workers_are_one_server(name: str, values: list[float], tmp_path: Path) -> None:
    """Counts and queues of workers are added up; load time is the maximum, batching the minimum."""
    workers(tmp_path, 3)

    assert values_in(text_in(tmp_path), name) == pytest.approx(values)


def test_the_page_of_one_worker_equals_that_of_a_single_process(
    tmp_path: Path, metrics: Metrics
) -> None:
    """The exposition of a single worker equals that of a server without workers."""
    worker = Metrics(tmp_path, 0)
    for each in (worker, metrics):
        tags = {"kind": 'a"b', "pid": "7"}
        for kind in ("COUNTER", "GAUGE", "TIMER"):
            each.update(metric(kind.lower(), 2.5, kind, tags=dict(tags)), "predict")
            each.update(metric(f"{kind.lower()}_total", 2.5, kind), "route")
        each.update(metric("negative", -1), "predict")
        each.update_reward(-2)
        each.observe_request("predict", 200, 0.25)
        each.observe_batch(3)
        each.set_gauge("prepackaged_build_info", 1, version="0.1.0")

    alone = text_of(metrics)
    assert sorted(text_in(tmp_path).splitlines()) == sorted(alone.splitlines())
    assert len(alone.splitlines()) > 150


def test_the_counts_of_a_dead_worker_stay(tmp_path: Path) -> None:
    """A dead worker's counts stay, but its gauges are removed."""
    workers(tmp_path, 2)

    mark_process_dead(1, str(tmp_path))

    text = text_in(tmp_path)
    assert values_in(text, "hits_total") == [4]
    assert values_in(text, "prepackaged_requests_total") == [2]
    assert values_in(text, "prepackaged_in_flight_requests") == [2]
    assert values_in(text, "prepackaged_model_load_seconds") == [0]


def test_a_replacement_continues_the_counts(tmp_path: Path) -> None:
    """A replacement continues the dead worker's counts in the same files."""
    for death in range(1, 4):
        workers(tmp_path, 2)
        assert values_in(text_in(tmp_path), "hits_total") == [4 * death]
        assert values_in(text_in(tmp_path), "prepackaged_request_seconds_count") == [2 * death]
        assert values_in(text_in(tmp_path), "prepackaged_in_flight_requests") == [4]
    assert len(list(tmp_path.iterdir())) == 2 * len(("counter", "histogram", "sum", "max", "min"))


def test_an_empty_file_of_a_worker_is_ignored(tmp_path: Path) -> None:
    """Files that are still empty are ignored."""
    workers(tmp_path, 1)
    for kind in ("counter", "histogram", "gauge_livesum"):
        (tmp_path / f"{kind}_1.db").touch()

    assert values_in(text_in(tmp_path), "hits_total") == [2]


def test_a_gauge_of_several_workers_is_the_latest(tmp_path: Path) -> None:
    """A custom gauge of several workers is the one that was set last."""
    first, second = Metrics(tmp_path, 0), Metrics(tmp_path, 1)
    for worker, value in ((second, 9), (first, 1), (second, 2)):
        worker.update(metric("level", value, "GAUGE"), "predict")
        assert values_in(text_in(tmp_path), "level") == [value]


def test_a_name_with_different_types_in_two_workers_is_shown_once(tmp_path: Path) -> None:
    """If workers use a name for two types, only one is shown."""
    Metrics(tmp_path, 0).update(metric("a", 1, "TIMER"), "predict")
    Metrics(tmp_path, 1).update(metric("a", 1, "GAUGE"), "predict")

    assert {name for name, _ in custom_in(text_in(tmp_path))} == {"a"}
