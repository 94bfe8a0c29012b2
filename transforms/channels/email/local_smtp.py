"""A local mail server that keeps what it gets, and fails on demand. For the demo and the tests."""

import asyncio
from collections import Counter

import msgspec
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from transforms.channels.script import Script

__all__ = ["LocalSmtp", "ReceivedMail"]


class ReceivedMail(msgspec.Struct, frozen=True):
    """One accepted mail: the envelope, and the content as it was sent (CRLF)."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


class LocalSmtp:
    """An SMTP server on 127.0.0.1 in a thread of its own.

    The recipient's first word decides (`script.Script`): `bounce-` is refused with 550 and `grey-` with 451 at RCPT,
    `reject-` with 554 after the content; `cutdata-` loses the connection at DATA, before any content, and `cutafter-`
    after the content was accepted. Every other recipient is accepted.

    Attributes:
      received: the accepted mails.
      tried: how often each recipient was named.
      connections: how many connections were made.
    """

    def __init__(self) -> None:
        self.received: list[ReceivedMail] = []
        self.tried: Counter[str] = Counter()
        self.connections = 0
        self.script = Script(["bounce", "grey", "reject", "cutdata", "cutafter"])
        self._controller: _Controller | None = None

    @classmethod
    def start(cls, port: int = 0) -> "LocalSmtp":
        """Start a server; port 0 takes a free one (see `url`)."""
        server = cls()
        server._controller = _Controller(server, port)
        server._controller.start()
        server.connections = 0  # the controller has tried the port
        return server

    @property
    def url(self) -> str:
        """`smtp://HOST:PORT`."""
        if self._controller is None:
            raise RuntimeError("the server is not started")
        return f"smtp://127.0.0.1:{self._controller.port}"

    def hang_up(self) -> None:
        """Close every open connection, as servers do with idle ones."""
        if self._controller is not None:
            asyncio.run_coroutine_threadsafe(self._controller.hang_up(), self._controller.loop).result(timeout=10)

    def stop(self) -> None:
        """Stop serving."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Called by aiosmtpd for each recipient."""
        self.tried[address] += 1
        word = self.script.next(address)
        if word == "bounce":
            return "550 5.1.1 no such user"
        if word == "grey":
            return "451 4.7.1 greylisted, try again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.append(word)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Called by aiosmtpd with the content."""
        if "reject" in envelope.rcpt_options:
            return "554 5.7.1 rejected"
        content = envelope.original_content or b""
        self.received.append(ReceivedMail(envelope.mail_from or "", tuple(envelope.rcpt_tos), content))
        if "cutafter" in envelope.rcpt_options:
            _hang_up(server)
        return "250 OK"


class _Server(SMTP):
    """Hangs up at DATA where the script says so: aiosmtpd has no hook before the content."""

    async def smtp_DATA(self, arg: str) -> None:
        """Take the content, or hang up."""
        if self.envelope is not None and "cutdata" in self.envelope.rcpt_options:
            _hang_up(self)
            return
        await super().smtp_DATA(arg)


def _hang_up(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.Transport):
        server.transport.abort()


class _Controller(Controller):
    """Takes port 0 too, which aiosmtpd's own would then try to connect to."""

    def __init__(self, local: LocalSmtp, port: int) -> None:
        super().__init__(local, hostname="127.0.0.1", port=port)
        self._local = local
        self._servers: list[SMTP] = []

    def factory(self) -> SMTP:
        """A server for one connection."""
        self._local.connections += 1
        self._servers.append(_Server(self.handler, hostname="localhost"))
        return self._servers[-1]

    async def hang_up(self) -> None:
        """Close every open connection."""
        while self._servers:
            _hang_up(self._servers.pop())

    def _trigger_server(self) -> None:
        if isinstance(self.server, asyncio.Server):
            self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]
