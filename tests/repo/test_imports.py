"""Which packages of the server may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import ROOT

PACKAGE = ROOT / "common/src/prepackaged"
# For each package of the server, the others that it may import besides telemetry.
MAY_IMPORT = {
    "telemetry": set(),
    "transport": set(),
    "inference": set(),
    "protocols": {"inference", "transport"},
    "runtime": {"inference", "transport", "protocols"},
}


def modules(directory: Path) -> Iterator[Path]:
    """The modules in and below a directory."""
    yield from sorted(directory.rglob("*.py"))


def imported(module: Path) -> set[str]:
    """The full names that a module imports, at any level."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(names: set[str]) -> set[str]:
    """The packages of the server to which these names belong."""
    return {name.split(".")[2] for name in names if name.startswith("prepackaged.server.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    """Each package imports only the allowed ones."""
    allowed = MAY_IMPORT[room] | {room, "telemetry"}
    wrong = {
        (str(module.relative_to(PACKAGE)), found)
        for module in modules(PACKAGE / "server" / room)
        for found in rooms(imported(module)) - allowed
    }
    assert wrong == set()


def test_every_module_of_the_server_is_in_a_room() -> None:
    """The server has exactly these packages, and no module outside them."""
    directories = {each.name for each in (PACKAGE / "server").iterdir() if each.is_dir()}
    assert directories - {"__pycache__"} == set(MAY_IMPORT)
    assert [each.name for each in (PACKAGE / "server").glob("*.py")] == ["__init__.py"]


def test_transports_know_nothing_of_seldon() -> None:
    """The transport package never imports seldon_core, so it works for any protocol."""
    wrong = {
        (module.name, name)
        for module in modules(PACKAGE / "server/transport")
        for name in imported(module)
        if name.startswith("seldon_core")
    }
    assert wrong == set()


def test_what_authors_use_knows_nothing_of_the_server() -> None:
    """Modules for authors do not import the server, except `testing`, so a Model runs under any."""
    wrong = {
        module.name
        for module in PACKAGE.glob("*.py")
        if rooms(imported(module)) and module.name != "testing.py"
    }
    assert wrong == set()
