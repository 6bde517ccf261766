import bz2
import gzip
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pickled_code import PICKLES

from prepackaged import DeploymentError, pickles
from prepackaged.bytecode import HERE
from prepackaged.pickles import PickleFacts, imports_of, opened, read_facts

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Reduced:
    """An object that is pickled as a call with an optional state."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        """Return the parts of the call."""
        return self.parts


def facts_of(tmp_path: Path, content: bytes) -> PickleFacts:
    """Return the facts of a file with these bytes."""
    (tmp_path / "model.pkl").write_bytes(content)
    return read_facts(tmp_path / "model.pkl")


def message_of(facts: PickleFacts, python: str = "") -> str:
    """Return the error message for foreign code, or "" if the code is accepted."""
    try:
        facts.refuse_foreign_code(Path("model.pkl"), python)
    except DeploymentError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("python", "what", "names"),
    [
        ("3.10", "function", "clip"),
        ("3.12", "function", "clip"),
        ("3.12", "class", "Doubling.transform"),
        ("3.12", "generator", "each"),
        ("3.12", "constant", "<lambda>"),
        ("3.13", "function", "clip"),
        ("3.13", "class", "Doubling.transform"),
        ("3.13", "closure", "scaled.<locals>.scale"),
        ("3.13", "generator", "each"),
        ("3.13", "constant", "<lambda>"),
        ("3.13", "arithmetic", "<lambda>"),
    ],
)
def test_code_of_another_python_is_refused_by_name(
    python: str, what: str, names: str, tmp_path: Path
) -> None:
    """Functions compiled by another Python are refused by name, since calling them would crash."""
    facts = facts_of(tmp_path, PICKLES[python, what])

    told = "3.8 to 3.10" if python == "3.10" else python
    assert all(name in facts.code for name in names.split(", "))
    assert f"this pickle holds code of Python {told} (" in message_of(facts)
    assert f"this image runs {HERE}, where calling it would crash the process" in message_of(facts)


@pytest.mark.parametrize("what", [what for python, what in PICKLES if python == HERE])
def test_code_of_this_python_is_not_refused(what: str, tmp_path: Path) -> None:
    """Functions, classes and generators that this Python compiled are accepted."""
    facts = facts_of(tmp_path, PICKLES[HERE, what])

    assert facts.code
    assert set(facts.code.values()) == {HERE}
    assert message_of(facts) == ""


def test_code_that_means_the_same_in_both_pythons_is_not_refused(tmp_path: Path) -> None:
    """Code with the same instructions in Python 3.11 and 3.12, such as arithmetic, is accepted."""
    facts = facts_of(tmp_path, PICKLES["3.12", "arithmetic"])

    assert message_of(facts) == ""


def test_the_python_version_in_mlmodel_decides(tmp_path: Path) -> None:
    """If MLmodel names the Python version, that decides."""
    facts = facts_of(tmp_path, PICKLES["3.12", "arithmetic"])

    assert "holds code of Python 3.12 (<lambda>)" in message_of(facts, "3.12.4")
    assert message_of(facts, f"{HERE}.1") == ""


def test_a_long_list_of_functions_is_truncated() -> None:
    """The error message truncates a long list of functions."""
    facts = PickleFacts(code={f"function_{number}": "3.12" for number in range(100)})

    assert "(function_0, function_1, function_2, function_3, function_4, ...)" in message_of(facts)


@pytest.mark.parametrize(
    "compress",
    [zlib.compress, gzip.compress, bz2.compress, lzma.compress, lambda data: data],
    ids=["zlib", "gzip", "bz2", "xz", "plain"],
)
def test_compressed_files_are_read(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Compressed files, as joblib writes them, are read."""
    content = PICKLES["3.13", "function"] + bytes(3_000_000)
    path = tmp_path / "model.joblib"
    path.write_bytes(compress(content))

    with opened(path) as stream:
        assert stream.read() == content
    assert read_facts(path).code == {"clip": "3.13"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_version_of_scikit_learn_is_read(protocol: int, tmp_path: Path) -> None:
    """The version of scikit-learn is found in an estimator's attributes, in any pickle protocol."""
    state = {"C": 1.0, "_sklearn_version": "1.5.2"}
    content = pickle.dumps([Reduced(Exception, (), state)] * 2, protocol)

    assert facts_of(tmp_path, content) == PickleFacts(sklearn="1.5.2")


@pytest.mark.parametrize("version", ["1.5.2", "0.24.1", "1.10.0", "1.3.dev0", "1.7.0rc1"])
def test_a_version_across_two_blocks_is_read(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version is found wherever it lies across the blocks in which a file is searched."""
    monkeypatch.setattr(pickles, "CHUNK", 256)
    content = pickle.dumps({"_sklearn_version": version, "n_features_in_": 3})
    for place in range(200, 320):
        assert facts_of(tmp_path, b"\x00" * place + content).sklearn == version


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_of_the_script_that_saved_it_are_read(protocol: int, tmp_path: Path) -> None:
    """Names from `__main__` are found, since the server lacks the script that defined them."""
    content = pickle.dumps(["__main__", Reduced(Reduced, (1,))], protocol)
    module = __name__.encode()
    length = bytes([len(module)])
    content = content.replace(length + module, b"\x08__main__").replace(module, b"__main__")

    assert facts_of(tmp_path, content).script == {"Reduced"}


def test_nothing_is_called_or_imported(tmp_path: Path) -> None:
    """Reading the facts neither imports nor calls anything."""
    trap = tmp_path / "trap"
    harm = Reduced(eval, (f"open({str(trap)!r}, 'w')",), {"__main__": "CodeType"})

    assert facts_of(tmp_path, pickle.dumps(harm)) == PickleFacts(imports={"builtins.eval"})
    assert not trap.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"CodeType __main__ and no pickle",
        b"\x80\x04\x96" + b"\xff" * 7 + b"\x0f" + b"CodeType ",  # BYTEARRAY8 of 2**60 bytes
        b"\x80\x04\x95" + b"\xff" * 7 + b"\x0f" + b"CodeType ",  # a frame of 2**60 bytes
        b"\x80\x04" + b"(" * 100_000 + b"CodeType ",
        b"\x80\x04]\x94h\x00a" * 1000 + b"CodeType ",  # a list that contains itself
        b"\x80\x02\x82\x01.CodeType ",  # an extension code
        b"Pan id\n.CodeType ",  # a persistent id
        b"x CodeType",
        b"\x1f\x8b CodeType",
    ],
)
def test_damaged_and_hostile_files_have_no_facts(content: bytes, tmp_path: Path) -> None:
    """Damaged and malicious files have no facts and cause no error."""
    assert facts_of(tmp_path, content) == PickleFacts()


@pytest.mark.parametrize("key", PICKLES, ids="-".join)
def test_a_truncated_pickle_gives_no_wrong_facts(key: tuple[str, str], tmp_path: Path) -> None:
    """A truncated pickle gives only facts that the complete one has."""
    whole = facts_of(tmp_path, PICKLES[key])

    for size in range(0, len(PICKLES[key]), 31):
        facts = facts_of(tmp_path, PICKLES[key][:size])
        assert facts.code.items() <= whole.code.items()


@pytest.mark.parametrize(
    ("content", "imports"),
    [
        (pickle.dumps(Fraction(1, 2)), {"fractions.Fraction"}),
        (b"cno_such\nharm\n(tR.", {"no_such.harm"}),
        (b"cno_such\nharm\n(tR" + b"damaged", {"no_such.harm"}),
        (pickle.dumps([1, "a"]), None),
        (b"{}", None),
        (b"", None),
    ],
)
def test_the_imports_of_a_pickle_are_read(content: bytes, imports: Any, tmp_path: Path) -> None:
    """Imports are found in plain and compressed pickles and in PyTorch's archives."""
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "small").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("model/data.pkl", content)
        archive.writestr("model/data/0", b"weights")
    for name in ("plain", "small", "archive"):
        assert imports_of(tmp_path / name) == imports
