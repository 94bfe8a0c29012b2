"""Tokens by which an app's user is known: JSON Web Tokens (RFC 7519) that the customer's server signs, for minutes.

The keys are a JSON Web Key Set (RFC 7517). Each has a `kid`, which a token must name, and one algorithm:

    {"keys": [{"kty": "oct", "kid": "2026-11", "alg": "HS256", "k": "…"},
              {"kty": "OKP", "kid": "2026-12", "alg": "EdDSA", "crv": "Ed25519", "x": "…"}]}

`HS256` is a secret that both sides have, of 32 bytes at least; of `EdDSA` this side has the public key alone. Any of
the keys verifies, so that a new one can take its turn. Whatever else a token's header says is not followed.
"""

from base64 import urlsafe_b64decode
from typing import Any

import jwt
import msgspec
from jwt.algorithms import OKPAlgorithm

from transforms.events.ids import refused_id
from transforms.events.plain import quoted
from transforms.users.user import ANONYMOUS

__all__ = ["AUDIENCE", "INBOX_KEYS", "LONGEST_LIFE", "SKEW", "BadUserToken", "UserKeys", "bearer", "read_user_keys"]

#: The variable that holds the key set.
INBOX_KEYS = "TODOKE_INBOX_KEYS"
#: Whom a token must be for (`aud`).
AUDIENCE = "todoke-inbox"
#: A token lives so long at most, from `iat` to `exp`; and clocks may differ by so much. In seconds.
LONGEST_LIFE, SKEW = 86_400, 60

#: No token is longer, in characters.
_LONGEST = 4_096
#: RFC 7518, 3.2: as many bytes as the hash has.
_SHORTEST_SECRET = 32
#: Times of claims are before this; it also tells numbers that are none.
_LAST_SECOND = 1e12
_CLAIMS = ("sub", "aud", "iat", "exp")


class BadUserToken(ValueError):
    """A token that is not taken; the text says why in a few words, and shows nothing of it."""


class _Jwk(msgspec.Struct):
    """A key of a set, as far as it is read."""

    kty: str = ""
    kid: str = ""
    alg: str = ""
    k: str = ""
    crv: str = ""
    x: str = ""
    d: str = ""


class _JwkSet(msgspec.Struct):
    keys: list[_Jwk]


class UserKeys:
    """Verifies tokens of users.

    Args:
      keys: by their ids, each with its algorithm.
    """

    def __init__(self, keys: dict[str, tuple[str, Any]]) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return f"UserKeys({', '.join(self._keys)})"

    def user_of(self, token: str, now: int) -> str:
        """Whose a token is, at a time in microseconds.

        Raises:
          BadUserToken: it was not signed with one of these keys, is for something else, or has ended.
        """
        if len(token) > _LONGEST:
            raise BadUserToken("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            name = header.get("kid")
            algorithm, key = self._keys[name] if isinstance(name, str) and name in self._keys else ("", "")
            # The key says the algorithm: a token may not choose one, and a public key is no secret.
            if not algorithm or header.get("alg") != algorithm or "crit" in header:
                raise BadUserToken("the token was not signed with a key that is known here")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=AUDIENCE,
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.MissingRequiredClaimError as error:
            raise BadUserToken(f"the token has no `{error.claim}`") from None
        except jwt.InvalidAudienceError:
            raise BadUserToken(f"the token is not for `{AUDIENCE}`") from None
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            if isinstance(error, BadUserToken):
                raise
            raise BadUserToken("the token is not genuine") from None
        _check_times(claims, now / 1_000_000)
        return _user(claims["sub"])


def read_user_keys(text: str) -> UserKeys:
    """The keys of a JSON Web Key Set.

    Raises:
      ValueError: it is none, or has a key that must not be used; the text shows no key.
    """
    try:
        found = msgspec.json.decode(text, type=_JwkSet).keys
    except (msgspec.DecodeError, UnicodeError):  # whose text may show the key
        raise ValueError(f'{INBOX_KEYS}: expected a JSON Web Key Set: {{"keys": […]}}') from None
    keys: dict[str, tuple[str, Any]] = {}
    for number, key in enumerate(found, 1):
        place = f"{INBOX_KEYS}: key {number}"
        if not key.kid or key.kid in keys:
            raise ValueError(f"{place} needs a `kid` of its own")
        keys[key.kid] = key.alg, _usable(key, f"{place} ({quoted(key.kid)})")
    if not keys:
        raise ValueError(f"{INBOX_KEYS}: there is no key")
    return UserKeys(keys)


def _usable(key: _Jwk, place: str) -> Any:
    if (key.kty, key.alg) == ("oct", "HS256"):
        try:
            secret = urlsafe_b64decode(key.k + "=" * (-len(key.k) % 4))
        except ValueError:
            raise ValueError(f"{place}: `k` is not base64url") from None
        if len(secret) < _SHORTEST_SECRET:
            raise ValueError(f"{place} has fewer than {_SHORTEST_SECRET} bytes")
        return secret
    if (key.kty, key.alg, key.crv) == ("OKP", "EdDSA", "Ed25519"):
        if key.d:
            raise ValueError(f"{place} is private: give the public one, without `d`")
        try:
            return OKPAlgorithm.from_jwk({"kty": key.kty, "crv": key.crv, "x": key.x})
        except (jwt.InvalidKeyError, ValueError):
            raise ValueError(f"{place}: `x` is no key") from None
    raise ValueError(f"{place}: expected `kty` oct with `alg` HS256, or `kty` OKP with `alg` EdDSA and `crv` Ed25519")


def _check_times(claims: dict[str, Any], now: float) -> None:
    made, ends, begins = (_seconds(claims, name) for name in ("iat", "exp", "nbf"))
    if ends - made > LONGEST_LIFE or ends < made:
        raise BadUserToken(f"the token lives longer than {LONGEST_LIFE:,} seconds, or ends before it begins")
    if max(made, begins) > now + SKEW:
        raise BadUserToken("the token is of the future")
    if ends <= now - SKEW:
        raise BadUserToken("the token has ended")


def _seconds(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LAST_SECOND:
        raise BadUserToken(f"`{name}` of the token is no time")
    return value


def _user(named: object) -> str:
    if not isinstance(named, str) or named.startswith(ANONYMOUS) or refused_id(named):
        raise BadUserToken("`sub` of the token is no user id")
    return named


def bearer(header: str | None) -> str:
    """The token of an Authorization header; empty where there is none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
