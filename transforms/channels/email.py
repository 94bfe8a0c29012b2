"""Mail: composed by the standard library, handed over by SMTP on reused connections."""

import asyncio
import os
import re
import socket
from datetime import UTC, datetime, timedelta
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from transforms.campaigns.effects import Send
from transforms.channels.address import SmtpAddress, is_mailbox
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings
from transforms.messages.render import Rendered, RenderedMail

__all__ = ["Mail", "compose"]

CONNECT_SECONDS = 5.0
#: RFC 5321, 4.5.4.1 advises 30 minutes between tries; greylisting mostly ends after one.
REFUSED_SECONDS = 60.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINE_START_DOT = re.compile(rb"(?m)^\.")


class _Policy(policy.EmailPolicy):
    """SMTP's policy, 7 bit, which leaves the long URL of List-Unsubscribe whole.

    The standard library would fold it into encoded words (RFC 2047), which no receiver decodes there.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name.lower() == "list-unsubscribe":
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


_POLICY = _Policy(linesep="\r\n", cte_type="7bit")


def compose(send: Send, mail: RenderedMail, settings: MailSettings) -> EmailMessage | Outcome:
    """The MIME message of a send, the same at every try; or `failed` where an address must not be used.

    One-click unsubscribe (RFC 8058) is offered unless the send is transactional (has no topic).
    """
    if not is_mailbox(send.address):
        return Outcome.failed("bad_address", f"{send.address[:80]!r} is not a mailbox")
    message = EmailMessage(policy=_POLICY)
    try:
        message["From"] = mail.sender or settings.sender
        if mail.reply_to:
            message["Reply-To"] = mail.reply_to
        message["To"] = Address(addr_spec=send.address)
        message["Subject"] = mail.subject
    except ValueError as error:
        return Outcome.failed("rejected", f"header: {error}")
    senders = [address.addr_spec for address in message["From"].addresses]
    if len(senders) != 1 or not is_mailbox(senders[0]):
        return Outcome.failed("rejected", f"From is not one mailbox: {str(message['From'])[:80]!r}")
    message["Date"] = format_datetime(_EPOCH + timedelta(microseconds=send.decided_at))
    message["Message-ID"] = f"<{send.id}@{senders[0].rpartition('@')[2]}>"
    if send.topic is not None:
        message["List-Unsubscribe"] = f"<{settings.unsubscribe_url(send)}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
        message.set_boundary(f"={send.id}=")
    return message


class Mail:
    """The mail channel of one SMTP server, with at most `connections` at a time.

    User and password come from the address, else from `TODOKE_SMTP_USER` and `TODOKE_SMTP_PASSWORD`; they are sent
    under TLS only, except on this machine. Elsewhere STARTTLS is used wherever it is offered. `timeout` is in seconds,
    for connecting and for each reply.
    """

    def __init__(
        self, address: SmtpAddress, settings: MailSettings, *, timeout: float = 10.0, connections: int = 8
    ) -> None:
        self._address = address
        self._settings = settings
        self._timeout = timeout
        self._user = address.user or os.environ.get("TODOKE_SMTP_USER", "")
        self._password = address.password or os.environ.get("TODOKE_SMTP_PASSWORD", "")
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[SMTP] = []

    async def send(self, send: Send, rendered: Rendered) -> Outcome:
        """Hand one mail to the server."""
        if not isinstance(rendered, RenderedMail):
            raise TypeError(f"send {send.id}: a push cannot go out as mail")
        message = compose(send, rendered, self._settings)
        if isinstance(message, Outcome):
            return message
        async with self._slots:
            while True:
                reused = self._reuse()
                client = reused or await self._connect()
                if isinstance(client, Outcome):
                    return client
                outcome = await self._transact(client, message, send.address)
                if outcome.reason == "connect" and reused:
                    continue  # the server had closed a connection that was idle; nothing was written
                return outcome

    async def close(self) -> None:
        """Take leave of the server."""
        while client := self._reuse():
            try:
                await client.quit()
            except (SMTPException, OSError):
                client.close()  # it hung up first; there is nothing left to tell it

    def _reuse(self) -> SMTP | None:
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                return client
        return None

    async def _connect(self) -> SMTP | Outcome:
        start_tls = None  # where it is offered
        if self._address.tls or self._address.is_loopback:
            start_tls = False
        elif self._user:
            start_tls = True
        client = SMTP(
            hostname=self._address.host,
            port=self._address.port,
            username=self._user or None,
            password=self._password or None,
            use_tls=self._address.tls,
            start_tls=start_tls,
            timeout=self._timeout,
            local_hostname=socket.gethostname(),
        )
        try:
            await client.connect()
        except SMTPNotSupported as error:
            return Outcome.failed("auth", str(error))
        except SMTPResponseException as error:
            if error.code < 500:
                return Outcome.retry("unavailable", REFUSED_SECONDS, _said(error))
            return Outcome.failed("auth" if isinstance(error, SMTPAuthenticationError) else "rejected", _said(error))
        except (SMTPException, OSError) as error:
            return Outcome.retry("connect", CONNECT_SECONDS, str(error))
        return client

    async def _transact(self, client: SMTP, message: EmailMessage, recipient: str) -> Outcome:
        """One mail on one connection. Until the content is written nothing can have been sent."""
        content = message.as_bytes()
        written = False
        try:
            await client.mail(message["From"].addresses[0].addr_spec)
            await client.rcpt(recipient)
            reply = await client.execute_command(b"DATA")
            if reply.code == 354 and client.protocol is not None:
                # Not `client.data`: with it a connection lost before and after the content look the same.
                written = True
                client.protocol.write(_LINE_START_DOT.sub(b"..", content) + b".\r\n")
                reply = await client.protocol.read_response(timeout=self._timeout)
            if not written or reply.code // 100 != 2:
                raise SMTPResponseException(reply.code, reply.message)
        except SMTPResponseException as error:
            await self._reset(client)
            if written and not 400 <= error.code < 600:
                return Outcome.unknown("server_error", _said(error))
            return _refused(error)
        except (SMTPException, OSError) as error:
            client.close()
            if not written:
                return Outcome.retry("connect", CONNECT_SECONDS, str(error))
            return Outcome.unknown("timeout" if isinstance(error, SMTPTimeoutError) else "cut", str(error))
        self._idle.append(client)
        return Outcome.handed_off(str(message["Message-ID"]))

    async def _reset(self, client: SMTP) -> None:
        """Make the connection ready for the next mail, or give it up."""
        try:
            await client.rset()
        except (SMTPException, OSError):
            client.close()
        else:
            self._idle.append(client)


def _refused(error: SMTPResponseException) -> Outcome:
    if 400 <= error.code < 500:
        reason = "greylisted" if error.code in (450, 451) else "unavailable"
        return Outcome.retry(reason, REFUSED_SECONDS, _said(error))
    hard_bounce = isinstance(error, SMTPRecipientRefused)
    return Outcome.failed("bad_address" if hard_bounce else "rejected", _said(error))


def _said(error: SMTPResponseException) -> str:
    return f"{error.code} {error.message}"
