import json
import math
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bench import cgroups
from bench.cgroups import limited_cpu, limited_memory
from bench.load import in_seconds, percentile, read_h2load, read_times, read_wrk
from bench.programs import ALL, PEERS, UPSTREAM, Serves, trainable_images
from bench.samples import is_right, of_image, of_records, of_rows, of_tensor
from bench.servers import MODELS, Model
from bench.start import figures_of, header, programs_for
from bench.table import table

WRK = """\
Running 2s test @ http://127.0.0.1:56135/api/v1.0/predictions
  1 threads and 1 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    75.24us   73.46us   2.67ms   97.82%
    Req/Sec    14.02k   774.63    15.90k    85.71%
  29249 requests in 2.10s, 4.18MB read
Requests/sec:  13931.60
Transfer/sec:      1.99MB
{"answers": 29249, "wrong": 0, "failed": 0, "seconds": 2.099472, "p50": 69, "p99": 280}

"""
WRK_ALL_WRONG = """\
Running 1s test @ http://127.0.0.1:49857/api/v1.0/predictions
  1 threads and 2 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    41.45ms    3.05ms  42.69ms   97.87%
    Req/Sec    47.00      4.83    50.00     70.00%
  47 requests in 1.00s, 10.92KB read
Requests/sec:     46.93
Transfer/sec:     10.91KB
{"answers": 47, "wrong": 47, "failed": 0, "seconds": 1.001486, "p50": 41787, "p99": 42693}

"""
H2LOAD = """\
starting benchmark...
spawning thread #0: 32 total client(s). 500 total requests
Application protocol: h2c
progress: 10% done
progress: 100% done

finished in 507.60ms, 985.02 req/s, 122.63KB/s
requests: 500 total, 500 started, 500 done, 500 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 500 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 62.25KB (63740) total, 3.81KB (3900) headers (space savings 90.37%), 27.34KB (28000) data
                     min         max         mean         sd        +/- sd
time for request:    13.97ms     51.00ms     31.04ms      3.27ms    85.00%
time for connect:      113us      1.15ms       706us       249us    78.13%
time to 1st byte:    14.67ms     51.68ms     34.18ms     10.48ms    59.38%
req/s           :      30.82       33.00       32.14        0.61    75.00%
"""
H2LOAD_LOG = """\
1795404386758286\t200\t13966
1795404386758304\t200\t16462
1795404386758310\t200\t18003
"""
H2LOAD_ALL_FAILED = """\
finished in 17.26ms, 0.00 req/s, 106.60KB/s
requests: 20 total, 20 started, 20 done, 0 succeeded, 20 failed, 20 errored, 0 timeout
status codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.84KB (1884) total, 0B (0) headers (space savings 100.00%), 0B (0) data
"""
H2LOAD_FAILED_LOG = "1795405000640723\t-1\t4725\n1795405000640705\t-1\t4798\n"
COLUMNS = {"upstream": "upstream", "ours": "ours"}


def test_wrk_gives_rate_latencies_and_errors() -> None:
    """The rate is wrk's own, 13931.60 per second, and latencies are in ms."""
    figures = read_wrk(WRK)

    assert figures.pop("req/s") == pytest.approx(13931.60, abs=0.005)
    assert figures == {"p50 ms": 0.069, "p99 ms": 0.28, "errors": 0}


def test_wrong_answers_are_errors_and_not_throughput() -> None:
    """Wrong answers count as errors, and not in the rate."""
    figures = read_wrk(WRK_ALL_WRONG)

    assert (figures["req/s"], figures["errors"]) == (0, 47)


def test_broken_connections_and_timeouts_are_errors() -> None:
    """Errors are wrk's failed requests and the wrong answers."""
    printed = '{"answers": 9, "wrong": 1, "failed": 3, "seconds": 2.0, "p50": 1000, "p99": 2000}'

    assert read_wrk(printed) == {"req/s": 4.0, "p50 ms": 1.0, "p99 ms": 2.0, "errors": 4}


