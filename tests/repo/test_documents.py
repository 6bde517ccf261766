"""The documents agree with the code and with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import requests
from documents import Example, assert_shown, blocks, documents, examples, lay_out, prose
from make_commands import unknown_commands
from serving import OURS, PROGRAMS, ROOT, serve

import images
import pages

ENGLISH = ROOT / "docs/custom-server.md"
CHINESE = ROOT / "docs/custom-server.zh-TW.md"
EXAMPLES = examples(ENGLISH)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TARGET = re.compile(r"(?:^|`)make ([a-z](?:[a-z0-9 -]|\.\d)*)", re.MULTILINE)

HEREDOC = re.compile(r"^cat > (\S+\.py) <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)
PROGRAMS_OF_A_FORK = HEREDOC.findall((ROOT / "skeleton/README.md").read_text())


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_snippet_is_a_server_that_answers_as_shown(example: Example, tmp_path: Path) -> None:
    """Each Model of the guide is served, and its documented requests get the documented answers."""
    parameters = lay_out(example, tmp_path)
    with serve(tmp_path, **parameters) as server:
        assert_shown(server, example)


def test_every_snippet_is_served() -> None:
    """Every Python block of the guide is part of an example."""
    models = [block for block in blocks(ENGLISH) if block.about == "Model.py"]
    programs = [block for block in blocks(ENGLISH) if block.language == "python"]
    assert [example.files["Model.py"] for example in EXAMPLES] == [block.text for block in models]
    assert {block.about for block in programs} == {"Model.py", "train.py", "test_model.py"}


def test_the_test_shown_passes_on_the_first_model_and_fails_on_another(tmp_path: Path) -> None:
    """The guide's test passes with its first model and fails with another one."""
    (shown,) = (block.text for block in blocks(ENGLISH) if block.about == "test_model.py")
    model = EXAMPLES[0].files["Model.py"]

    assert outcome_of(shown, model, tmp_path / "first") == pytest.ExitCode.OK
    wrong = model.replace("Hello", "Goodbye")
    assert outcome_of(shown, wrong, tmp_path / "wrong") == pytest.ExitCode.TESTS_FAILED


