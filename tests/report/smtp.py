"""A small SMTP server on a thread: what a mail server does as far as a report's delivery sees it."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


class Server(socketserver.ThreadingTCPServer):
    """Takes mails; ``refusals`` are answers to MAIL FROM, used up one a mail before it takes any."""

    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext | None, password: str | None, *, implicit: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.context, self.password, self.implicit = context, password, implicit
        self.refusals: list[str] = []
        self.refused_recipients: set[str] = set()
        self.mails: list[tuple[str, list[str], EmailMessage]] = []
        self.encrypted: list[bool] = []
        self.logins: list[str] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    server: Server
    secure = False

    def _wrap(self) -> None:
        assert self.server.context is not None
        self.rfile.close()
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
        self.secure = True

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server closes the one that it accepted, which is not the encrypted one

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self) -> None:
        if self.server.implicit:
            self._wrap()
        self._say("220 test")
        sender, recipients = "", list[str]()
        while line := self.rfile.readline().decode().strip():
            verb = line.upper()
            if verb.startswith("EHLO"):
                offers = ["test"]
                if self.server.context is not None and not self.secure:
                    offers.append("STARTTLS")
                if self.server.password is not None:
                    offers.append("AUTH PLAIN")
                for offer in offers[:-1]:
                    self._say(f"250-{offer}")
                self._say(f"250 {offers[-1]}")
            elif verb == "STARTTLS":
                self._say("220 go on")
                self._wrap()
            elif verb.startswith("AUTH PLAIN"):
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self.server.logins.append(user)
                self._say("235 welcome" if password == self.server.password else "535 wrong")
            elif verb.startswith("MAIL FROM"):
                sender, recipients = line[10:].split(">")[0].strip("<> "), []
                self._say(self.server.refusals.pop(0) if self.server.refusals else "250 ok")
            elif verb.startswith("RCPT TO"):
                address = line[8:].strip("<> ")
                recipients.append(address)
                self._say("550 nobody of that name" if address in self.server.refused_recipients else "250 ok")
            elif verb == "DATA":
                self._say("354 go on")
                raw = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    raw += part[1:] if part.startswith(b"..") else part
                message: Any = message_from_bytes(raw, policy=policy.default)
                self.server.mails.append((sender, recipients, message))
                self.server.encrypted.append(self.secure)
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")


@contextmanager
def mail_server(
    context: ssl.SSLContext | None = None, password: str | None = None, *, implicit: bool = False
) -> Iterator[Server]:
    """Run a server until the end of the block."""
    server = Server(context, password, implicit=implicit)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