def test_h2load_gives_rate_latencies_and_errors() -> None:
    """The rate is h2load's own, 985.02 per second, and the latencies in ms are from its log."""
    figures = read_h2load(H2LOAD, H2LOAD_LOG, 56)

    assert figures.pop("req/s") == pytest.approx(985.02, abs=0.01)
    assert figures == {"p50 ms": 16.462, "p99 ms": 18.003, "errors": 0}


def test_answers_of_another_size_are_errors() -> None:
    """Missing response bytes count as errors: 28,000 bytes are only 280 answers of 100 bytes."""
    assert read_h2load(H2LOAD, H2LOAD_LOG, 100)["errors"] == 220


def test_answers_larger_than_expected_are_an_error() -> None:
    """Extra response bytes count as an error."""
    assert read_h2load(H2LOAD, H2LOAD_LOG, 55)["errors"] == 1


def test_calls_that_fail_are_errors_without_latencies() -> None:
    """A gRPC error, which is HTTP status 200, counts only as an error."""
    figures = read_h2load(H2LOAD_ALL_FAILED, H2LOAD_FAILED_LOG, 56)

    assert figures == {"req/s": 0, "errors": 20}


def test_a_load_test_gives_its_time_and_that_of_health_pings() -> None:
    """The figures of a load test are its time and the median and maximum health ping, in ms."""
    assert read_times(0.42, 0, [3.0, 1.0, 2.0]) == {
        "total s": 0.42,
        "ping p50 ms": 2.0,
        "ping max ms": 3.0,
        "errors": 0,
    }


def test_a_server_that_refuses_requests_has_no_time() -> None:
    """If requests are refused or pings fail, errors are counted but no times are reported."""
    assert read_times(0.0113, 320, [math.inf]) == {"errors": 321}


@pytest.mark.parametrize(
    ("printed", "seconds"), [("950us", 0.00095), ("507.60ms", 0.5076), ("2.01s", 2.01)]
)
def test_durations_are_read_in_every_unit(printed: str, seconds: float) -> None:
    """Durations are read in every unit that h2load prints."""
    assert in_seconds(printed) == pytest.approx(seconds)


def test_a_percentile_is_one_of_the_values() -> None:
    """A percentile is the nearest rank."""
    values = [float(each) for each in range(1, 101)]

    assert [percentile(values, each) for each in (0, 50, 99, 100)] == [1, 50, 99, 100]


def test_the_table_gives_medians_and_ratios_to_upstream() -> None:
    """The table has the median of the rounds and the ratio to upstream."""
    upstream = [{"req/s": rate} for rate in (390.0, 400.0, 900.0)]
    ours = [{"req/s": rate} for rate in (11000.0, 10000.0, 12000.0)]

    assert table({"1 row": {"upstream": upstream, "ours": ours}}, COLUMNS, "upstream") == (
        "| case | figure | upstream | ours |\n"
        "| --- | --- | ---: | ---: |\n"
        "| 1 row | req/s | 400 (1.00x) | 11,000 (27.50x) |"
    )


def test_the_table_adds_errors_up() -> None:
    """The table has the sum of all errors, without a ratio."""
    upstream = [{"req/s": 400.0, "errors": 0}] * 3
    ours = [{"req/s": 800.0, "errors": errors} for errors in (0, 0, 7)]

    rows = table({"1 row": {"upstream": upstream, "ours": ours}}, COLUMNS, "upstream")

    assert rows.splitlines()[2:] == [
        "| 1 row | req/s | 400 (1.00x) | 800 (2.00x) |",
        "| 1 row | errors | 0 | 7 |",
    ]


def test_the_table_has_an_empty_column_for_a_missing_server() -> None:
    """A server that was not measured has an empty column; without errors there is no error row."""
    measured = {"start": {"upstream": [{"start s": 4.96, "errors": 0}]}}

    rows = table(measured, {"upstream": "upstream", "ours": "ours (not installed)"}, "upstream")

    assert rows == (
        "| case | figure | upstream | ours (not installed) |\n"
        "| --- | --- | ---: | ---: |\n"
        "| start | start s | 4.96 (1.00x) | - |"
    )


