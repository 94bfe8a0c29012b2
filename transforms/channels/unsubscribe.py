"""Signed links with which a reader leaves a topic on a channel: one POST, no login (RFC 8058)."""

import base64
import binascii
import hashlib
import hmac

import msgspec

__all__ = ["Unsubscribe", "read_unsubscribe", "unsubscribe_url"]


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True):
    """What a link asks for: deny `topic` (`all`: every topic) on `channel` for `user`."""

    user: str
    topic: str
    channel: str


def unsubscribe_url(base: str, secret: str, user: str, topic: str, channel: str) -> str:
    """The link: `base` with a parameter `token` that names and signs (HMAC-SHA256) user, topic and channel."""
    content = _encode(msgspec.json.encode(Unsubscribe(user, topic, channel)))
    return f"{base}{'&' if '?' in base else '?'}token={content}.{_sign(content, secret)}"


def read_unsubscribe(token: str, secret: str) -> Unsubscribe:
    """What a token asks for.

    Raises:
      ValueError: it was not made by `unsubscribe_url` with this secret, or was changed.
    """
    content, _, signature = token.partition(".")
    # The text of the signature is compared, not its bytes: base64 can write the same bytes in more than one way.
    if not hmac.compare_digest(_sign(content, secret).encode(), signature.encode("utf-8", "surrogatepass")):
        raise ValueError("the unsubscribe token is not genuine")
    try:
        padded = content + "=" * (-len(content) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Unsubscribe)
    except (binascii.Error, msgspec.MsgspecError) as error:
        raise ValueError(f"the unsubscribe token cannot be read: {error}") from error


def _sign(content: str, secret: str) -> str:
    signed = hmac.digest(secret.encode(), content.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return _encode(signed)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
