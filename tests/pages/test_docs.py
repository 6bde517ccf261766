"""The page that shows the OpenAPI document, in a browser."""

import pytest
import requests
from browsing import Passengers, behind_prefix, loaded, opened
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from prepackaged.server.protocols.pages import docs
from prepackaged.testing import serve

FILES = ("/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css")


def shown(browser: Browser, url: str) -> tuple[Page, list[str], list[str]]:
    """The page once it shows the document, what the browser complained of, and whom it asked."""
    page = opened(browser, "about:blank")
    complaints: list[str] = []
    asked: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def follow(request: Request) -> None:
        if not request.url.startswith("data:"):
            asked.append(request.url)

    page.on("console", note)
    page.on("request", follow)
    page.goto(url)
    expect(page.get_by_text("/api/v1.0/predictions")).to_be_visible()
    return page, complaints, asked


def test_a_person_tries_a_request_of_the_document(browser: Browser) -> None:
    """Nothing violates the policy, and nobody but the server is asked."""
    with serve(loaded(Passengers())) as served:
        page, complaints, asked = shown(browser, served.url + "/docs")
        page.get_by_text("/api/v1.0/predictions").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table")).to_contain_text("0.995")
        assert complaints == []
        assert {*asked} == {
            *(served.url + path for path in (*FILES, "/openapi.json", "/api/v1.0/predictions"))
        }


def test_behind_a_prefix_it_finds_its_files_and_the_server(browser: Browser) -> None:
    """As behind an ingress."""
    with serve(loaded(Passengers())) as served, behind_prefix(served.url) as url:
        page, complaints, asked = shown(browser, url + "/docs")
        page.get_by_text("/api/v1.0/predictions").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table")).to_contain_text("0.995")
        assert complaints == []
        assert all(each.startswith(url) for each in asked)


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_sent_compressed_and_once(path: str) -> None:
    """A browser that has it already gets no second copy; one without gzip gets it as it is."""
    with serve(loaded(Passengers())) as served:
        compressed = requests.get(served.url + path)
        plain = requests.get(served.url + path, headers={"Accept-Encoding": "identity"})
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert compressed.content == plain.content != b""
        assert plain.headers["Content-Security-Policy"].startswith("default-src 'none'; script")
        assert "unsafe" not in plain.headers["Content-Security-Policy"]
        tag = {"If-None-Match": plain.headers["ETag"]}
        again = requests.get(served.url + path, headers=tag)
        assert (again.status_code, again.content) == (304, b"")
        other = requests.get(served.url + path, headers={"If-None-Match": 'W/"other"'})
        assert other.content == plain.content


def test_without_swagger_ui_there_is_no_such_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork may leave it out."""
    monkeypatch.setattr(docs, "PACKAGE", "no_such_package")
    with serve(loaded(Passengers())) as served:
        assert requests.get(served.url + "/docs").status_code == 404
        assert requests.get(served.url + "/openapi.json").status_code == 200
