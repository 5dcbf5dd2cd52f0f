"""Alerts by e-mail: `smtplib` in a thread of its own for each message.

The thread is a daemon and its socket is shut when time is up, so that a server that hangs holds up
neither the next message nor the end of the process.
"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ccproxy.alerts.channel import NotDelivered

if TYPE_CHECKING:
    from ccproxy.alerts.message import Message

_SAID_LIMIT: Final = 120
"""Characters of a server's own words."""
_OUR_NAME: Final = "[127.0.0.1]"
"""For EHLO: what smtplib takes where the host has no full name, without asking DNS for one."""


class Tls(StrEnum):
    """How the connection is encrypted."""

    STARTTLS = "starttls"
    """From the second command on; refused where the server does not offer it."""
    TLS = "tls"
    """From the first byte."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, and as whom."""

    host: str
    port: int
    tls: Tls
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class Email:
    """Implements `Channel`."""

    def __init__(
        self, name: str, server: MailServer, sender: str, to: tuple[str, ...], timeout_s: float
    ) -> None:
        """`timeout_s` is for the whole of one delivery."""
        self.name = name
        self._server = server
        self._sender = sender
        self._to = to
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> None:
        """Hand a message in; see `Channel`."""
        delivery = _Delivery(self._server, self._mail(message), self._timeout_s)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[NotDelivered | None] = loop.create_future()

        def work() -> None:
            failure = delivery.run()
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, done, failure)

        threading.Thread(target=work, name="alert-mail", daemon=True).start()
        try:
            async with asyncio.timeout(self._timeout_s):
                failure = await done
        except TimeoutError:
            why = f"{self._server.host} was not done in {self._timeout_s:g} s"
            raise NotDelivered(why) from None
        finally:
            delivery.abort()
        if failure is not None:
            raise failure

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.at_s, UTC))
        mail["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        # RFC 3834: no vacation notice comes back.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(f"{message.text}\n\n{message.details}\n")
        return mail


def _settle(done: asyncio.Future[NotDelivered | None], failure: NotDelivered | None) -> None:
    if not done.done():
        done.set_result(failure)


class _Delivery:
    """One conversation with the server; `run` in a thread, `abort` from outside."""

    def __init__(self, server: MailServer, mail: EmailMessage, timeout_s: float) -> None:
        self._server = server
        self._mail = mail
        self._timeout_s = timeout_s
        self._smtp: smtplib.SMTP | None = None

    def run(self) -> NotDelivered | None:
        """Return why it failed, or None."""
        try:
            self._smtp = self._connect()
            with closing(self._smtp):
                self._hand_in(self._smtp)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return _not_delivered(error, self._server)
        return None

    def abort(self) -> None:
        """Wake the thread if it still waits for the server."""
        sock = self._smtp.sock if self._smtp is not None else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _hand_in(self, smtp: smtplib.SMTP) -> None:
        server = self._server
        if server.tls is Tls.STARTTLS:
            smtp.starttls(context=ssl.create_default_context())
        if server.username is not None:
            smtp.login(server.username, server.password or "")
        smtp.send_message(self._mail)
        # It is taken; how the server says goodbye must not make us send it again.
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()

    def _connect(self) -> smtplib.SMTP:
        at, wait_s = (self._server.host, self._server.port), self._timeout_s
        if self._server.tls is Tls.TLS:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(*at, _OUR_NAME, timeout=wait_s, context=context)
        return smtplib.SMTP(*at, _OUR_NAME, timeout=wait_s)


def _not_delivered(error: Exception, server: MailServer) -> NotDelivered:
    host = server.host
    match error:
        case smtplib.SMTPRecipientsRefused():
            return NotDelivered(f"{host} refuses every recipient", is_final=True)
        case smtplib.SMTPAuthenticationError():
            return NotDelivered(f"{host} refuses username or password", is_final=True)
        case smtplib.SMTPNotSupportedError():
            why = f"{host} does not offer what the settings ask for, e.g. STARTTLS or a login"
            return NotDelivered(why, is_final=True)
        case smtplib.SMTPResponseException():
            why = f"{host} answered {error.smtp_code}{_said(error.smtp_error, server)}"
            return NotDelivered(why, is_final=500 <= error.smtp_code < 600)
        case UnicodeEncodeError():
            # smtplib logs in with ASCII alone.
            why = "username or password has characters beyond ASCII, which SMTP does not carry"
            return NotDelivered(why, is_final=True)
        case ssl.SSLCertVerificationError():
            why = f"the certificate of {host} is not trusted: {error.verify_message}"
            return NotDelivered(why, is_final=True)
        case OSError() if error.strerror:
            return NotDelivered(f"no connection to {host}: {error.strerror}")
        case _:
            return NotDelivered(f"{host} broke off: {type(error).__name__}")


def _said(words: bytes | str, server: MailServer) -> str:
    """Return a server's words, unless the password is in them."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    if server.password and server.password in text:
        return ""
    shown = "".join(c if c.isprintable() else " " for c in text)[:_SAID_LIMIT]
    return f": {shown}" if shown else ""
