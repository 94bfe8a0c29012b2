"""Signed links with which a reader leaves a topic on a channel: one POST, no login (RFC 8058)."""

import hashlib
import hmac
from functools import lru_cache

import msgspec
from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

__all__ = ["Unsubscribe", "read_unsubscribe", "unsubscribe_url"]


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True):
    """What a link asks for: deny `topic` (`all`: every topic) on `channel` for `user`."""

    user: str
    topic: str
    channel: str


def unsubscribe_url(base: str, secret: str, user: str, topic: str, channel: str) -> str:
    """The link: `base` with a parameter `token` that names and signs (HMAC-SHA256) user, topic and channel."""
    content = base64_encode(msgspec.json.encode(Unsubscribe(user, topic, channel)))
    return f"{base}{'&' if '?' in base else '?'}token={_signer(secret).sign(content).decode()}"


def read_unsubscribe(token: str, secret: str) -> Unsubscribe:
    """What a token asks for.

    Raises:
      ValueError: it was not made by `unsubscribe_url` with this secret, or was changed.
    """
    content, _, _ = token.encode("utf-8", "surrogatepass").partition(b".")
    # The text of the signature is compared, not its bytes: base64 can write the same bytes in more than one way.
    if not hmac.compare_digest(_signer(secret).sign(content), token.encode("utf-8", "surrogatepass")):
        raise ValueError("the unsubscribe token is not genuine")
    try:
        return msgspec.json.decode(base64_decode(content), type=Unsubscribe)
    except (BadData, msgspec.MsgspecError) as error:
        raise ValueError(f"the unsubscribe token cannot be read: {error}") from error


@lru_cache(8)
def _signer(secret: str) -> Signer:
    """Signs with the secret itself, as links do that are in mailboxes."""
    return Signer(secret, key_derivation="none", digest_method=hashlib.sha256)
