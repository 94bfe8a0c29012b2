"""What text messages are told at a launch: the provider, its token, and from whom they are."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from transforms.channels.address import local_server, port_of
from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.channels.settings import header_secret
from transforms.events.plain import quoted, without_user

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
        server = local_server(match["server"], url) if match["server"] else "https://api.twilio.com"
        path = f"/2010-04-01/Accounts/{match['account']}/Messages.json"
        return SmsAddress(server + path, match["account"], local=_is_local(server, url))
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{_EXPECTED}; found {quoted(without_user(url))}")
    if parts.username is not None or parts.fragment:
        raise ValueError(
            f"{_EXPECTED}, without a user: what it asks for is in {SMS_TOKEN}; found {quoted(without_user(url))}"
        )
    if parts.port is not None:
        port_of(parts, url)
    return SmsAddress(url, local=_is_local(url, url))


def _is_local(server: str, url: str) -> bool:
    """Whether a server is on this machine; `url`, which mistakes show, names it.

    Raises:
      ValueError: it is not, and what it is told could be read on the way.
    """
    parts = urlsplit(server)
    local = _is_loopback(parts.hostname or "")
    if parts.scheme == "http" and not local:
        raise ValueError(f"over http:// all could read {SMS_TOKEN}: {quoted(without_user(url))} must be https://")
    return local


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check(told: Told, environment: Mapping[str, str]) -> None:
    from transforms.channels.sms.message import is_sender  # noqa: PLC0415 - only for a launch with text messages

    address = read_flag("sms", parse_sms, told["sms"][0])
    if not address.local and not environment.get(SMS_TOKEN):
        whose = "the auth token of the account" if address.account else "the bearer token of the provider"
        raise ValueError(f"--sms: set {SMS_TOKEN} to {whose}")
    sender = environment.get(SMS_FROM, "")
    if sender and not is_sender(sender):
        raise ValueError(f"{SMS_FROM} must be a number such as +819012345678, or a name; found {quoted(sender)}")


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
    check_here=_check_here,
)
