"""`check` loads a model, tries it and reports what it found."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from drift_counts import counts
from permissions import as_anyone, permissions
from serving import ROOT, serve

MODELS = ROOT / "tests/server/models"
PROGRAM = "from prepackaged.server.runtime.check import main; main()"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a model that returns 2 times the age plus 3 times the height."""
    write_model(tmp_path, weights=[2, 3])
    return tmp_path


def write_model(directory: Path, **facts: Any) -> None:
    """Write the model's file."""
    (directory / "weights.json").write_text(json.dumps(facts))


def write_sample(directory: Path, name: str, rows: list[list[float]], *expected: float) -> None:
    """Write a sample that expects these numbers, or any answer if there are none."""
    response = {"body": {"data": {"ndarray": list(expected)}}} if expected else {}
    sample = {"request": {"body": {"data": {"ndarray": rows}}}, "response": response}
    (directory / "samples").mkdir(exist_ok=True)
    (directory / f"samples/{name}.json").write_text(json.dumps(sample))


def checked(
    model_uri: Path, *options: str, prefix: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run `check` on a directory or a file; returns the completed process."""
    arguments = [str(model_uri), "--model", "Weighted", *options]
    command = [*prefix, sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, cwd=MODELS, check=False, capture_output=True, text=True)


def report_on(directory: Path) -> dict[str, Any]:
    """The report of a check that finds nothing wrong."""
    done = checked(directory, "--json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_the_report_names_the_file_and_its_digest(directory: Path) -> None:
    """The file that is served is named, with its SHA-256 and the files beside it."""
    (directory / "notes.txt").write_text("")

    file = report_on(directory)["file"]

    digest = hashlib.sha256((directory / "weights.json").read_bytes()).hexdigest()
    assert (file["name"], file["directory"]) == ("weights.json", str(directory))
    assert (file["digest"], file["beside it"]) == (f"sha256:{digest}", ["notes.txt"])


def test_the_trial_shows_a_request_with_the_models_answer(directory: Path) -> None:
    """The answer in the report is the model's to the request in the report."""
    trial = report_on(directory)["trial"]

    rows = trial["request"]["data"]["ndarray"]
    assert trial["answer"]["data"]["ndarray"] == [2 * age + 3 * height for age, height in rows]
    assert list(trial["milliseconds by rows"]) == ["1", "32", "256"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "yes: two requests in one call get the answers that each gets alone"),
        ({"centred": True}, "no: two requests in one call get different answers than each alone"),
        ({"batchable": False}, "no: the model does not say that its rows are independent"),
    ],
    ids=["independent rows", "rows that influence each other", "no promise"],
)
def test_the_trial_tells_whether_requests_may_share_a_call(
    directory: Path, facts: dict[str, bool], said: str
) -> None:
    """The model's promise about rows is compared with the answers that it gives."""
    write_model(directory, weights=[2, 3], **facts)

    assert report_on(directory)["trial"]["batches"] == said


def test_people_get_a_title_for_each_part(directory: Path) -> None:
    """Without `--json`, each part has a title, and lists are in one line."""
    (directory / "notes.txt").write_text("")
    (directory / "more.txt").write_text("")

    text = checked(directory).stdout

    parts = ("file", "versions", "takes", "load", "trial", "deployment")
    assert [part for part in parts if f"{part}\n" not in text] == []
    assert "\n  beside it: more.txt, notes.txt\n" in text
    assert "\n  model_uri: the directory of the file" in text


def test_each_sample_is_reported(directory: Path) -> None:
    """A sample with the right answer is reported, and nothing is wrong."""
    write_sample(directory, "right", [[1, 1], [1, 2]], 5, 8)

    assert report_on(directory)["samples"] == {"right.json": "answered as expected"}


def test_a_sample_with_another_answer_fails_the_check(directory: Path) -> None:
    """The last line names the sample, the place, and both values."""
    write_sample(directory, "wrong", [[1, 1], [1, 2]], 5, 7.5)

    done = checked(directory)

    assert done.returncode == 1
    assert "sample wrong.json: data.ndarray[1]: expected 7.5, got 8.0" in last_line(done)
    assert "wrong.json: failed: " in done.stdout


def test_a_model_that_cannot_answer_its_example_fails_the_check(directory: Path) -> None:
    """The last line says that the example failed, and why."""
    write_model(directory, weights=[1, 2, 3])

    done = checked(directory, "--json")

    assert done.returncode == 1
    assert "the model cannot answer its example: ValueError: " in last_line(done)
    assert "error" in json.loads(done.stdout)["trial"]


def test_what_was_found_before_a_failure_is_reported(directory: Path) -> None:
    """If the model cannot be loaded, the report has the facts about its file."""
    (directory / "weights.json").write_text("{")

    done = checked(directory, "--json")

    assert done.returncode == 1
    assert list(json.loads(done.stdout)) == ["file", "error"]
    assert f"{directory}/weights.json" in last_line(done)


def test_programs_read_why_a_check_failed_in_the_report(directory: Path) -> None:
    """`error` is what the last line says; a report without it found nothing wrong."""
    assert "error" not in report_on(directory)
    write_sample(directory, "wrong", [[1, 1]], 6)

    done = checked(directory, "--json")

    error = json.loads(done.stdout)["error"]
    assert error == "sample wrong.json: data.ndarray[0]: expected 6, got 5.0"
    assert last_line(done).endswith(error)
    assert f"\nerror\n  {error}\n" in checked(directory).stdout


def test_a_long_error_ends_in_one_line(directory: Path) -> None:
    """The last line is not empty, although the body of an error ends with a line break."""
    write_sample(directory, "short", [[1]])

    done = checked(directory)

    assert "sample short.json: expected status 200, got 400: {" in last_line(done)
    assert last_line(done).endswith("}")


def test_what_an_author_prints_is_no_part_of_the_report(directory: Path) -> None:
    """The output is JSON or HTML alone, though the model's own code prints."""
    write_model(directory, weights=[2, 3], printed="loading...")

    assert "loading..." not in str(report_on(directory))
    assert checked(directory, "--page").stdout.startswith("<!doctype html>")


def test_a_file_in_an_unlistable_directory_is_checked(directory: Path) -> None:
    """The server needs to read the file alone, and so does `check`."""
    with permissions(directory, 0o311):
        done = checked(directory / "weights.json", "--json", prefix=as_anyone())

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"]["beside it"] == []


def test_samples_that_may_not_be_read_are_no_missing_samples(directory: Path) -> None:
    """The last line names the directory."""
    write_sample(directory, "right", [[1, 1]], 5)
    with permissions(directory / "samples", 0o000):
        done = checked(directory, prefix=as_anyone())

    assert done.returncode == 1
    assert last_line(done).endswith(f"{directory}/samples cannot be read: Permission denied")


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The last line of the log."""
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("rows", "found"),
    [(9, {"rows": 1}), (10, {"rows": 1, "age above_range": 1, "height below_range": 1})],
    ids=["too few", "enough"],
)
def test_the_numbers_of_samples_are_ranges_from_ten_rows_on(
    directory: Path, rows: int, found: dict[str, float]
) -> None:
    """Numbers outside those of the samples are counted; the samples themselves are not."""
    write_sample(directory, "first", [[age, 150] for age in range(4)])
    write_sample(directory, "rest", [[age, 190] for age in range(4, rows)])

    with serve(MODELS, "Weighted", model_uri=str(directory)) as server:
        assert counts(server) == {}
        assert server.post({"data": {"ndarray": [[rows, 149.5]]}}).status_code == 200
        assert counts(server) == found
