"""The touches of one message, judged together: who touched, a person or a machine."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.engage.tracking.touches import CLICKED, OPENED, VISITED, Touch
from services.engage.tracking.verdicts import ALL_OF, EARLY, MANY, judged
from transforms.channels.references import SendReference

SECOND = 1_000_000
SEND = SendReference("ann", "s1", "email", "hello", "mail", "hello_mail", None, "news")
AT = 1_770_000_000 * SECOND


def touches(*said: tuple[str, str, float], of: int, by: str = "") -> list[Touch]:
    """Kind, link, and after how many seconds."""
    return [
        Touch(kind, SEND, link, of, AT + round(after * SECOND), by, str(place))
        for place, (kind, link, after) in enumerate(said)
    ]


def clicks(*links: str, every: float = 0.2, of: int) -> list[Touch]:
    return touches(*((CLICKED, link, every * place) for place, link in enumerate(links)), of=of)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (clicks("a", of=1), [""]),
        (clicks("a", of=5), [""]),
        (clicks("a", "a", "a", of=5), ["", "", ""]),
        (clicks("a", "b", of=5), ["", ""]),
        (clicks("a", "b", "c", every=4, of=5), ["", "", ""]),
        (clicks("a", "b", of=2), ["all_links"] * 2),
        (clicks("a", "b", every=5, of=2), ["", ""]),
        (clicks("a", "b", "c", "d", every=2.5, of=4), ["all_links"] * 4),
        (clicks("a", "b", "c", "d", "e", of=40), ["all_links"] * 5),
        (touches((CLICKED, "a", 0), (VISITED, "", 1), of=1), ["all_links"] * 2),
        (touches((CLICKED, "a", 0), (VISITED, "", 8), of=1), ["", ""]),
        (touches((OPENED, "", 0), (CLICKED, "a", 1), of=1), ["", ""]),
        (touches((OPENED, "", 0), (OPENED, "", 0.1), of=0), ["", ""]),
    ],
)
def test_people_follow_some_links_and_scanners_all_at_once(found: Sequence[Touch], expected: list[str]) -> None:
    assert judged(found, None) == expected


def test_who_is_quicker_than_the_mail_is_a_machine() -> None:
    found = touches((OPENED, "", 0), (CLICKED, "a", 1), of=3)
    assert judged(found, AT + SECOND) == ["early", "early"]
    assert judged(found, AT - EARLY) == ["", ""]
    assert judged(found, AT - EARLY + 1) == ["early", ""]
    assert judged(found, None) == ["", ""]


def test_a_scanner_that_looks_while_a_reader_follows_does_not_make_the_reader_one() -> None:
    scanner = touches((CLICKED, "a", 0), (CLICKED, "b", 0.1), of=2, by="microsoft")
    reader = [Touch(CLICKED, SEND, "a", 2, AT + SECOND // 2, "", "reader")]
    assert judged([*scanner, *reader], None) == ["microsoft", "microsoft", ""]


KINDS = st.sampled_from([CLICKED, OPENED, VISITED])
ANY = st.lists(st.tuples(KINDS, st.sampled_from("abcde"), st.floats(0, 10)), max_size=12)


@given(ANY, st.integers(0, 6), st.integers(-20, 20) | st.none())
def test_each_touch_has_a_verdict_and_known_machines_keep_theirs(
    said: list[tuple[str, str, float]], of: int, seconds: int | None
) -> None:
    handed_off = None if seconds is None else AT + seconds * SECOND
    found = sorted(touches(*said, of=of), key=lambda touch: touch.at)
    verdicts = judged(found, handed_off)
    assert len(verdicts) == len(found)
    known = [Touch(*(getattr(each, name) for name in Touch.__struct_fields__[:5]), "apple", each.id) for each in found]
    assert set(judged(known, handed_off)) <= {"apple"}
    few = len({touch.link for touch in found if touch.kind == CLICKED}) + 1 < min(max(of, 2), MANY, ALL_OF)
    if few and (handed_off is None or handed_off + EARLY <= AT):
        assert set(verdicts) <= {""}
