"""The page that shows the OpenAPI document, in a browser."""

import pytest
import requests
from browsing import Passengers, behind_prefix, loaded, opened
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from prepackaged.server.protocols.pages import docs
from prepackaged.testing import serve

FILES = ("/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css")


def shown(browser: Browser, url: str) -> tuple[Page, list[str], list[str]]:
    """Open the page; return it with the browser's complaints and the addresses it requested."""
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
    """A request can be tried without violating the policy, and only the server gets requests."""
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
    """Behind a prefix, such as an ingress's, the page finds its files and the server."""
    with serve(loaded(Passengers())) as served, behind_prefix(served.url) as url:
        page, complaints, asked = shown(browser, url + "/docs")
        page.get_by_text("/api/v1.0/predictions").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.locator(".live-responses-table")).to_contain_text("0.995")
        assert complaints == []
        assert all(each.startswith(url) for each in asked)


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_sent_compressed_and_once(path: str) -> None:
    """Files are sent as gzip if accepted, and 304 saves a second download."""
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
    """Without swagger-ui installed, /docs is 404 and /openapi.json still works."""
    monkeypatch.setattr(docs, "PACKAGE", "no_such_package")
    with serve(loaded(Passengers())) as served:
        assert requests.get(served.url + "/docs").status_code == 404
        assert requests.get(served.url + "/openapi.json").status_code == 200