def test_the_table_works_without_upstream() -> None:
    """Without upstream's figure there is no ratio."""
    measured = {"1 row": {"upstream": [{"errors": 1.0}], "ours": [{"req/s": 5.0}]}}

    assert table(measured, COLUMNS, "upstream").splitlines()[2:] == [
        "| 1 row | req/s | - | 5 |",
        "| 1 row | errors | 1 | - |",
    ]


def test_an_answer_may_differ_in_its_last_digits() -> None:
    """Answers may differ in rounding, key order and names."""
    answer = of_rows([[1, 2]], [[0.25, 0.75]]).answer

    assert is_right(b'{"meta":{},"data":{"ndarray":[[0.25000000000000006,0.75]]}}', answer)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":{"ndarray":[[0.2501,0.75]]}}',
        b'{"data":{"ndarray":[[0.25,0.75],[0.25,0.75]]}}',
        b'{"data":{"ndarray":[["cat","dog"]]}}',
        b'{"status":{"code":-1,"info":"no","reason":"no","status":1}}',
        b"[1, 2]",
        b"Bad Gateway",
        b"",
    ],
)
def test_another_answer_is_wrong(body: bytes) -> None:
    """Other numbers, more numbers, errors and malformed bodies are wrong answers."""
    assert not is_right(body, of_rows([[1, 2]], [[0.25, 0.75]]).answer)


def test_an_image_is_sent_in_two_forms() -> None:
    """An image is sent as Base64 in JSON or unchanged in a multipart file."""
    assert of_image(b"\x00\xff\n", is_multipart=False).body == b'{"binData": "AP8K"}'
    assert b"\r\n\r\n\x00\xff\n\r\n--image--" in of_image(b"\x00\xff\n", is_multipart=True).body


def test_an_image_is_answered_by_its_length() -> None:
    """The expected answer for an image is its length, as the benchmark's model returns it."""
    assert of_image(b"abc", is_multipart=False).answer["data"]["tensor"]["values"] == [3]


RECORD = {"n0": 0.5, "t0": "north"}


def test_a_record_is_sent_in_two_protocols() -> None:
    """A record is sent as Seldon's jsonData, or as one input per column for MLServer."""
    sample = of_records([RECORD], [[0.25, 0.75]])

    assert json.loads(sample.body) == {"jsonData": [RECORD]}
    assert json.loads(sample.infer) == {
        "id": "0",
        "parameters": {"content_type": "pd"},
        "inputs": [
            {"name": "n0", "shape": [1, 1], "datatype": "FP64", "data": [0.5]},
            {
                "name": "t0",
                "shape": [1, 1],
                "datatype": "BYTES",
                "parameters": {"content_type": "str"},
                "data": ["north"],
            },
        ],
        "outputs": [{"name": "predict_proba"}],
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonData":[[0.25,0.75]],"meta":{}}',
        b'{"data":{"names":["no","yes"],"ndarray":[[0.25,0.75]]},"meta":{}}',
        b'{"id":"0","outputs":[{"name":"predict_proba","shape":[1,2],"data":[0.25,0.75]}]}',
    ],
)
def test_a_record_is_answered_in_the_form_of_each_server(body: bytes) -> None:
    """The numbers of an answer are compared in each server's response format."""
    answer = of_records([RECORD], [[0.25, 0.75]]).answer

    assert is_right(body, answer)
    assert not is_right(body.replace(b"0.25", b"0.2501"), answer)


def test_upstream_serves_a_table_with_the_users_own_class() -> None:
    """Upstream serves a table with the users' own class, other servers with the image's Model."""
    table = Model(Path("sklearn/server"), "Model", [], {"model_uri": "here"}, plain="Frame")
    array = Model(Path("sklearn/server"), "Model", [])
    served = {each.name: table.of(each) for each in ALL if each.serves is not Serves.ONE_ANSWER}

    assert (served[UPSTREAM].directory, served[UPSTREAM].name) == (MODELS, "Frame")
    assert served[UPSTREAM].parameters == {"model_uri": "here"}
    assert served["ours"] is served["upstream, our Model"] is table
    assert {array.of(each).name for each in ALL} == {"Model"}


