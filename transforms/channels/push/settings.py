"""What pushes are told at a launch: a Firebase project."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from transforms.channels.address import Server, server_of
from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.channels.settings import check_links
from transforms.events.plain import quoted, without_user
from transforms.messages.definitions import Message

__all__ = ["SETTINGS", "FcmAddress", "parse_fcm"]

_FCM = re.compile(r"fcm:(?P<project>[a-z][a-z0-9-]{2,62})(@(?P<server>https?://.+))?")


_GOOGLE = Server("https://fcm.googleapis.com")


class FcmAddress(msgspec.Struct, frozen=True):
    """A Firebase project and its server."""

    project: str
    server: Server = _GOOGLE


def parse_fcm(url: str) -> FcmAddress:
    """Read `fcm:PROJECT` or, for a local server, `fcm:PROJECT@http://HOST:PORT`.

    Raises:
      ValueError: saying what is expected.
    """
    match = _FCM.fullmatch(url)
    if not match:
        raise ValueError(f"expected fcm:PROJECT or fcm:PROJECT@http://HOST:PORT; found {quoted(without_user(url))}")
    return FcmAddress(match["project"], server_of(match["server"], url) if match["server"] else _GOOGLE)


def _check(told: Told, _environment: Mapping[str, str]) -> None:
    read_flag("push", parse_fcm, told["push"][0])


def _check_messages(told: Told, environment: Mapping[str, str], messages: Sequence[Message]) -> None:
    if not parse_fcm(*told["push"]).server.local:
        check_links(messages, environment)


def _check_access(told: Told, _environment: Mapping[str, str]) -> None:
    if parse_fcm(*told["push"]).server.local:
        return
    import google.auth  # noqa: PLC0415 - only for a launch with real pushes

    from transforms.account import UNREADABLE, auth_fault  # noqa: PLC0415

    try:
        google.auth.default()
    except UNREADABLE as error:
        raise ValueError(f"--push: no credentials for FCM: {auth_fault(error)}") from error


SETTINGS = ChannelSettings(
    flags=(Flag("push", "fcm:PROJECT, or fcm:PROJECT@http://HOST:PORT for a local server"),),
    receipts={"dead_token": "dead_token"},
    check=_check,
    check_messages=_check_messages,
    check_access=_check_access,
)
