"""Alerts by e-mail, at a real SMTP server."""

import asyncio
import ssl

import pytest

from ccproxy.alerts.channel import NotDelivered
from ccproxy.alerts.mail import Email, MailServer, Tls
from ccproxy.alerts.message import Message
from routing.alerts import AlertKind, Phase
from tests.support.certificates import self_signed_certificate
from tests.support.smtp_server import DRIP, SmtpServer, smtp_server

MESSAGE = Message(
    AlertKind.DISK_LOW, "/var", Phase.OVER, "12 GiB are frei\r\nBcc: all@x — ü", "h1", 100.0, 40.0
)


@pytest.fixture
def certificate(tmp_path):
    return self_signed_certificate(tmp_path, "localhost")


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def email(port, tls=Tls.NONE, *, login=False, host="127.0.0.1", timeout_s=5.0):
    user, password = ("ops", "pa55word") if login else (None, None)
    server = MailServer(host, port, tls, user, password)
    return Email(
        "email", server, "ccproxy@example.com", ("a@example.com", "b@example.com"), timeout_s
    )


async def test_a_mail():
    """To everybody, from the sender, subject in one line, marked as nobody's own words."""
    async with smtp_server(SmtpServer()) as server:
        await email(server.port).send(MESSAGE)

    (mail,) = server.mails
    assert mail["Subject"] == "[over] ccproxy on h1: 12 GiB are frei Bcc: all@x — ü"
    assert (mail["From"], mail["To"]) == ("ccproxy@example.com", "a@example.com, b@example.com")
    assert mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    assert str(mail["Date"]) == "Thu, 01 Jan 1970 00:01:40 +0000"
    assert mail["Message-ID"].endswith("@example.com>")
    assert "since: 1970-01-01T00:00:40Z" in mail.get_content()
    assert server.commands.count("RCPT") == 2


async def test_taken_is_taken():
    """How a server says goodbye does not matter: the mail is not sent a second time."""
    async with smtp_server(SmtpServer(answers={"QUIT": "500 what"})) as server:
        await email(server.port).send(MESSAGE)
    assert len(server.mails) == 1


@pytest.mark.parametrize("way", [Tls.STARTTLS, Tls.TLS])
async def test_encrypted_with_a_login(way, tls, certificate, monkeypatch):
    """The password goes out encrypted only, to a server whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    starttls = tls if way is Tls.STARTTLS else None
    async with smtp_server(SmtpServer(starttls), tls=tls if way is Tls.TLS else None) as server:
        await email(server.port, way, login=True, host="localhost").send(MESSAGE)

    assert server.logins == [("ops", "pa55word")]
    assert "tls:AUTH" in server.commands
    assert "AUTH" not in server.commands
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("answers", "why", "is_final"),
    [
        ({"AUTH": "535 no"}, "refuses username or password", True),
        ({"RCPT": "550 nobody"}, "refuses every recipient", True),
        ({"MAIL": "451 try later"}, "answered 451: try later", False),
        ({"MAIL": "550 not pa55word"}, "answered 550", True),
        ({"DATA": "554 spam"}, "answered 554: spam", True),
    ],
)
async def test_refusals(answers, why, is_final):
    """What the server says decides whether it is tried again; the password is never shown."""
    async with smtp_server(SmtpServer(answers=answers)) as server:
        with pytest.raises(NotDelivered) as caught:
            await email(server.port, login=True).send(MESSAGE)

    assert str(caught.value) == f"127.0.0.1 {why}"
    assert caught.value.is_final is is_final
    assert server.mails == []


async def test_without_starttls_nothing_is_sent():
    """A server that does not offer it gets neither the password nor the mail."""
    async with smtp_server(SmtpServer()) as server:
        with pytest.raises(NotDelivered, match="does not offer") as caught:
            await email(server.port, Tls.STARTTLS, login=True).send(MESSAGE)

    assert caught.value.is_final
    assert (server.logins, server.mails) == ([], [])


async def test_a_certificate_of_nobody_is_refused(tls):
    """Neither the password nor the mail goes to a server that nobody vouches for."""
    async with smtp_server(SmtpServer(tls)) as server:
        with pytest.raises(NotDelivered, match="certificate of localhost is not trusted"):
            await email(server.port, Tls.STARTTLS, login=True, host="localhost").send(MESSAGE)

    assert (server.logins, server.mails) == ([], [])


async def test_what_smtp_cannot_carry():
    """A password beyond ASCII is said to be the trouble, and not tried again."""
    async with smtp_server(SmtpServer()) as server:
        account = MailServer("127.0.0.1", server.port, Tls.NONE, "ops", "pässword")
        channel = Email("email", account, "a@example.com", ("b@example.com",), 5.0)
        with pytest.raises(NotDelivered, match="beyond ASCII") as caught:
            await channel.send(MESSAGE)
    assert caught.value.is_final


async def test_nobody_there():
    """A refused connection may be tried again."""
    async with smtp_server(SmtpServer()) as server:
        port = server.port
    with pytest.raises(NotDelivered, match=r"no connection to .*: Connection refused") as caught:
        await email(port).send(MESSAGE)
    assert not caught.value.is_final


@pytest.mark.parametrize("answer", ["", DRIP])
async def test_a_server_that_hangs_is_left(answer):
    """In time, also one that goes on byte by byte; its connection is closed, so no thread stays."""
    async with smtp_server(SmtpServer(answers={"MAIL": answer})) as server:
        with pytest.raises(NotDelivered, match="was not done in"):
            await email(server.port, timeout_s=0.3).send(MESSAGE)
        async with asyncio.timeout(5):
            await server.left.wait()
