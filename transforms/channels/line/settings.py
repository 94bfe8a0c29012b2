"""What LINE messages are told at a launch: that they go out, and the token of the official account."""

import re
from collections.abc import Mapping

import msgspec

from transforms.channels.address import local_server
from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.channels.settings import header_secret
from transforms.events.plain import quoted, without_user

__all__ = ["LINE_TOKEN", "SETTINGS", "LineAddress", "parse_line"]

#: The channel access token.
LINE_TOKEN = "TODOKE_LINE_TOKEN"

_LINE = re.compile(r"line(@(?P<server>https?://.+))?")


class LineAddress(msgspec.Struct, frozen=True):
    """The server of LINE's Messaging API; a `local` one asks for no token."""

    server: str = "https://api.line.me"
    local: bool = False


def parse_line(url: str) -> LineAddress:
    """Read `line` or, for a local server, `line@http://HOST:PORT`.

    Raises:
      ValueError: saying what is expected.
    """
    match = _LINE.fullmatch(url)
    if not match:
        raise ValueError(f"expected line or line@http://HOST:PORT; found {quoted(without_user(url))}")
    return LineAddress() if match["server"] is None else LineAddress(local_server(match["server"], url), local=True)


def _check(told: Told, environment: Mapping[str, str]) -> None:
    server = read_flag("line", parse_line, told["line"][0])
    if not server.local and not environment.get(LINE_TOKEN):
        raise ValueError(f"--line: set {LINE_TOKEN} to the channel access token of the official account")


def _check_here(told: Told, environment: Mapping[str, str]) -> None:
    if not header_secret(environment, LINE_TOKEN) and not parse_line(told["line"][0]).local:
        raise ValueError(f"{LINE_TOKEN} is empty")


SETTINGS = ChannelSettings(
    flags=(Flag("line", "line, or line@http://HOST:PORT for a local server"),),
    secrets=(LINE_TOKEN,),
    check=_check,
    check_here=_check_here,
)
