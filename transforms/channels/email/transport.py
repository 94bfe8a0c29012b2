"""Mail: composed in MIME, handed over by SMTP on reused connections."""

import asyncio
import base64
import os
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

import msgspec
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
from transforms.channels.channel import Opening, OutboxFile, Transport
from transforms.channels.email.message import RenderedMail
from transforms.channels.email.settings import SMTP_PASSWORD, SMTP_USER, SmtpAddress, parse_smtp
from transforms.channels.outcome import Outcome
from transforms.channels.references import REFERENCE, REFERENCE_HEADER
from transforms.channels.settings import MailSettings, secret_of
from transforms.events.plain import quoted
from transforms.identity.mailbox import named_mailbox, on_the_wire
from transforms.messages.render import Rendered, has_break

__all__ = ["TRANSPORT", "Composed", "Mail", "compose"]

CONNECT_SECONDS = 5.0
#: RFC 5321, 4.5.4.1 advises 30 minutes between tries; greylisting mostly ends after one.
REFUSED_SECONDS = 60.0
#: "Service not available, closing transmission channel".
CLOSING = 421

#: Of whose servers the header is read and taken out again that says what their events shall say of a mail.
_SENDGRID = ".sendgrid.net"
#: A line has 998 characters at most (RFC 5322, 2.1.1); a longer reference is left out.
_LONGEST_REFERENCE = 900

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LINE_START_DOT = re.compile(rb"(?m)^\.")

#: What a name may hold without quotes: atoms of RFC 5322, one blank between two.
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PRINTABLE = re.compile(r"[ -~]*")
#: A line should have 78 characters at most (RFC 5322, 2.1.1), so that an encoded word behind `Reply-To: ` has 42 bytes.
_LINE, _WORD_BYTES = 78 - len("Reply-To: "), 42


class _AsWritten:
    """Takes the headers of bodies as the standard library writes them, which would parse each: ten times the work."""

    max_count = None

    def __call__(self, _name: str, value: str) -> str:
        return value

    def __getitem__(self, _name: str) -> "_AsWritten":
        return self


_BODIES = policy.SMTP.clone(cte_type="7bit", header_factory=_AsWritten(), refold_source="none")


class Composed(msgspec.Struct, frozen=True):
    """A mail as SMTP takes it: the mailboxes of its envelope, and all of its content, each line ended by CRLF."""

    sender: str
    recipient: str
    message_id: str
    content: bytes


def compose(send: Send, mail: RenderedMail, settings: MailSettings, host: str = "") -> Composed | Outcome:
    """The mail of a send, the same at every try; or `failed` where an address must not be used.

    What a header holds is text, whatever it looks like: the header is written here and never parsed, since the standard
    library decodes encoded words in what it is given, with their line breaks, and raises on names that are no phrases.
    One-click unsubscribe (RFC 8058) is offered unless the send is transactional (has no topic). What leads back to the
    send stands where the events of the server `host` say it again.
    """
    recipient = on_the_wire(send.address)
    if recipient is None:
        return Outcome.failed("bad_address", f"{quoted(send.address)} is not a mailbox")
    written = mail.sender or settings.sender
    if any(has_break(text) for text in (written, mail.reply_to or "", mail.subject)):
        return Outcome.failed("rejected", "header: a line break or control character")
    sender = named_mailbox(written)
    if sender is None:
        return Outcome.failed("rejected", f"From is not one mailbox: {quoted(written)}")
    headers = {"From": _address(*sender)}
    if mail.reply_to is not None:
        reply_to = named_mailbox(mail.reply_to)
        if reply_to is None:
            return Outcome.failed("rejected", f"Reply-To is not one mailbox: {quoted(mail.reply_to)}")
        headers["Reply-To"] = _address(*reply_to)
    headers |= {
        "To": recipient,
        "Subject": mail.subject if _is_plain(mail.subject) else _encoded(mail.subject),
        "Date": format_datetime(_EPOCH + timedelta(microseconds=send.decided_at)),
        "Message-ID": f"<{send.id}@{sender[1].rpartition('@')[2]}>",
    }
    if send.topic is not None:
        headers["List-Unsubscribe"] = f"<{settings.unsubscribe_url(send)}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    headers |= _referring(settings.reference_to(send), host)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return Composed(sender[1], recipient, headers["Message-ID"], head.encode("ascii") + _body(send, mail))


def _referring(reference: str, host: str) -> dict[str, str]:
    """The header with what leads back to a send. SES says all headers again, SendGrid its arguments alone:
    https://www.twilio.com/docs/sendgrid/for-developers/sending-email/unique-arguments
    """
    if not 0 < len(reference) <= _LONGEST_REFERENCE:
        return {}
    if f".{host}".endswith(_SENDGRID):
        return {"X-SMTPAPI": f'{{"unique_args": {{"{REFERENCE}":\r\n "{reference}"}}}}'}
    return {REFERENCE_HEADER: reference}


def _body(send: Send, mail: RenderedMail) -> bytes:
    """The content with the headers that say how it is written."""
    message = EmailMessage(policy=_BODIES)
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
        boundary, number = f"={send.id}=", 0
        while boundary in mail.text or boundary in mail.html:  # whoever writes an event may know the ids of its sends
            boundary, number = f"={send.id}={number}=", number + 1
        message.set_boundary(boundary)
    return message.as_bytes()


