import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "common/src"
FRAMEWORKS = {
    "joblib", "lightgbm", "onnxruntime", "pandas", "scipy", "skops", "sklearn", "tensorflow",
    "torch", "xgboost",
}  # fmt: skip


def test_importing_prepackaged_imports_no_framework(tmp_path: Path) -> None:
    """Importing prepackaged imports no framework but TensorFlow, which seldon-core imports."""
    for name in FRAMEWORKS:
        (tmp_path / f"{name}.py").touch()
    script = "import sys, prepackaged; print(*sorted(set(sys.argv) & set(sys.modules)))"
    completed = subprocess.run(
        [sys.executable, "-c", script, *FRAMEWORKS],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert completed.stdout.split() == ["tensorflow"]


def test_the_sources_mention_no_framework_but_pandas_and_scikit_learn() -> None:
    """The package imports pandas, and scikit-learn and what goes with it only in `estimators`."""
    found = {
        (str(path.relative_to(SOURCES / "prepackaged").parent), name)
        for path in SOURCES.rglob("*.py")
        for name in imported(ast.parse(path.read_text()))
        if name in FRAMEWORKS
    }
    of_estimators = ("joblib", "pandas", "scipy", "skops", "sklearn")
    assert found == {(".", "pandas")} | {("estimators", name) for name in of_estimators}


def test_nothing_but_estimators_imports_estimators() -> None:
    """Only `estimators` imports `estimators`, so other images need no scikit-learn."""
    found = {
        path.relative_to(SOURCES / "prepackaged").parts[0]
        for path in SOURCES.rglob("*.py")
        if "prepackaged.estimators" in path.read_text()
    }
    assert found == {"estimators"}


def imported(tree: ast.AST) -> Iterator[str]:
    """Return the top-level names of all modules that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
