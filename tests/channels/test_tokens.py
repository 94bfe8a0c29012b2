"""Signed tokens: what they say comes back; whatever was changed, or is of another purpose or key, does not."""

import re
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.channels.tokens import LONGEST, BadToken, SigningKeys, read_signing_keys

OLD, NEW = "o" * 32, "n" * 32
BEFORE, BETWEEN, AFTER = SigningKeys({"a": OLD}), SigningKeys({"b": NEW, "a": OLD}), SigningKeys({"b": NEW})
SAID = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(), st.lists)


@given(SAID, st.text("abc", min_size=1))
def test_what_is_said_comes_back_and_is_signed_the_same_each_time(said: Any, purpose: str) -> None:
    token = BETWEEN.sign(purpose, said)
    assert BETWEEN.read(purpose, token, Any) == said  # type: ignore[arg-type]
    assert token == BETWEEN.sign(purpose, said)
    assert re.fullmatch(r"b\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{22}", token)


@given(st.data())
def test_whatever_is_changed_is_refused(data: st.DataObject) -> None:
    token = BETWEEN.sign("click", ["ann", "https://shop.example"])
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.text(max_size=3))
    changed = token[:place] + other + token[place + data.draw(st.integers(0, 3)) :]
    if changed != token:
        with pytest.raises(BadToken):
            BETWEEN.read("click", changed, list[str])


def test_each_base64_of_the_mac_but_one_is_refused() -> None:
    token = BEFORE.sign("click", "ann")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same = [
        token[:-1] + last
        for last in alphabet
        if urlsafe_b64decode(token[-22:-1] + last + "==") == urlsafe_b64decode(token[-22:] + "==")
    ]
    assert len(same) == 16
    for each in set(same) - {token}:
        with pytest.raises(BadToken):
            BEFORE.read("click", each, str)


def test_keys_take_turns() -> None:
    old, new = BEFORE.sign("click", "ann"), BETWEEN.sign("click", "ann")
    assert BETWEEN.read("click", old, str) == BETWEEN.read("click", new, str) == AFTER.read("click", new, str) == "ann"
    for keys, token in ((AFTER, old), (BEFORE, new), (SigningKeys({"a": NEW}), old)):
        with pytest.raises(BadToken):
            keys.read("click", token, str)


def test_another_purpose_another_kind_and_what_has_ended_are_refused() -> None:
    token = BEFORE.sign("click", "ann", ends=100)
    assert BEFORE.read("click", token, str, now=99) == "ann"
    for purpose, kind, now in (("open", str, 0), ("click", int, 0), ("click", str, 100)):
        with pytest.raises(BadToken):
            BEFORE.read(purpose, token, kind, now=now)
    with pytest.raises(BadToken):
        BEFORE.read("click", BEFORE.sign("click", "a" * LONGEST), str)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "at least one key"),
        ("a", "part 1 is not id=secret"),
        (f"a={OLD},{NEW}", "part 2"),
        (f"a={OLD},a={NEW}", "twice"),
        ("a=short", "fewer than 32"),
        (f"a b={OLD}", "no key id"),
        (f"{'a' * 17}={OLD}", "no key id"),
    ],
)
def test_keys_that_cannot_be_are_refused_without_being_shown(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        read_signing_keys(text)
    assert OLD not in str(refused.value)
    assert "short" not in str(refused.value)


def test_keys_are_read_from_a_text_and_not_shown() -> None:
    keys = read_signing_keys(f" b={NEW} ,a={OLD},")
    assert keys.read("click", BEFORE.sign("click", "ann"), str) == "ann"
    assert repr(keys) == "SigningKeys(b, a)"
