import sys
from pathlib import Path

import pytest

from prepackaged import Artifact, DeploymentError
from prepackaged.own_code import load_module, own_code_of, top_level_names


def model_beside(directory: Path, **files: str) -> Artifact:
    """Write Python files beside a model file."""
    for name, source in files.items():
        (directory / f"{name}.py").write_text(source)
    return Artifact(directory / "model.pkl", "model.pkl", directory)


def test_modules_beside_the_model_take_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model loads, modules beside it take precedence over the server's."""
    server, model = tmp_path / "server", tmp_path / "model"
    server.mkdir()
    model.mkdir()
    (server / "shared_name.py").write_text("owner = 'server'\n")
    artifact = model_beside(model, shared_name="owner = 'model'\n", later_name="value = 3\n")
    monkeypatch.setattr(sys, "path", [str(server), *sys.path])
    ours = __import__("shared_name")
    monkeypatch.setitem(sys.modules, "shared_name", ours)

    with own_code_of(artifact, server):
        assert __import__("shared_name").owner == "model"

    assert __import__("shared_name") is ours
    assert __import__("later_name").value == 3
    monkeypatch.delitem(sys.modules, "later_name")


def test_the_only_file_with_all_names_replaces_the_script(tmp_path: Path) -> None:
    """A file that defines all missing names replaces `__main__`; other files are not run."""
    artifact = model_beside(
        tmp_path,
        functions="def one(): return 1\nclass Two: pass\nthree = 3\n",
        one_alone="raise SystemExit\ndef one(): return 1\n",
        broken="def one(:\n",
    )
    real = sys.modules["__main__"]

    with own_code_of(artifact, tmp_path / "server", {"one", "Two", "three"}):
        assert sys.modules["__main__"].one() == 1
        assert sys.modules["__main__"] is not real
    assert sys.modules["__main__"] is real


def test_missing_names_are_made_by_a_function_or_reported(tmp_path: Path) -> None:
    """Missing names are made by a function, if one is given, or reported in one error."""
    artifact = model_beside(tmp_path, functions="def one(): return 1\n")

    with own_code_of(artifact, tmp_path / "server", {"one", "two"}, str.upper):
        assert sys.modules["__main__"].two == "TWO"
    with (
        pytest.raises(DeploymentError, match=r"model\.pkl needs one, two of the notebook"),
        own_code_of(artifact, tmp_path / "server", {"two", "one"}),
    ):
        pass


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module", "needs the Python module 'no_such_module', which is neither"),
        ("from .no_such import name", "needs the Python module '.no_such', which is neither"),
        ("raise ValueError('no luck')", "cannot be imported: ValueError: no luck"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("def f(:", "cannot be imported: SyntaxError"),
    ],
)
def test_the_error_of_an_authors_file_is_reported(source: str, words: str, tmp_path: Path) -> None:
    """The error has the message of the exception in the author's file."""
    (tmp_path / "train.py").write_text(source)

    with pytest.raises(DeploymentError) as caught:
        load_module(tmp_path / "train.py")

    assert f"{tmp_path}/train.py {words}" in str(caught.value)


def test_names_are_read_and_not_run(tmp_path: Path) -> None:
    """The top-level names of a file are found without running it."""
    (tmp_path / "a.py").write_text("raise SystemExit\na = b = 1\nclass C: d = 2\ndef e(): f = 3\n")

    assert top_level_names(tmp_path / "a.py") == ["C", "e", "a", "b"]
