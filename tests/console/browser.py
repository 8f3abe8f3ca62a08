"""A page in a real browser (Chromium), driven over its DevTools: sized, asked, looked at. ``visit`` of
``test_console_browser`` is enough where only the document that scripts leave behind counts."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
#: what a page fetches, says and refuses, as the browser tells it
_TOLD = {"Network.requestWillBeSent", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}


def chromium() -> str:
    """Return where the browser is."""
    found = os.environ.get("CSF_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is not installed: apt-get install chromium, or name it in CSF_CHROMIUM"
    return found


class Page:
    """One tab.

    Attributes:
        requests: addresses it asked for; ``complaints``: what its console said since it was opened.
    """

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket, self._number = socket, 0
        self._loaded = False

    async def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Return the answer of a DevTools method."""
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": given})
        while True:
            message = await self._heard()
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return dict(message["result"])

    async def open(self, address: str, width: int, height: int = 1000) -> None:
        """Open an address in a viewport of that many CSS pixels; return when it has loaded."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.requests.clear()
        self.complaints.clear()
        self._loaded = False
        await self.call("Page.navigate", url=address)
        while not self._loaded:
            await self._heard()

    async def media(self, media: str = "", **features: str) -> None:
        """Show the page as another medium (``print``) or to another taste (``prefers_color_scheme="dark"``)."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", media=media, features=wanted)

    async def ask(self, script: str) -> Any:
        """Return what a script evaluates to, as JSON."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def accessible(self) -> list[dict[str, Any]]:
        """Return what a reader's program is told: role, name and the rest of every node it does not skip."""
        tree = await self.call("Accessibility.getFullAXTree")
        return [
            {**node, "role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
            for node in tree["nodes"]
            if not node.get("ignored")
        ]  # fmt: skip

    async def picture(self) -> bytes:
        """Return the whole page as PNG."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return b64decode(answer["data"])

    async def _heard(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json(timeout=60)
        method, told = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method in _TOLD:
            self.complaints.append(str(told))
        return message


@asynccontextmanager
async def tab(profile: Path) -> AsyncIterator[Page]:
    """Start a browser of its own and give its tab; end it afterwards."""
    browser = await asyncio.create_subprocess_exec(
        chromium(), *OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert browser.stderr is not None
    try:
        at = None
        while at is None:
            line = await asyncio.wait_for(browser.stderr.readline(), 60)
            assert line, "Chromium ended before it could be driven"
            at = re.search(rb"DevTools listening on ws://([\d.]+:\d+)/", line)
        rest = asyncio.create_task(browser.stderr.read())  # a full pipe would stop the browser
        async with ClientSession() as session:
            async with session.get(f"http://{at[1].decode()}/json/list") as answer:
                (target,) = [found for found in await answer.json() if found["type"] == "page"]
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
        rest.cancel()
    finally:
        if browser.returncode is None:
            browser.kill()
        await browser.wait()
