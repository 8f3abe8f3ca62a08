"""A Grafana's HTTP API as far as boards need it, in memory on loopback, with the refusals of the real one.

After Grafana's documentation of its folder, dashboard and annotation API (9.4): 401 without a token it knows, 403 where the
role does not suffice, 404 for what is not there, 409 for a folder's title twice, 412 with ``version-mismatch`` or ``name-exists``
for boards, 400 for a provisioned board.
"""

import json
import re
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]


class FakeGrafana:
    """``folders`` uid → title, ``boards`` uid → {"json", "folder", "provisioned"}, ``annotations`` id → body; ``log`` of requests."""

    def __init__(self, token: str = "glsa_right", role: str = "Editor", prefix: str = "") -> None:
        self.token, self.role, self.prefix = token, role, prefix
        self.folders: dict[str, str] = {}
        self.boards: dict[str, dict[str, Any]] = {}
        self.annotations: dict[int, dict[str, Any]] = {}
        self.log: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        #: called before a board is saved: what somebody else does at that moment
        self.meanwhile: Callable[[], None] = lambda: None
        #: answers every request where it is set
        self.always: tuple[int, bytes] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                if outer.always is not None:
                    status, raw = outer.always
                else:
                    authorised = self.headers.get("Authorization") == f"Bearer {outer.token}"
                    status, answer = outer.answer(self.command, self.path, body, authorised)
                    raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler._serve)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def writes(self) -> list[str]:
        return [f"{method} {path}" for method, path in self.log if method != "GET"]

    def answer(self, method: str, path: str, body: Any, authorised: bool) -> Answer:
        self.log.append((method, path))
        self.bodies.append(body)
        if not authorised:
            return 401, {"message": "Invalid API key"}
        if method != "GET" and self.role == "Viewer":
            return 403, {"message": "You'll need additional permissions to perform this action."}
        url = urllib.parse.urlsplit(path.removeprefix(self.prefix))
        if found := re.fullmatch(r"/api/folders/([^/]+)", url.path):
            uid = found[1]
            return (200, {"uid": uid, "title": self.folders[uid]}) if uid in self.folders else _missing("folder")
        if (method, url.path) == ("POST", "/api/folders"):
            return self._make_folder(body)
        if found := re.fullmatch(r"/api/dashboards/uid/([^/]+)", url.path):
            return self._board(found[1])
        if (method, url.path) == ("POST", "/api/dashboards/db"):
            self.meanwhile()
            return self._save(body)
        if url.path.startswith("/api/annotations"):
            return self._annotation(method, url, body)
        return 404, {"message": "Not found"}

    def _annotation(self, method: str, url: urllib.parse.SplitResult, body: Any) -> Answer:
        if url.path == "/api/annotations" and method == "GET":
            asked = urllib.parse.parse_qs(url.query)
            first, last = (int(asked.get(name, ["0"])[0]) for name in ("from", "to"))
            found = [a for a in self.annotations.values() if set(asked.get("tags", [])) <= set(a["tags"])]
            if first and last:
                found = [a for a in found if a["time"] <= last and a.get("timeEnd", a["time"]) >= first]
            return 200, found[: int(asked["limit"][0])]
        if url.path == "/api/annotations" and method == "POST":
            number = max(self.annotations, default=0) + 1
            self.annotations[number] = {"id": number, **_ended(body)}
            return 200, {"message": "Annotation added", "id": number}
        number = int(url.path.rsplit("/", 1)[1])
        if number not in self.annotations:
            return _missing("annotation")
        if method == "DELETE":
            del self.annotations[number]
            return 200, {"message": "Annotation deleted"}
        self.annotations[number] |= _ended(body)
        return 200, {"message": "Annotation updated"}

    def _make_folder(self, body: Any) -> Answer:
        if body["title"] in self.folders.values():
            return 409, {"message": "a folder with the same name already exists"}
        self.folders[body["uid"]] = body["title"]
        return 200, {"uid": body["uid"], "title": body["title"]}

    def _board(self, uid: str) -> Answer:
        if uid not in self.boards:
            return _missing("Dashboard")
        board = self.boards[uid]
        title = self.folders.get(board["folder"], "General")
        meta = {"folderUid": board["folder"], "folderTitle": title, "provisioned": board.get("provisioned", False)}
        return 200, {"dashboard": board["json"], "meta": meta}

    def _save(self, body: Any) -> Answer:
        board, folder = body["dashboard"], body["folderUid"]
        if folder not in self.folders:
            return 400, {"message": "folder not found"}
        there = self.boards.get(board["uid"])
        if there and there.get("provisioned"):
            return 400, {"message": "Cannot save provisioned dashboard"}
        if there and (board.get("id"), board.get("version")) != (there["json"]["id"], there["json"]["version"]):
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
        same_name = [b for b in self.boards.values() if b["folder"] == folder and b["json"]["title"] == board["title"]]
        if any(b["json"]["uid"] != board["uid"] for b in same_name):
            message = "A dashboard with the same name in the folder already exists"
            return 412, {"status": "name-exists", "message": message}
        version = there["json"]["version"] + 1 if there else 1
        # Grafana fills in what a board leaves out
        kept = {"fiscalYearStartMonth": 0, "timepicker": {}, **board, "id": len(self.boards) + 1, "version": version}
        if there:
            kept["id"] = there["json"]["id"]
        self.boards[board["uid"]] = {"json": kept, "folder": folder}
        return 200, {"uid": board["uid"], "status": "success", "version": version}


def _ended(body: dict[str, Any]) -> dict[str, Any]:
    """An annotation without an end is kept as one that ends where it starts."""
    return {**body, "timeEnd": body.get("timeEnd") or body["time"]}


def _missing(what: str) -> Answer:
    return 404, {"message": f"{what} not found", "status": "not-found"}
