"""What LINE messages are told at a launch: that they go out, and the token of the official account."""

import re
from collections.abc import Mapping, Sequence

from transforms.channels.address import Server, server_of
from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.channels.settings import check_links, header_secret
from transforms.events.plain import quoted, without_user
from transforms.messages.definitions import Message

__all__ = ["LINE_TOKEN", "SETTINGS", "parse_line"]

#: The channel access token.
LINE_TOKEN = "TODOKE_LINE_TOKEN"

_LINE = re.compile(r"line(@(?P<server>https?://.+))?")


def parse_line(url: str) -> Server:
    """Read `line`, which is LINE's own server, or, for a local server, `line@http://HOST:PORT`.

    Raises:
      ValueError: saying what is expected.
    """
    match = _LINE.fullmatch(url)
    if not match:
        raise ValueError(f"expected line or line@http://HOST:PORT; found {quoted(without_user(url))}")
    return server_of(match["server"], url) if match["server"] else Server("https://api.line.me")


def _check(told: Told, environment: Mapping[str, str]) -> None:
    server = read_flag("line", parse_line, told["line"][0])
    if not server.local and not environment.get(LINE_TOKEN):
        raise ValueError(f"--line: set {LINE_TOKEN} to the channel access token of the official account")


def _check_here(told: Told, environment: Mapping[str, str]) -> None:
    if not header_secret(environment, LINE_TOKEN) and not parse_line(told["line"][0]).local:
        raise ValueError(f"{LINE_TOKEN} is empty")


def _check_messages(told: Told, environment: Mapping[str, str], messages: Sequence[Message]) -> None:
    if not parse_line(told["line"][0]).local:
        check_links(messages, environment)


SETTINGS = ChannelSettings(
    flags=(Flag("line", "line, or line@http://HOST:PORT for a local server"),),
    secrets=(LINE_TOKEN,),
    check=_check,
    check_here=_check_here,
    check_messages=_check_messages,
)
