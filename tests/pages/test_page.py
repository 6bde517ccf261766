import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import serving
from axe_playwright_python.sync_playwright import Axe
from browsing import COLUMNS, HOSTILE, Passengers, behind_prefix, loaded, opened
from playwright.sync_api import Browser, expect

from prepackaged import Column, Component, Signature, TensorSpec, ValueRange
from prepackaged.tables import Columns
from prepackaged.testing import serve


class Widths(Component):
    """Answers with the number of columns of a table."""

    def __init__(self, *columns: Column) -> None:
        super().__init__()
        self.signature = Signature(columns)

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return np.array([[len(Columns.of(self.signature.inputs).table(X, feature_names).arrays)]])


class Pictures(Component):
    """Answers with the number of bytes of a picture."""

    signature = Signature((TensorSpec("x", "float32", (None, 8, 8, 3)),))

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return np.array([[float(len(X))]])


class Unknown(Component):
    """Has no signature and returns its input."""

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return X


def test_a_person_predicts_makes_a_mistake_and_reads_what_was_wrong(browser: Browser) -> None:
    """The example is answered, a wrong value gives an error at its field, a right one an answer."""
    with serve(loaded(Passengers())) as served:
        page = opened(browser, served.url + "/")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer")).to_contain_text("0.995")
        expect(page.locator("#answer")).to_contain_text(HOSTILE)

        page.get_by_role("textbox", name="age").fill("old")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("alert")).to_contain_text("column 'age': expected a number")
        expect(page.get_by_role("textbox", name="age")).to_be_focused()
        expect(page.get_by_role("textbox", name="age")).to_have_attribute("aria-invalid", "true")

        page.get_by_role("textbox", name="age").fill("30")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator("#answer")).to_contain_text("0.7")
        expect(page.get_by_text("This call took")).to_be_visible()
        page.get_by_role("button", name="Example").click()
        expect(page.get_by_role("textbox", name="age")).to_have_value("0.5")


@pytest.mark.parametrize("name", ["it's", "a\\b", "two\nlines", "both '\"", "", None])
def test_a_mistake_is_shown_at_its_field_whatever_the_name(
    browser: Browser, name: str | None
) -> None:
    """Errors name columns with quotes and escapes, and those without names by number."""
    columns = (Column(None if name is None else "first", "float64"), Column(name, "float64"))
    with serve(loaded(Widths(*columns))) as served:
        page = opened(browser, served.url + "/")
        page.locator("#column-1").fill("old")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("alert")).to_contain_text("expected a number")
        expect(page.locator("#column-1")).to_be_focused()
        expect(page.locator("[aria-invalid]")).to_have_count(1)


def test_people_read_the_range_of_a_column(browser: Browser) -> None:
    """The range that drift is counted by is beside the kind of the values."""
    ranged = Column("age", "float64", value_range=ValueRange(18, 90.5, "training"))
    with serve(loaded(Widths(ranged, Column("height", "int64")))) as served:
        page = opened(browser, served.url + "/")
        expect(page.locator("label[for=column-0]")).to_have_text("age number, 18 to 90.5")
        expect(page.locator("label[for=column-1]")).to_have_text("height whole number")


def test_what_the_form_says_is_what_is_sent(browser: Browser) -> None:
    """The form sends a number, a chosen category, and null for a missing value."""
    with serve(loaded(Passengers())) as served:
        page = opened(browser, served.url + "/ui")
        page.get_by_label("city", exact=False).first.select_option("Tainan")
        page.get_by_label(f"{HOSTILE} is missing").check()
        with page.expect_request("**/predictions") as sent:
            page.get_by_role("button", name="Predict").click()
        assert sent.value.post_data_json == {
            "data": {
                "names": [column.name for column in COLUMNS],
                "ndarray": [[0.5, "Tainan", None, 0.5]],
            }
        }


@pytest.mark.parametrize("ending", ["", "/", "/ui"])
def test_behind_a_prefix_the_page_finds_the_server(browser: Browser, ending: str) -> None:
    """Behind a prefix, the page calls the right address, with or without a final slash."""
    with serve(loaded(Passengers())) as served, behind_prefix(served.url) as url:
        page = opened(browser, url + ending)
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer")).to_contain_text("0.995")
        expect(page.locator("#code")).to_contain_text(f"{url}/api/v1.0/predictions")


