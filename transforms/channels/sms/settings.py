"""What text messages are told at a launch: the provider, its token, and from whom they are."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from transforms.channels.address import Server, is_local, port_of, server_of
from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.channels.settings import check_links, header_secret
from transforms.events.plain import quoted, without_user
from transforms.messages.definitions import Message

__all__ = ["SETTINGS", "SMS_FROM", "SMS_TOKEN", "SmsAddress", "parse_sms"]

#: The auth token of Twilio's account, or the bearer token of another provider; and who text messages are from.
SMS_TOKEN, SMS_FROM = "TODOKE_SMS_TOKEN", "TODOKE_SMS_FROM"

_TWILIO = re.compile(r"twilio:(?P<account>AC[0-9A-Za-z]+)(@(?P<server>https?://.+))?")
_EXPECTED = "expected twilio:ACCOUNT, twilio:ACCOUNT@http://HOST:PORT, or https://HOST/PATH"


class SmsAddress(msgspec.Struct, frozen=True):
    """Where text messages are posted: for Twilio's `account`, or, where it is empty, as JSON. A `local` server asks for
    no token.
    """

    url: str
    account: str = ""
    local: bool = False


def parse_sms(url: str) -> SmsAddress:
    """Read `twilio:ACCOUNT`, for a local server `twilio:ACCOUNT@http://HOST:PORT`, or the URL of another provider.

    Raises:
      ValueError: saying what is expected.
    """
    if match := _TWILIO.fullmatch(url):
        server = server_of(match["server"], url) if match["server"] else Server("https://api.twilio.com")
        path = f"/2010-04-01/Accounts/{match['account']}/Messages.json"
        return SmsAddress(server.url + path, match["account"], local=server.local)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{_EXPECTED}; found {quoted(without_user(url))}")
    if parts.username is not None or parts.fragment:
        raise ValueError(
            f"{_EXPECTED}, without a user: what it asks for is in {SMS_TOKEN}; found {quoted(without_user(url))}"
        )
    if parts.port is not None:
        port_of(parts, url)
    return SmsAddress(url, local=is_local(parts, url))


def _check(told: Told, environment: Mapping[str, str]) -> None:
    from transforms.channels.sms.message import is_sender  # noqa: PLC0415 - only for a launch with text messages

    address = read_flag("sms", parse_sms, told["sms"][0])
    if not address.local and not environment.get(SMS_TOKEN):
        whose = "the auth token of the account" if address.account else "the bearer token of the provider"
        raise ValueError(f"--sms: set {SMS_TOKEN} to {whose}")
    sender = environment.get(SMS_FROM, "")
    if sender and not is_sender(sender):
        raise ValueError(f"{SMS_FROM} must be a number such as +819012345678, or a name; found {quoted(sender)}")


def _check_messages(told: Told, environment: Mapping[str, str], messages: Sequence[Message]) -> None:
    address = parse_sms(told["sms"][0])
    if not address.local:
        check_links(messages, environment)
    for message in messages:
        if address.account and not environment.get(SMS_FROM) and getattr(message, "sender", None) is None:
            raise ValueError(
                f"set {SMS_FROM}, or give message `{message.id}` a `from`: Twilio takes no message from nobody"
            )


def _check_here(told: Told, environment: Mapping[str, str]) -> None:
    if not header_secret(environment, SMS_TOKEN) and not parse_sms(told["sms"][0]).local:
        raise ValueError(f"{SMS_TOKEN} is empty")


SETTINGS = ChannelSettings(
    flags=(
        Flag(
            "sms",
            "twilio:ACCOUNT, twilio:ACCOUNT@http://HOST:PORT for a local server, or https://HOST/PATH of a provider "
            "that takes JSON",
        ),
    ),
    variables=(SMS_FROM,),
    secrets=(SMS_TOKEN,),
    receipts={"bad_address": "bounced", "unsubscribed": "unsubscribed"},
    check=_check,
    check_messages=_check_messages,
    check_here=_check_here,
)