def test_each_server_gets_requests_in_its_protocol() -> None:
    """Each server gets requests in its own protocol and at its own path."""
    sample = of_records([RECORD], [[0.25, 0.75]])
    ours = next(each for each in ALL if each.name == "ours")

    assert (ours.path, ours.body(sample)) == ("/api/v1.0/predictions", sample.body)
    for peer in PEERS.values():
        assert (peer.path, peer.body(sample)) == ("/v2/models/model/infer", sample.infer)


def test_a_row_is_sent_so_that_every_server_answers_alike() -> None:
    """The request has an id and the output's name, so that all servers answer alike."""
    sent = json.loads(of_rows([[1.0, 2.0]], [[0.5]]).infer)

    assert sent == {
        "id": "0",
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}],
        "outputs": [{"name": "predict_proba"}],
    }


def test_a_tensor_is_sent_in_json_or_in_binary() -> None:
    """A tensor is sent in JSON, or in binary after it with the JSON's length in a header."""
    tensor = np.array([[0.5, 2.0]], "<f4")
    told, binary = (of_tensor(tensor, [[0.5]], is_binary=each) for each in (False, True))

    about = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
    assert json.loads(told.infer) == {"inputs": [{**about, "data": [0.5, 2.0]}]}
    assert told.headers == {"Content-Type": "application/json"}
    size = int(binary.headers["Inference-Header-Content-Length"])
    sized = {"parameters": {"binary_data_size": 8}}
    assert json.loads(binary.infer[:size]) == {"inputs": [{**about, **sized}]}
    assert binary.infer[size:] == tensor.tobytes()


def test_a_limit_is_a_cgroup_of_version_1_or_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command joins a new group, which has the limit, in the first hierarchy that takes it."""
    second = tmp_path / "second"
    second.mkdir()
    monkeypatch.setattr(cgroups, "CPU", ((tmp_path / "none", "a"), (second, "cpu.max")))
    with limited_cpu(0.2) as command:
        (group,) = second.iterdir()
        assert (group / "cpu.max").read_text() == "20000"
        pid = subprocess.check_output([*command, "sh", "-c", "echo $$"], text=True)
        assert (group / "cgroup.procs").read_text() == pid
        for file in group.iterdir():
            file.unlink()  # the kernel's own files do not keep a group from being removed
    assert list(second.iterdir()) == []


def test_without_cgroups_memory_has_a_limit_and_cpus_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no cgroup can be created, there is a limit of addresses, and none of CPUs."""
    for name in ("CPU", "MEMORY"):
        monkeypatch.setattr(cgroups, name, ((tmp_path / "none", "limit"),))
    with limited_cpu(1) as command:
        assert command == []
    with limited_memory(2**30) as command:
        assert command[-1] == "--as=1073741824"


def test_a_start_is_measured_with_child_processes() -> None:
    """CPU time and memory are those of the process and its children."""
    own = figures_of(os.getpid(), 1.5)
    with subprocess.Popen(["sleep", "60"]) as child:
        both = figures_of(os.getpid(), 1.5)
        child.kill()
    assert own["s"] == 1.5
    assert own["CPU s"] > 0
    assert both["peak MB"] > own["peak MB"] > 10


def test_the_images_with_a_training_script_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that a fork adds to images.toml is measured once it has a script."""
    monkeypatch.setattr("bench.programs.ROOT", tmp_path)
    (tmp_path / "images.toml").write_text("[skeleton]\n[lightgbm]\n[catboost]\n")
    (tmp_path / "bench/models").mkdir(parents=True)
    (tmp_path / "bench/models/train_catboost.py").touch()

    assert trainable_images() == ["catboost"]


def test_each_image_starts_beside_the_same_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimator starts under every server that is there, other models under two."""
    monkeypatch.setattr("bench.start.is_there", lambda program: program.name == "MLServer")
    estimator = Model(Path(), "Model", [], {"model_uri": "/m"})
    booster = Model(Path(), "Model", [], {"model_uri": "/m"}, image="xgboost")
    names = [[each.name for each in programs_for(model)] for model in (estimator, booster)]
    assert names == [["ours", "upstream", "MLServer"], ["ours", "upstream"]]
    assert "Left out, without an environment: KServe." in header(3, ["sh"])
    assert "No CPU limits" in header(3, [])
