"""Signed tokens: what a link or a customer's server says that nobody else may say.

A token is `KEY.CONTENT.MAC`: the id of the key; MessagePack in base64url, a list with the time when it ends
(microseconds since the epoch, UTC; 0: never) and what it says; and HMAC-SHA256 over purpose, key id and content, of
which the first 16 bytes count (RFC 2104, section 5). Whoever holds a token can read it. A token of one purpose is none
of another.

What others shall carry and not read is sealed: `KEY.SEALED`, the content enciphered by AES-SIV (RFC 5297), which needs
no nonce, so that a message is the same at each try.
"""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from transforms.events.plain import quoted

__all__ = ["LONGEST", "SHORTEST_SECRET", "SIGNING_KEYS", "BadToken", "SigningKeys", "read_signing_keys"]

#: The variable that holds the keys: `id=secret,id=secret`.
SIGNING_KEYS = "TODOKE_SIGNING_KEYS"
#: A secret has so many characters at least: `openssl rand -hex 32` makes 64.
SHORTEST_SECRET = 32
#: No token is longer, in characters.
LONGEST = 8_000

_MAC_BYTES = 16
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,16}")

_T = TypeVar("_T")
_encode = msgspec.msgpack.Encoder().encode


class BadToken(ValueError):
    """A token that was not made with these keys for this purpose, was changed, or has ended. It is not shown."""


class SigningKeys:
    """Keys by their ids. The first signs; all of them verify, so that a new one can take its turn.

    Raises:
      ValueError: there is none, an id is none, or a secret is too short. The text shows no secret.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        if not secrets:
            raise ValueError("at least one key is needed")
        for name, secret in secrets.items():
            if not _KEY_ID.fullmatch(name):
                raise ValueError(f"{quoted(name)} is no key id: letters, digits, _ and -, 16 at most")
            if len(secret) < SHORTEST_SECRET:
                raise ValueError(f"the key {name} has fewer than {SHORTEST_SECRET} characters")
        self._secrets = {name: secret.encode() for name, secret in secrets.items()}
        self._first = next(iter(self._secrets))

    def __repr__(self) -> str:
        return f"SigningKeys({', '.join(self._secrets)})"

    def sign(self, purpose: str, said: Any, *, ends: int = 0) -> str:
        """A token that says something, whatever msgspec can encode; the same each time.

        Args:
          purpose: a word; only `read` with the same takes the token.
          said: what it says.
          ends: when it is no longer taken, in microseconds since the epoch; 0: never.
        """
        content = urlsafe_b64encode(_encode((ends, said))).rstrip(b"=").decode()
        return f"{self._first}.{content}.{self._mac(purpose, self._first, content)}"

    def read(self, purpose: str, token: str, kind: type[_T], *, now: int = 0) -> _T:
        """What a token says, at a time in microseconds.

        Raises:
          BadToken: it is not genuine, says something else, or has ended.
        """
        name, _, rest = token.partition(".")
        content, _, mac = rest.partition(".")
        if len(token) > LONGEST or not token.isascii() or name not in self._secrets:
            raise BadToken("the token is not genuine")
        # The text is compared, not the bytes: base64 can write the same bytes in more than one way.
        if not hmac.compare_digest(mac, self._mac(purpose, name, content)):
            raise BadToken("the token is not genuine")
        try:
            whole = urlsafe_b64decode(content + "=" * (-len(content) % 4))
            ends, said = msgspec.msgpack.decode(whole, type=tuple[int, kind])  # type: ignore[valid-type]
        except ValueError as error:
            raise BadToken("the token says something else") from error
        if ends and now >= ends:
            raise BadToken("the token has ended")
        return said

    def seal(self, purpose: str, said: Any) -> str:
        """A token that only `unseal` reads, with one of these keys and the same purpose; the same each time."""
        sealed = self._cipher(purpose, self._first).encrypt(_encode(said), None)
        return f"{self._first}.{urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def unseal(self, purpose: str, token: str, kind: type[_T]) -> _T:
        """What a sealed token says.

        Raises:
          BadToken: it is not genuine, or says something else.
        """
        name, _, content = token.partition(".")
        if len(token) > LONGEST or not token.isascii() or name not in self._secrets:
            raise BadToken("the token is not genuine")
        try:
            sealed = urlsafe_b64decode(content + "=" * (-len(content) % 4))
            said = self._cipher(purpose, name).decrypt(sealed, None)
        except (ValueError, InvalidTag):
            raise BadToken("the token is not genuine") from None
        if urlsafe_b64encode(sealed).rstrip(b"=").decode() != content:  # base64 has other ways to write the same bytes
            raise BadToken("the token is not genuine")
        try:
            return msgspec.msgpack.decode(said, type=kind)
        except ValueError as error:
            raise BadToken("the token says something else") from error

    def _cipher(self, purpose: str, name: str) -> AESSIV:
        return AESSIV(hmac.digest(self._secrets[name], f"todoke seal\0{purpose}\0{name}".encode(), "sha512"))

    def _mac(self, purpose: str, name: str, content: str) -> str:
        signed = hmac.digest(self._secrets[name], f"todoke\0{purpose}\0{name}\0{content}".encode(), "sha256")
        return urlsafe_b64encode(signed[:_MAC_BYTES]).rstrip(b"=").decode()


def read_signing_keys(text: str) -> SigningKeys:
    """The keys of `id=secret,id=secret`.

    Raises:
      ValueError: it is not of this form; the text shows no secret.
    """
    secrets: dict[str, str] = {}
    for number, part in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, equals, secret = map(str.strip, part.partition("="))
        if not (name and equals and secret):
            raise ValueError(f"{SIGNING_KEYS}: part {number} is not id=secret")
        if name in secrets:
            raise ValueError(f"{SIGNING_KEYS}: the key {quoted(name)} is there twice")
        secrets[name] = secret
    try:
        return SigningKeys(secrets)
    except ValueError as error:
        raise ValueError(f"{SIGNING_KEYS}: {error}") from error
