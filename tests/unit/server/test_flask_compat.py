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
    """Makes a Model of the text of its module, and of those of others beside it."""
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
    """Wherever it is imported there, or where Flask is to answer the model's exceptions."""
    assert needs_flask(load(WITH[what]))


def test_a_model_needs_flask_for_the_sake_of_a_module_beside_it(load: Load) -> None:
    """Or below, as a fork may have put its own things."""
    assert needs_flask(load("import callers\n" + MODEL, callers="from flask import request\n"))


def test_a_model_needs_flask_for_the_sake_of_its_base(load: Load) -> None:
    """Which may come from elsewhere."""
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
def test_other_models_do_not(load: Load, text: str) -> None:
    """Nor for the sake of our own or of seldon-core's base class."""
    assert not needs_flask(load(text, flasky="request = None\n"))


def test_a_package_that_is_installed_below_the_model_is_not_the_models(load: Load) -> None:
    """An environment in the model's directory has Flask, which says nothing."""
    place = "Path(__file__).parent / 'venv/site-packages'"
    text = f"import sys\nfrom pathlib import Path\nsys.path.append(str({place}))\nimport web\n"
    assert not needs_flask(load(text + MODEL, **{"venv/site-packages/web": "import flask\n"}))


def test_a_class_of_no_file_does_not() -> None:
    """As in an interactive session."""
    assert not needs_flask(type("Model", (Component,), {"__module__": "nowhere"})())


def test_a_header_with_an_underscore_does_not_stand_for_another() -> None:
    """In an environ both would have one name, and proxies check the usual one alone."""
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
