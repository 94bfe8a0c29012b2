"""What pages are told at a launch: the gateway, and its key."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from transforms.channels.address import is_local
from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.events.plain import quoted

__all__ = ["PAGER_KEY", "SETTINGS", "parse_gateway"]

#: What the gateway asks for.
PAGER_KEY = "TODOKE_PAGER_KEY"


def parse_gateway(url: str) -> str:
    """Read `https://HOST/PATH`, or `http://…` of this machine.

    Raises:
      ValueError: saying what is expected.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"expected https://HOST/PATH; found {quoted(url)}")
    is_local(parts, url)  # over http:// elsewhere all could read the key
    return url


def _check(told: Told, environment: Mapping[str, str]) -> None:
    read_flag("pager", parse_gateway, told["pager"][0])
    if not environment.get(PAGER_KEY):
        raise ValueError(f"--pager: set {PAGER_KEY} to the key of the gateway")


SETTINGS = ChannelSettings(
    flags=(Flag("pager", "https://HOST/PATH of the gateway of pagers"),),
    secrets=(PAGER_KEY,),
    check=_check,
)
