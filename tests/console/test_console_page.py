"""The page's files: headers, no inline code, no markup made from data."""

from __future__ import annotations

import importlib
import re

import pytest

from agents.console.web import load_pages
from tests.console.conftest import Api


@pytest.mark.parametrize(
    "path", ["/", "/csf/security", "/pipeline", "/static/main.js", "/static/base.css", "/api/v1/csfs"]
)
def test_every_answer_has_the_safety_headers(api: Api, path: str) -> None:
    status, headers, body = api.answer(path)
    assert status == 200
    assert body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"]


def test_errors_have_them_too(api: Api) -> None:
    for path in ("/api/v1/csfs?window=1y", "/static/none.js", "/static/..%2froutes.py"):
        status, headers, body = api.answer(path)
        assert status in {400, 404}
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert b"import" not in body


def test_an_address_without_a_page_is_told_in_the_page(api: Api) -> None:
    status, headers, body = api.answer("/nonsense")
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"main.js" in body
    assert api.answer("/static/nonsense.js")[0] == 404


def test_a_file_that_did_not_change_is_not_sent_again(api: Api) -> None:
    _, headers, _ = api.answer("/static/main.js")
    status, _, body = api.answer("/static/main.js", **{"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


def test_the_page_carries_no_inline_script_or_style_and_loads_nothing_from_elsewhere() -> None:
    pages = load_pages()
    html = pages["index.html"].body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://", html)
    assert all(re.fullmatch(r"<script[^>]* src=\"/static/[a-z]+\.js\">", s) for s in re.findall(r"<script[^>]*>", html))
    for name in re.findall(r"/static/([\w.]+)", html):
        assert name in pages, f"index.html names {name}, which is not there"


def test_scripts_never_read_data_as_markup_and_import_only_what_is_there() -> None:
    pages = load_pages()
    scripts = {name: page.body.decode() for name, page in pages.items() if name.endswith(".js")}
    assert "main.js" in scripts
    for name, text in scripts.items():
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "DOMParser",
        ):
            assert word not in text, f"{name} uses {word}"
        for imported in re.findall(r'from "\./([\w.]+)"', text):
            assert imported in scripts, f"{name} imports {imported}, which is not there"


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_a_contrast_of_at_least_4_5_in_both_themes() -> None:
    css = load_pages()["base.css"].body.decode()
    blocks = re.findall(r"(?<!-)color-scheme: \w+;(.*?)}", css, re.DOTALL)
    themes = [dict(re.findall(r"--(\w[\w-]*): (#[0-9a-f]{6})", block)) for block in blocks]
    assert len(themes) == 3
    pairs = [
        (ink, ground) for ink in ("ink", "dim", "link", "good", "warn", "bad", "none") for ground in ("ground", "panel")
    ]
    pairs += [(tone, f"{tone}-wash") for tone in ("good", "warn", "bad", "none")]
    pairs += [("ink", f"{tone}-wash") for tone in ("good", "warn", "bad", "none")]
    pairs += [("dim", f"{tone}-wash") for tone in ("good", "warn", "bad", "none")]
    for theme in themes:
        for ink, ground in pairs:
            a, b = sorted((_luminance(theme[ink]), _luminance(theme[ground])))
            assert (b + 0.05) / (a + 0.05) >= 4.5, f"{ink} {theme[ink]} on {ground} {theme[ground]}"


def test_the_files_are_a_package_so_that_an_installation_brings_them_along() -> None:
    assert importlib.import_module("agents.console.static").__file__
