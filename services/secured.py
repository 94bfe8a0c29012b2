"""What every answer of a service has, whatever made it, and what its log never has.

A page, an API, a refusal and a fault have the same headers. A fault that nobody foresaw is logged by its kind and where
it was, and not by its text, which may have what somebody sent.
"""

import logging
import traceback

from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

__all__ = ["SecuredApp"]

#: What an answer has that says nothing else itself. It is what its type says; it loads and runs nothing, stands in no
#: frame, and sends no form; nobody on the way keeps it; where its links lead, nobody hears of it.
_ALWAYS = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
#: Only where TLS is: it must not be said over anything else (RFC 6797, section 7.2). In seconds, a year. Other names of
#: the domain are their owner's business.
_BY_TLS = (*_ALWAYS, (b"strict-transport-security", b"max-age=31536000"))


_log = logging.getLogger(__name__)


class SecuredApp(Starlette):
    """An application of Starlette whose answers have these headers. What its endpoints raise ends here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = message.get("headers", ())
                names = {name.lower() for name, _ in said}
                wanted = _BY_TLS if _came_by_tls(scope) else _ALWAYS
                message["headers"] = [*said, *(each for each in wanted if each[0] not in names)]
            await send(message)

        try:
            await super().__call__(scope, receive, secured)
        except Exception as error:  # noqa: BLE001 - it is answered with 500 already, and the server would log its text
            where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            _log.error("a request failed: %s\n%s", type(error).__name__, where)


def _came_by_tls(scope: Scope) -> bool:
    """Whether the client spoke TLS with us, or with the proxy that says so."""
    return scope["scheme"] == "https" or (b"x-forwarded-proto", b"https") in scope["headers"]