def outcome_of(test: str, model: str, directory: Path) -> int:
    """Run pytest on this test and model, and return the exit status."""
    directory.mkdir()
    (directory / "Model.py").write_text(model)
    (directory / "test_model.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode


def test_the_metrics_example_is_read_on_the_metrics_port(tmp_path: Path) -> None:
    """The guide's names of Prometheus series are those of the metrics page."""
    (example,) = (each for each in EXAMPLES if "rows_scored" in each.files["Model.py"])
    with serve(tmp_path, **lay_out(example, tmp_path)) as server:
        assert_shown(server, example)
        series = requests.get(server.metrics + "/metrics", timeout=60).text
    assert re.search(r"^rows_scored_total\{.*\} 2\.0$", series, re.MULTILINE)
    assert re.search(r"^highest_score\{.*\} 0\.88", series, re.MULTILINE)


def test_both_languages_show_the_same_blocks() -> None:
    """The translation has the same code blocks."""
    assert blocks(CHINESE) == blocks(ENGLISH)


def test_both_languages_have_the_same_structure() -> None:
    """The translation has headings of the same levels."""
    levels = [re.findall(r"^(#+) ", prose(guide), re.MULTILINE) for guide in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1]


@pytest.mark.parametrize(("path", "program"), PROGRAMS_OF_A_FORK)
def test_what_a_fork_begins_with_passes_make_check(path: str, program: str) -> None:
    """The Python files in the skeleton's README pass ruff's linter and formatter."""
    for command in (("check", "--quiet"), ("format", "--check", "--quiet")):
        ruff = [PROGRAMS / "ruff", *command, "--stdin-filename", path, "-"]
        done = subprocess.run(ruff, cwd=ROOT, input=program, text=True, capture_output=True)
        assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", pages.PAGES)
def test_generated_parts_are_current(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of images, tags and settings and the reference are current: `make generate`."""
    monkeypatch.setattr(images, "REGISTRY", "infuseai")
    shown = (ROOT / name).read_text()
    assert shown == pages.generated(name, shown)


def test_every_setting_that_is_read_is_in_the_list() -> None:
    """The tables of settings have every flag, variable and annotation that the server reads."""
    runtime = ROOT / "common/src/prepackaged/server/runtime"
    readers = ("annotations.py", "config.py", "limits.py", "platforms.py")
    source = "".join((runtime / name).read_text() for name in readers)
    program = [PROGRAMS / OURS, "--help"]
    printed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    variables = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|seldon\.io/[a-z-]+)"', source))
    _, shown, _ = (ROOT / "docs/settings.md").read_text().split("<!-- generated -->")

    settings = {*re.findall(r"--[a-z][a-z-]+", printed), *variables}
    listed = set(re.findall(r"`(--[a-z-]+|[A-Z]+(?:_[A-Z]+)+|seldon\.io/[a-z-]+)`", shown))

    assert settings - {"--help", "OUTLIER_DETECTOR"} <= listed


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(document: Path) -> None:
    """Every relative link leads to an existing file and heading."""
    links = [link for link in LINK.findall(prose(document)) if "://" not in link]
    broken = [link for link in links if not leads_somewhere(document, link)]
    assert broken == []


def leads_somewhere(document: Path, link: str) -> bool:
    """Return whether the link's file exists and has the linked heading."""
    name, _, heading = link.partition("#")
    target = (document.parent / name).resolve() if name else document
    return target.exists() and (not heading or heading in headings(target))


def headings(document: Path) -> set[str]:
    """The anchors that a Markdown renderer generates from the headings."""
    titles = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    """Every make target in a document exists; `lightgbm` is the example name of a fork."""
    text = re.sub("-(lightgbm|<image>|<target>)", "-skeleton", document.read_text())
    assert [word for named in TARGET.findall(text) for word in unknown_commands(named)] == []


def test_the_version_is_the_same_everywhere() -> None:
    """VERSION, the shared package and the images' tags in documents name one version."""
    package = tomllib.loads((ROOT / "common/pyproject.toml").read_text())["project"]["version"]
    text = "".join(document.read_text() for document in documents())
    named = re.findall(r"(?:-prepackaged:|runtimeVersion: )(\d+\.\d+\.\d+)", text)

    assert package == images.release()
    assert set(named) == {images.release()}


def test_changes_raise_the_version_above_the_last_release() -> None:
    """With unreleased changes, VERSION is above the last release, whose tags no build gets."""
    log = (ROOT / "CHANGELOG.md").read_text()
    _, unreleased, released = re.split(r"^## (?=\[)", log, flags=re.MULTILINE)[:3]
    last = re.match(r"\[([\d.]+)\] - \d{4}-\d\d-\d\d\n", released)
    assert unreleased.startswith("[Unreleased]\n")
    assert last

    if "\n- " in unreleased:
        assert numbers(images.release()) > numbers(last[1])
    else:
        assert images.release() == last[1]


def numbers(version: str) -> tuple[int, ...]:
    """The parts of a version, to compare."""
    return tuple(map(int, version.split(".")))


def test_every_change_names_what_it_affects() -> None:
    """Every changelog entry names the affected images or parts."""
    entries = re.findall(r"^- .+(?:\n  .+)*", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    known = {"all", "common", "tools", "docs", *images.images()}
    for entry in entries:
        affected = re.search(r"Affected: ([a-z0-9, ]+)\.$", entry)
        assert affected, entry
        assert set(affected[1].split(", ")) <= known, entry


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_small_numbers_are_written_as_the_server_writes_them(document: Path) -> None:
    """Small numbers in JSON blocks are written as by the server: `e-8`, not Python's `e-08`."""
    shown = [block.text for block in blocks(document) if block.language == "json"]
    assert [text for text in shown if re.search(r"\de-0\d", text)] == []
