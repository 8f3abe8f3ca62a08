"""Where issued reports go: mailboxes and webhooks. Sending is one attempt; who asks decides how often."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.report.model import Report
from pipeline.signing import DELIVERY, SIGNATURE, signature
from reports.letter import notice, subject, text
from reports.rendering import file_name, render

_TIMEOUT_S = 30.0
#: Statuses of a webhook that may be other ones a moment later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Undeliverable(Exception):
    """A target refused for good; trying again at once will not help."""


class Target(Protocol):
    """A place that takes an issue."""

    @property
    def name(self) -> str:
        """What it is called in records and messages; holds no secret."""

    def send(self, report: Report, pdf: Callable[[], bytes]) -> None:
        """Send an issue.

        Args:
            report: the issue.
            pdf: makes its PDF, once for all targets.

        Raises:
            ServiceUnavailable: it did not take it now.
            Undeliverable: it refused.
        """


def delivery_id(report: Report, target: str) -> str:
    """Return the id under which an issue goes to a target: the same at every attempt, so that receivers can tell."""
    number = report.issue.number if report.issue else 0
    key = f"{number}|{report.month}|{report.scope}|{target}"
    return f"csf-report-{number}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class MailServer:
    """An SMTP server and how to speak to it.

    Attributes:
        security: ``starttls``, ``tls`` or ``none``.
        ca_file: certificates it is checked by; None: the system's.
    """

    host: str
    port: int
    security: str
    username: str | None
    password: str | None = field(repr=False)
    sender: str
    ca_file: Path | None = None

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as e:
            raise ConfigError(f"smtp_ca_file {self.ca_file} holds no certificates: {e}") from None

    def send(self, message: EmailMessage, recipient: str) -> None:
        """Send a message.

        Raises:
            ServiceUnavailable: the server does not answer, or says to come again.
            Undeliverable: it refuses sender, recipient, message or password.
        """
        where = f"the mail server {self.host}:{self.port}"
        try:
            with self._connected() as server:
                if self.username:
                    server.login(self.username, self.password or "")
                server.send_message(message, self.sender, [recipient])
        except smtplib.SMTPAuthenticationError as e:
            raise Undeliverable(f"{where} refuses smtp_username and smtp_password ({e.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused as e:
            code, said = next(iter(e.recipients.values()))
            raise self._refused(f"{where} refuses {recipient}", code, said) from None
        except smtplib.SMTPResponseException as e:
            raise self._refused(f"{where} refuses the message", e.smtp_code, e.smtp_error) from None
        except smtplib.SMTPNotSupportedError as e:
            raise Undeliverable(f"{where} cannot do what smtp_security or smtp_username ask for: {e}") from None
        except ssl.SSLError as e:
            raise Undeliverable(f"{where} does not prove who it is ({e.reason}); see smtp_ca_file") from None
        except (OSError, smtplib.SMTPException) as e:
            raise ServiceUnavailable(f"{where} does not answer: {e}") from None

    @staticmethod
    def _refused(what: str, code: int, said: bytes | str) -> Exception:
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        sentence = f"{what}: {code} {' '.join(words.split())[:200]}"
        return ServiceUnavailable(sentence) if 400 <= code < 500 else Undeliverable(sentence)

    def _connected(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_S, context=self._context())
        server = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S)
        try:
            if self.security == "starttls":
                server.starttls(context=self._context())
        except BaseException:
            server.close()
            raise
        return server


@dataclass(frozen=True)
class Mailbox:
    """A recipient; each gets a mail of its own, so that nobody sees the others' addresses."""

    server: MailServer
    address: str

    @property
    def name(self) -> str:
        """The recipient."""
        return f"mail {self.address}"

    def send(self, report: Report, pdf: Callable[[], bytes]) -> None:
        """Send the summary as text with the PDF attached; see ``Target``."""
        message = EmailMessage()
        message["Subject"] = subject(report)
        message["From"], message["To"] = self.server.sender, self.address
        message["Date"] = formatdate(time.time())
        domain = self.server.sender.rpartition("@")[2].strip("> ") or "localhost"
        message["Message-ID"] = f"<{delivery_id(report, self.name)}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text(report))
        message.add_attachment(pdf(), maintype="application", subtype="pdf", filename=file_name(report, "pdf"))
        self.server.send(message, self.address)


@dataclass(frozen=True)
class Webhook:
    """An address that takes a signed JSON document; the address itself may be a secret and is not told."""

    url: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def name(self) -> str:
        """The host, and a hash that tells addresses of one host apart."""
        return f"webhook {urlsplit(self.url).hostname} {hashlib.sha256(self.url.encode()).hexdigest()[:8]}"

    def send(self, report: Report, pdf: Callable[[], bytes]) -> None:
        """Post the document; see ``Target``."""
        del pdf
        body = notice(report)
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: signature(self.secret, int(time.time()), body),
            DELIVERY: delivery_id(report, self.name),
        }
        try:
            with httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False) as client:
                status = client.post(self.url, content=body, headers=headers).status_code
        except httpx2.HTTPError as e:
            raise ServiceUnavailable(f"{self.name} does not answer: {type(e).__name__}") from None
        if status in _PASSING:
            raise ServiceUnavailable(f"{self.name} answers {status}")
        if not 200 <= status < 300:
            raise Undeliverable(f"{self.name} answers {status}")


def check_webhook(url: str) -> None:
    """Refuse an address that is none, or would carry the report in the open.

    Raises:
        ConfigError: naming the setting, not the address, which may hold a secret.
    """
    try:
        found = urlsplit(url)
        host, scheme = found.hostname, found.scheme
    except ValueError:
        host = scheme = None
    if not host or scheme not in {"https", "http"}:
        raise ConfigError("report_webhook: is no address; write it like https://host/path")
    if scheme == "http" and host not in {"localhost", "127.0.0.1", "::1"}:
        raise ConfigError(f"report_webhook: {host} would get the report in the open; use https")


def rendered_once(report: Report) -> Callable[[], bytes]:
    """Return what makes the PDF of a report at the first call and keeps it."""
    held: list[bytes] = []

    def pdf() -> bytes:
        if not held:
            held.append(render(report, "pdf"))
        return held[0]

    return pdf
