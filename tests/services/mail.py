"""An SMTP server on loopback that keeps what it is sent."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from email.message import EmailMessage


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 test")
        while line := self.rfile.readline().decode(errors="replace").strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                self._say("250 test")
            elif word == "DATA":
                self._say("354 go on")
                self._keep()
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 well")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _keep(self) -> None:
        raw = b""
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            raw += line.removeprefix(b".") if line.startswith(b"..") else line
        found = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        self.server.got.append(found)  # type: ignore[attr-defined]


class MailServer(socketserver.ThreadingTCPServer):
    """Listens on a port of its own; ``got`` holds the messages."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.got: list[EmailMessage] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def texts(self) -> list[tuple[str, str]]:
        """Return (subject, plain text) of each message."""
        found = []
        for message in self.got:
            part = message.get_body(("plain",))
            found.append((str(message["Subject"]), part.get_content() if part else ""))
        return found