def _address(name: str, mailbox: str) -> str:
    if not name:
        return mailbox
    if not _is_plain(name):
        one_line = f"{_encoded(name)} <{mailbox}>"
        return one_line if len(one_line) <= _LINE else f"{_encoded(name)}\r\n <{mailbox}>"
    if not _PHRASE.fullmatch(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{mailbox}>"


def _is_plain(text: str) -> bool:
    """Whether a text can stand in a header as it is: nothing in it could be taken for an encoded word."""
    return _PRINTABLE.fullmatch(text) is not None and "=?" not in text and len(text) <= _LINE


def _encoded(text: str) -> str:
    """Encoded words (RFC 2047), each of whole characters. Readers drop what stands between two of them."""
    words, word = [], b""
    for character in text:
        written = character.encode("utf-8", "replace")
        if len(word) + len(written) > _WORD_BYTES:
            words.append(word)
            word = b""
        word += written
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in (*words, word))


class Mail:
    """The mail channel of one SMTP server, with at most `connections` at a time.

    User and password come from the address, else from `TODOKE_SMTP_USER` and `TODOKE_SMTP_PASSWORD`; they are sent
    under TLS only, except on this machine. Elsewhere STARTTLS is used wherever it is offered. `timeout` is in seconds,
    for connecting and for each reply.
    """

    def __init__(
        self,
        address: SmtpAddress,
        settings: MailSettings,
        environment: Mapping[str, str] = os.environ,
        *,
        timeout: float = 10.0,
        connections: int = 8,
    ) -> None:
        self._address = address
        self._settings = settings
        self._timeout = timeout
        self._user = address.user or environment.get(SMTP_USER, "")
        self._password = address.password or secret_of(environment, SMTP_PASSWORD)
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[SMTP] = []

    def make(self, send: Send, rendered: Rendered) -> Composed | Outcome:
        """The mail of a send; `failed` where an address must not be used."""
        if not isinstance(rendered, RenderedMail):
            raise TypeError(f"send {send.id}: a push cannot go out as mail")
        return compose(send, rendered, self._settings, self._address.host)

    async def send(self, send: Send, made: Composed) -> Outcome:  # noqa: ARG002
        """Hand one mail to the server."""
        async with self._slots:
            while True:
                reused = self._reuse()
                client = reused or await self._connect()
                if isinstance(client, Outcome):
                    return client
                outcome = await self._transact(client, made)
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
            if error.code < 500 and isinstance(error, SMTPAuthenticationError):  # it cannot ask who we are (454)
                return Outcome.retry("connect", REFUSED_SECONDS, f"credentials: {_reply_text(error)}")
            if error.code < 500:
                return Outcome.retry("unavailable", REFUSED_SECONDS, _reply_text(error))
            return Outcome.failed(
                "auth" if isinstance(error, SMTPAuthenticationError) else "rejected", _reply_text(error)
            )
        except (SMTPException, OSError) as error:
            return Outcome.retry("connect", CONNECT_SECONDS, str(error))
        return client

    async def _transact(self, client: SMTP, mail: Composed) -> Outcome:
        """One mail on one connection. Until the content is written nothing can have been sent."""
        written = False
        try:
            await client.mail(mail.sender)
            await client.rcpt(mail.recipient)
            reply = await client.execute_command(b"DATA")
            if reply.code == 354 and client.protocol is not None:
                # Not `client.data`: with it a connection lost before and after the content look the same.
                written = True
                client.protocol.write(_LINE_START_DOT.sub(b"..", mail.content) + b".\r\n")
                reply = await client.protocol.read_response(timeout=self._timeout)
            if not written or reply.code // 100 != 2:
                raise SMTPResponseException(reply.code, reply.message)
        except SMTPResponseException as error:
            if error.code == CLOSING and not written:
                # The end of the connection (RFC 5321, 3.8), said before it was asked: idle ones are closed so.
                client.close()
                return Outcome.retry("connect", CONNECT_SECONDS, _reply_text(error))
            await self._reset(client)
            if written and not 400 <= error.code < 600:
                return Outcome.unknown("server_error", _reply_text(error))
            return _refused(error)
        except (SMTPException, OSError) as error:
            client.close()
            if not written:
                return Outcome.retry("connect", CONNECT_SECONDS, str(error))
            return Outcome.unknown("timeout" if isinstance(error, SMTPTimeoutError) else "cut", str(error))
        except BaseException:
            client.close()  # nobody knows what it waits for
            raise
        self._idle.append(client)
        return Outcome.handed_off(mail.message_id)

    async def _reset(self, client: SMTP) -> None:
        """Make the connection ready for the next mail, or give it up."""
        try:
            await client.rset()
        except (SMTPException, OSError):
            client.close()
        else:
            self._idle.append(client)


def _open(opening: Opening) -> Mail:
    return Mail(parse_smtp(opening.told["email"][0]), opening.settings, opening.environment)


def _show(send: Send, mail: RenderedMail, settings: MailSettings) -> OutboxFile | Outcome:
    made = compose(send, mail, settings)
    return made if isinstance(made, Outcome) else OutboxFile("mail", ".eml", made.content)


TRANSPORT = Transport(_open, _show, in_turn=True)


def _refused(error: SMTPResponseException) -> Outcome:
    if 400 <= error.code < 500:
        reason = "greylisted" if error.code in (450, 451) else "unavailable"
        return Outcome.retry(reason, REFUSED_SECONDS, _reply_text(error))
    hard_bounce = isinstance(error, SMTPRecipientRefused)
    return Outcome.failed("bad_address" if hard_bounce else "rejected", _reply_text(error))


def _reply_text(error: SMTPResponseException) -> str:
    return f"{error.code} {error.message}"
