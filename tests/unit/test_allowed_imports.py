import io
import pickle
import pickletools
import zlib
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from prepackaged import DeploymentError
from prepackaged.allowed_imports import AllowedImports

FRACTION = "fractions.Fraction"


def loaded(content: bytes, names: str | None, tmp_path: Path) -> Any:
    """Load a pickle with an unpickler that only allows these names."""
    file = tmp_path / "model.pkl"
    file.write_bytes(content)
    allowed = AllowedImports.of(names)
    allowed.check(file)
    return allowed.restricted(pickle.Unpickler, file)(io.BytesIO(content)).load()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_only_imports_listed_names_is_loaded(protocol: int, tmp_path: Path) -> None:
    """A pickle that only imports listed names is loaded, in any protocol and list syntax."""
    value = [Fraction(1, 3), OrderedDict(a=1)]
    content = pickle.dumps(value, protocol)
    names = [arg for op, arg, _ in pickletools.genops(content) if op.name == "GLOBAL"]
    old = {name.replace(" ", ".") for name in names}
    listed = f" {FRACTION},\n collections.OrderedDict, {','.join(old)},"
    assert loaded(content, listed, tmp_path) == value


def test_without_a_list_anything_may_be_imported(tmp_path: Path) -> None:
    """Without a list, or with an empty one, a pickle may import anything."""
    for names in (None, "", " , "):
        assert loaded(pickle.dumps(Fraction(1, 3)), names, tmp_path) == Fraction(1, 3)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"cos\nsystem\n(S'exit 1'\ntR.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x06exit 1\x85R.", "os.system"),
        (b"(S'exit 1'\nios\nsystem\n.", "os.system"),
        (b"cos\nsystem\n(S'exit 1'\ntR0cfractions\nFraction\n.", "os.system"),
        (b"cpkgutil\nresolve_name\n(S'os:system'\ntR.", "pkgutil.resolve_name"),
        (b"coperator\nattrgetter\n(S'system'\ntR.", "operator.attrgetter"),
        (b"cimportlib\nimport_module\n(S'os'\ntR.", "importlib.import_module"),
        (b"\x80\x04\x8c\x09fractions\x8c\x08sys.exit\x93.", "fractions.sys.exit"),
        (b"\x80\x04\x8c\x12fractions.Fraction\x8c\x08__init__\x93.", f"{FRACTION}.__init__"),
        (b"cfractions\nFraction\n}S'x'\ncbuiltins\neval\nsb.", "builtins.eval"),
        (b"cno_such_module\nharm\n.", "no_such_module.harm"),
    ],
)
def test_an_unlisted_name_is_refused_before_anything_is_loaded(
    content: bytes, name: str, tmp_path: Path
) -> None:
    """A name that is not listed is refused before loading, however the pickle hides it."""
    file = tmp_path / "model.pkl"
    file.write_bytes(content)
    with pytest.raises(DeploymentError) as caught:
        AllowedImports.of(FRACTION).check(file)
    assert f"model file {file}: this pickle imports {name}, which" in str(caught.value)
    with pytest.raises(DeploymentError, match="allowed_imports does not list"):
        loaded(content, FRACTION, tmp_path)


def test_imports_that_opcodes_do_not_show_are_refused_during_loading(tmp_path: Path) -> None:
    """Imports that the check of the opcodes missed are refused while loading."""
    content = b"cos\nsystem\n(S'exit 1'\ntR."
    allowed = AllowedImports.of(FRACTION)
    with pytest.raises(DeploymentError, match=r"imports os\.system, which"):
        allowed.restricted(pickle.Unpickler, tmp_path)(io.BytesIO(content)).load()
    with pytest.raises(DeploymentError, match=r"imports os\.system, which"):
        allowed.restricted(pickle._Unpickler, tmp_path)(io.BytesIO(content)).load()


def test_compressed_pickles_are_read_too(tmp_path: Path) -> None:
    """Compressed pickles, such as joblib's, are checked too."""
    (tmp_path / "model.joblib").write_bytes(zlib.compress(b"cos\nsystem\n."))
    with pytest.raises(DeploymentError, match=r"imports os\.system, which"):
        AllowedImports.of(FRACTION).check(tmp_path / "model.joblib")


def test_the_error_truncates_long_lists_of_names(tmp_path: Path) -> None:
    """The error message truncates long names and long lists of names."""
    names = b"".join(b"cmodule\nname%02d\n" % number for number in range(30))
    (tmp_path / "m").write_bytes(names + b"ca\n" + b"b" * 5000 + b"\n.")
    with pytest.raises(DeploymentError) as caught:
        AllowedImports.of(FRACTION).check(tmp_path / "m")
    assert "module.name17, module.name18 and 11 more, which" in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("word", ["true", "*", "sklearn.*", "a.b;c.d", ".a", "a..b", "1.a"])
def test_a_list_of_anything_but_names_is_refused(word: str) -> None:
    """The list must contain full names: a whole package would allow functions that run anything."""
    with pytest.raises(DeploymentError) as caught:
        AllowedImports.of(f"{FRACTION}, {word}")
    assert str(caught.value).startswith("expected the parameter allowed_imports to be names such")
    assert f"got {word!r}" in str(caught.value)
