"""Text messages of tests, handed to a local provider."""

import asyncio
from typing import Any

from channels.handing import hand_over

from transforms.channels.channel import Opening
from transforms.channels.outcome import Outcome
from transforms.channels.settings import MailSettings
from transforms.channels.sms.local_sms import LocalSms
from transforms.channels.sms.message import RenderedSms
from transforms.channels.sms.transport import TRANSPORT

__all__ = ["HELLO", "PHONE", "hand", "urls"]

PHONE = "+819012345678"
HELLO = RenderedSms("Hello 届け & co.")


def urls(server: LocalSms) -> dict[str, str]:
    """How a launch names the server, as Twilio and as a provider that takes JSON."""
    return {"twilio": f"twilio:AC7733@{server.url}", "json": f"{server.url}/messages"}


def hand(url: str, *sends: Any, rendered: Any = HELLO, **environment: str) -> list[Outcome]:
    """Hand a text message over for each send."""
    variables = {"TODOKE_SMS_TOKEN": "token-7734", "TODOKE_SMS_FROM": "Shop", **environment}

    async def run() -> list[Outcome]:
        sender = TRANSPORT.open(Opening({"sms": (url,)}, variables, MailSettings()))
        outcomes = [await hand_over(sender, send, rendered) for send in sends]
        await sender.close()
        return outcomes

    return asyncio.run(run())