def test_a_file_of_the_page_asks_the_deployment_whose_address_is_given(
    browser: Browser, tmp_path: Any
) -> None:
    """Saved as a file, the page calls the given address, for platforms that serve no page."""
    with serve(loaded(Passengers())) as served:
        (tmp_path / "model.html").write_bytes(requests.get(served.url + "/ui").content)
        page = opened(browser, (tmp_path / "model.html").as_uri())
        page.get_by_label("Address of the deployment").fill(served.url + "/")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer")).to_contain_text("0.995")


MODEL = """
from prepackaged import Column, Component, Signature

class Model(Component):
    signature = Signature((Column("age", "float64"),))

    def predict(self, X, names=None, meta=None):
        return [[float(X[0][0]) * 2]]
"""


def test_the_page_that_check_prints_asks_a_deployment_from_a_file(
    browser: Browser, tmp_path: Path
) -> None:
    """The printed page can call any server, and its policy allows no script but its own."""
    (tmp_path / "Model.py").write_text(MODEL)
    program = "from prepackaged.server.runtime.check import main; main()"
    command = [sys.executable, "-c", program, "--page"]
    made = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    (tmp_path / "model.html").write_bytes(made)
    assert made.startswith(b"<!doctype html>")

    with serving.serve(tmp_path) as server:
        page = opened(browser, (tmp_path / "model.html").as_uri())
        page.get_by_label("Address of the deployment").fill(server.url)
        page.get_by_role("textbox", name="age").fill("21")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer")).to_contain_text("42")
        expect(page.locator("#code")).to_contain_text(f"{server.url}/api/v1.0/predictions")
    assert not page.evaluate(
        "() => { const made = document.createElement('script'); window.hasRun = false;"
        " try { made.textContent = 'window.hasRun = true'; document.head.append(made); }"
        " catch { } return window.hasRun; }"
    )


def test_check_prints_no_page_of_what_cannot_be_loaded(tmp_path: Path) -> None:
    """If the model cannot be loaded, no page is printed, and the last line says why."""
    (tmp_path / "Model.py").write_text("class Model:\n    def load(self): raise OSError('gone')")
    program = "from prepackaged.server.runtime.check import main; main()"
    command = [sys.executable, "-c", program, "--page"]
    made = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (made.returncode, made.stdout) == (1, "")
    assert "Model cannot be loaded: OSError: gone" in made.stderr.splitlines()[-1]


def test_a_picture_is_chosen_and_sent(browser: Browser) -> None:
    """A chosen picture is sent as Base64 in JSON."""
    with serve(loaded(Pictures())) as served:
        page = opened(browser, served.url + "/")
        picture = {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG" + b"x" * 96}
        page.get_by_label("Image").set_input_files(picture)
        expect(page.get_by_alt_text("The chosen image")).to_be_visible()
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer")).to_contain_text("100")


def test_a_model_that_says_nothing_is_asked_in_json(browser: Browser) -> None:
    """Without a signature the page sends JSON, and shows the server's error for invalid JSON."""
    with serve(loaded(Unknown())) as served:
        page = opened(browser, served.url + "/")
        page.locator("#json").fill('{"data": {"ndarray": [[1, 2, 7]]}}')
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer")).to_contain_text("7")
        page.locator("#json").fill("{")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("alert")).to_contain_text("JSON")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("model", [Passengers, Pictures, Unknown])
def test_people_with_any_screen_can_use_it(
    model: type[Component], width: int, scheme: Any, browser: Browser
) -> None:
    """Axe finds no violation and nothing is wider than the screen, in each size and scheme."""
    with serve(loaded(model())) as served:
        size: Any = {"width": width, "height": 800}
        page = opened(browser, served.url + "/", color_scheme=scheme, viewport=size)
        page.get_by_role("button", name="Predict").click()
        page.wait_for_timeout(300)
        found = Axe().run(page).response["violations"]
        assert [each["id"] for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_browsers_get_the_page_and_everybody_else_a_sign_of_life() -> None:
    """At `/`, browsers get the page, and KServe's clients and load balancers get JSON."""
    with serve(loaded(Unknown())) as served:
        assert requests.get(served.url + "/").json() == {"status": "alive"}
        html = requests.get(served.url + "/", headers={"Accept": "text/html,*/*"})
        assert html.headers["Content-Type"] == "text/html; charset=utf-8"
        assert html.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_setting_switches_the_pages_off() -> None:
    """With pages off, the pages and the OpenAPI document are 404."""
    with serve(loaded(Unknown()), pages=False) as served:
        for path in ("/ui", "/openapi.json", "/docs", "/docs/start.js"):
            assert requests.get(served.url + path).status_code == 404
        alive = requests.get(served.url + "/", headers={"Accept": "text/html"})
        assert alive.json() == {"status": "alive"}
