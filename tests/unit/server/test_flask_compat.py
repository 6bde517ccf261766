import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prepackaged import Component
from prepackaged.server.protocols.seldon.flask_compat import needs_flask
from prepackaged.server.protocols.seldon.wsgi import environ_of
from prepackaged.server.transport.exchange import Exchange, Response

Load = Callable[..., Any]

MODEL = "class Model:\n    def predict(self, X, names):\n        return X\n"
WITH = {
    "the module": "from flask import request\n" + MODEL,
    "Flask itself": "import os, flask\n" + MODEL,
    "what predict imports": MODEL.replace("return X", "import flask; return flask.request.data"),
    "a line in predict": MODEL.replace("return X", "from flask import request\n        return X"),
    "a handler": MODEL + "    model_error_handler = object()\n",
}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Return a function that writes modules and returns an instance of the first one's Model."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(text: str, **others: str) -> Any:
        for name, content in {"model_of_a_test": text, **others}.items():
            file = tmp_path / f"{name.replace('.', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return importlib.import_module("model_of_a_test").Model()

    yield load
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("what", WITH)
def test_a_model_with_flask_in_its_module_needs_it(load: Load, what: str) -> None:
    """An import of Flask anywhere in the model's module or a Flask error handler requires Flask."""
    assert needs_flask(load(WITH[what]))


def test_a_model_needs_flask_if_a_module_beside_it_does(load: Load) -> None:
    """An import of Flask in a module beside the model requires Flask."""
    assert needs_flask(load("import callers\n" + MODEL, callers="from flask import request\n"))


def test_a_model_needs_flask_if_its_base_class_does(load: Load) -> None:
    """An import of Flask in the module of a base class requires Flask."""
    text = "from bases.asking import Base\nclass Model(Base):\n    pass\n"
    base = "import flask\nclass Base:\n    pass\n"
    assert needs_flask(load(text, **{"bases.asking": base}))


@pytest.mark.parametrize(
    "text",
    [
        MODEL,
        "# from flask import request\n" + MODEL,
        "from flasky import request\n" + MODEL,
        "from prepackaged import Component\nclass Model(Component):\n    pass\n",
    ],
)
def test_other_models_do_not_need_flask(load: Load, text: str) -> None:
    """Models without Flask, including those with our base class, do not require it."""
    assert not needs_flask(load(text, flasky="request = None\n"))


def test_an_installed_package_below_the_model_is_not_its_code(load: Load) -> None:
    """Packages in an environment within the model's directory do not count as the model's code."""
    place = "Path(__file__).parent / 'venv/site-packages'"
    text = f"import sys\nfrom pathlib import Path\nsys.path.append(str({place}))\nimport web\n"
    assert not needs_flask(load(text + MODEL, **{"venv/site-packages/web": "import flask\n"}))


def test_a_class_without_a_file_does_not_need_flask() -> None:
    """A class without a source file, as in an interactive session, does not require Flask."""
    assert not needs_flask(type("Model", (Component,), {"__module__": "nowhere"})())


def test_a_header_with_an_underscore_does_not_replace_another() -> None:
    """Headers with underscores are dropped: in WSGI they would replace those that proxies check."""
    exchange = Exchange(
        "POST",
        "/predict",
        [(b"x_user", b"forged"), (b"x-user", b"me"), (b"x_role", b"forged")],
        carrier=None,  # type: ignore[arg-type]
        failure=lambda *_: Response(b""),
        observe=lambda *_: None,
    )
    environ = environ_of(exchange)
    assert {key: value for key, value in environ.items() if key.startswith("HTTP_")} == {
        "HTTP_X_USER": "me"
    }
