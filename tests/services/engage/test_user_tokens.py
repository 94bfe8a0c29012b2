"""Tokens of an app's users: what a customer's server signs is taken; nobody else can make one, or make one do more."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from engage_service import NOW
from hypothesis import given
from hypothesis import strategies as st

from services.engage.inbox.user_tokens import (
    LONGEST_LIFE,
    SKEW,
    BadUserToken,
    UserKeys,
    bearer,
    read_user_keys,
)

SECRET, OLD_SECRET = b"s" * 32, b"o" * 40
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
SECONDS = NOW // 1_000_000


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def oct_key(kid: str, secret: bytes, **more: Any) -> dict[str, Any]:
    return {"kty": "oct", "kid": kid, "alg": "HS256", "k": base64url(secret), **more}


def okp_key(kid: str, **more: Any) -> dict[str, Any]:
    return {"kty": "OKP", "kid": kid, "alg": "EdDSA", "crv": "Ed25519", "x": base64url(PUBLIC), **more}


def keys(*of: dict[str, Any]) -> UserKeys:
    return read_user_keys(json.dumps({"keys": of}))


KEYS = keys(oct_key("new", SECRET), oct_key("old", OLD_SECRET), okp_key("ed"))


def token(
    key: Any = SECRET, algorithm: str | None = "HS256", headers: dict[str, Any] | None = None, **claims: Any
) -> str:
    said = {"sub": "ann", "aud": "todoke-inbox", "iat": SECONDS, "exp": SECONDS + 600, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(said, key, algorithm, {"kid": "new", **(headers or {})})


def test_what_the_customers_server_signs_is_taken_with_any_of_its_keys() -> None:
    assert KEYS.user_of(token(), NOW) == "ann"
    assert KEYS.user_of(token(OLD_SECRET, headers={"kid": "old"}), NOW) == "ann"
    assert KEYS.user_of(token(PRIVATE, "EdDSA", {"kid": "ed"}), NOW) == "ann"
    assert KEYS.user_of(token(sub="届け 5", aud=["other", "todoke-inbox"], nbf=SECONDS), NOW) == "届け 5"
    with pytest.raises(BadUserToken):
        keys(oct_key("new", SECRET)).user_of(token(OLD_SECRET, headers={"kid": "old"}), NOW)


@pytest.mark.parametrize(
    "made",
    [
        token(b"x" * 32),
        token(headers={"kid": "nobody"}),
        token(headers={"kid": "old"}),
        token(None, "none"),
        token(b"s" * 64, "HS512"),
        token(headers={"crit": ["exp"]}),
        token(PUBLIC, "HS256", {"kid": "ed"}),
        token(PRIVATE, "EdDSA"),
        token(Ed25519PrivateKey.generate(), "EdDSA", {"kid": "ed"}),
        token(headers={"jwk": oct_key("new", b"x" * 32), "jku": "https://evil.example/keys"})[:-1],
        "",
        ".",
        "a.b.c",
        "é.é.é",
        token() + "x" * 5_000,
    ],
)
def test_a_token_of_nobody_is_refused(made: str) -> None:
    with pytest.raises(BadUserToken):
        KEYS.user_of(made, NOW)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": None}, "no `exp`"),
        ({"iat": None}, "no `iat`"),
        ({"aud": None}, "no `aud`"),
        ({"sub": None}, "no `sub`"),
        ({"aud": "todoke-console"}, "not for"),
        ({"aud": []}, "no `aud`"),
        ({"exp": SECONDS - SKEW}, "before it begins|has ended"),
        ({"iat": SECONDS - 700, "exp": SECONDS - SKEW}, "has ended"),
        ({"exp": SECONDS + LONGEST_LIFE + 1}, "lives longer"),
        ({"exp": 10**400}, "no time"),
        ({"exp": "tomorrow"}, "genuine|no time"),
        ({"exp": True}, "no time"),
        ({"exp": float("nan")}, "no time"),
        ({"iat": SECONDS + SKEW + 1}, "of the future"),
        ({"nbf": SECONDS + SKEW + 1}, "of the future"),
        ({"sub": ""}, "no user id"),
        ({"sub": "~a1"}, "no user id"),
        ({"sub": "null"}, "no user id"),
        ({"sub": "x" * 257}, "no user id"),
        ({"sub": 5}, "genuine|no user id"),
    ],
)
def test_a_token_that_asks_for_too_much_is_refused(claims: dict[str, Any], why: str) -> None:
    with pytest.raises(BadUserToken, match=why):
        KEYS.user_of(token(**claims), NOW)


def test_clocks_may_differ_by_a_minute() -> None:
    assert KEYS.user_of(token(iat=SECONDS + SKEW, exp=SECONDS + SKEW + 1), NOW) == "ann"
    assert KEYS.user_of(token(iat=SECONDS - 600, exp=SECONDS - SKEW + 1), NOW) == "ann"


@given(st.data())
def test_whatever_is_changed_is_refused(data: st.DataObject) -> None:
    made = token()
    place = data.draw(st.integers(0, len(made) - 1))
    changed = made[:place] + data.draw(st.text(max_size=3)) + made[place + data.draw(st.integers(0, 3)) :]
    try:
        found = KEYS.user_of(changed, NOW)
    except BadUserToken:
        return
    assert found == "ann", "base64 can write the same in two ways"
    assert changed[:-1] == made[:-1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a JSON Web Key Set"),
        ('{"keys": []}', "there is no key"),
        (json.dumps({"keys": [oct_key("a", b"short")]}), "fewer than 32 bytes"),
        (json.dumps({"keys": [oct_key("", SECRET)]}), "a `kid` of its own"),
        (json.dumps({"keys": [oct_key("a", SECRET), okp_key("a")]}), "a `kid` of its own"),
        (json.dumps({"keys": [oct_key("a", SECRET, alg="none")]}), "expected `kty`"),
        (json.dumps({"keys": [oct_key("a", SECRET, k="é")]}), "not base64url"),
        (json.dumps({"keys": [okp_key("a", d=base64url(b"p" * 32))]}), "is private"),
        (json.dumps({"keys": [okp_key("a", x="AAAA")]}), "is no key"),
        (json.dumps({"keys": [{"kty": "RSA", "kid": "a", "alg": "RS256"}]}), "expected `kty`"),
    ],
)
def test_keys_that_must_not_be_used_are_refused_and_not_shown(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        read_user_keys(text)
    assert base64url(SECRET) not in str(refused.value)


def test_a_token_comes_as_a_bearers() -> None:
    assert [bearer(said) for said in ("Bearer a.b.c", "bearer  a ", "Basic a", "Bearer", None)] == [
        "a.b.c",
        "a",
        "",
        "",
        "",
    ]
