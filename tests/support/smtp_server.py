"""A mail server that is only a socket: takes mail by RFC 5321 and keeps what it was told."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from email.message import EmailMessage

DRIP = "drip"


@dataclass
class SmtpServer:
    """What it offers, what it answers otherwise, and what came."""

    starttls: ssl.SSLContext | None = None
    """Offered where there is one."""
    offers_login: bool = True
    answers: dict[str, str] = field(default_factory=dict)
    """Answers of one's own to a command: `{"DATA": "451 later"}`; `""` is silence, `DRIP` a line
    that never ends."""
    port: int = 0
    commands: list[str] = field(default_factory=list)
    """First words, in order; what came encrypted has `tls:` before it."""
    logins: list[tuple[str, str]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client is gone."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        writer.write(b"220 test\r\n")
        try:
            while (line := await reader.readline()) and await self._obey(line, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.left.set()
            writer.close()

    async def _obey(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Return whether the conversation goes on."""
        word = line.split()[0].decode().upper()
        encrypted = writer.get_extra_info("ssl_object") is not None
        self.commands.append(f"tls:{word}" if encrypted else word)
        if word in self.answers:
            while self.answers[word] == DRIP:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.02)
            if self.answers[word]:
                writer.write(f"{self.answers[word]}\r\n".encode())
            return True
        if word == "DATA":
            writer.write(b"354 go on\r\n")
            data = await reader.readuntil(b"\r\n.\r\n")
            mail = message_from_bytes(data[:-3].replace(b"\r\n..", b"\r\n."), policy=default)
            self.mails.append(mail)
        if word == "AUTH":
            _, user, password = b64decode(line.split()[2]).decode().split("\0")
            self.logins.append((user, password))
            writer.write(b"235 welcome\r\n")
            return True
        writer.write(self._answer(word, encrypted=encrypted))
        if word == "STARTTLS":
            assert self.starttls is not None
            await writer.drain()
            await writer.start_tls(self.starttls)
        return word != "QUIT"

    def _answer(self, word: str, *, encrypted: bool) -> bytes:
        if word == "STARTTLS":
            return b"220 go on\r\n"
        if word == "QUIT":
            return b"221 bye\r\n"
        if word != "EHLO":
            return b"250 fine\r\n"
        offered = [b"250-test"]
        if self.starttls is not None and not encrypted:
            offered.append(b"250-STARTTLS")
        if self.offers_login:
            offered.append(b"250-AUTH PLAIN")
        return b"\r\n".join([*offered, b"250 8BITMIME", b""])


@asynccontextmanager
async def smtp_server(
    server: SmtpServer, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SmtpServer]:
    """Serve on loopback while the block runs; with `tls` encrypted from the first byte."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
