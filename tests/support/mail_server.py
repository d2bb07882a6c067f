"""A real SMTP server on this machine that keeps what it gets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.running import free_port


@dataclass
class MailServer:
    """Where it listens, and each mail with those it went to."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection, as JSON takes it."""
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.com"}
        return {"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra}

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(envelope.rcpt_tos)
        return "250 OK"


@contextmanager
def serving_mail() -> Iterator[MailServer]:
    """Serve on a free port of the loopback interface."""
    server = MailServer(free_port())
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
