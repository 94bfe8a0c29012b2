"""Files full of aliases, visitors and deletions, run three times: the same members, the same sends, nothing twice."""

from pathlib import Path
from typing import Any

import pytest
from core import DAY, HOUR, START, texts_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passes import Files
from strength import examples

from transforms.events.event import Event
from transforms.users.user import User, decode_user

USERS, VISITORS = ["u1", "u2", "u3", "u4", "u5"], ["a1", "a2"]
MOST = 16
#: How often somebody did E: by a leaf that keeps which events it has counted, and by one that only adds them up.
TEXTS = texts_of(
    {
        "segments": {f"n{n}": {"members": {"event": "E", "count": {"is": n}}} for n in range(1, MOST)}
        | {f"s{n}": {"members": {"event": "E", "sum": {"of": "one", "is": n}}} for n in range(1, MOST)},
        "campaigns": {
            "each": {
                "trigger": {"event": "E"},
                "steps": [{"send": "push"}],
                "reenter": "always",
                "transactional": True,
            }
        },
        "messages": {"push": {"channel": "push", "title": "x"}},
    }
)
AS_OF = START + 10 * DAY


def call(type_: str, hour: int, number: int, **said: Any) -> Event:
    at = START + hour * HOUR
    name = "E" if type_ == "track" else ""
    return Event(f"{type_} {number}", type_, name, at, at, **said)


@st.composite
def calls(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(["track"] * 4 + ["visit"] * 2 + ["identify"] * 2 + ["alias"] * 3 + ["delete"]))
    hour, number, user = draw(st.integers(0, 100)), draw(st.integers(0, 10**9)), draw(st.sampled_from(USERS))
    device = {"device": {"token": f"token {user}"}}
    if kind == "track":
        return call("track", hour, number, user=user, properties={"one": 1}, context=device)
    if kind == "visit":
        return call("track", hour, number, anonymous=draw(st.sampled_from(VISITORS)), properties={"one": 1})
    if kind == "identify":
        return call("identify", hour, number, user=user, anonymous=draw(st.sampled_from(VISITORS)))
    if kind == "alias":
        previous = draw(st.sampled_from([*(each for each in USERS if each != user), *VISITORS]))
        return call("alias", hour, number, user=user, previous=previous)
    return call("delete", hour, number, user=user)


FILES = st.lists(calls(), min_size=1, max_size=12, unique_by=(lambda event: event.id, lambda event: event.time))


def users_of(files: Files) -> dict[str, User]:
    return {row.user: decode_user(row.state) for row in files.store.scan_users()}


def members_of(files: Files) -> dict[str, dict[str, int]]:
    return {key: user.members for key, user in users_of(files).items() if user.created is not None and not user.owner}


def check(files: Files, events: list[Event]) -> None:
    """Run a file three times; what nobody deleted is all there, once."""
    runs = []
    whole = len({event.id for event in events if event.name})
    kept = None if any(event.type == "delete" for event in events) else whole
    for _ in range(3):
        summary = files.run(events, AS_OF)
        ended = summary.by_label("accounts", "outcome")
        assert sum(ended.values()) == len(events)
        assert set(files.sent.values()) <= {1}
        runs.append((members_of(files), set(files.sent)))
        for name, members in runs[-1][0].items():
            assert {each[1:] for each in members if each[0] == "n"} == {
                each[1:] for each in members if each[0] == "s"
            }, name
        counted = sum(int(each[1:]) for members in runs[-1][0].values() for each in members if each[0] == "s")
        assert kept in (None, counted)
    assert runs[1] == runs[0]
    assert runs[2] == runs[0]
    assert ended.get("applied", 0) == 0


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(FILES, st.data())
def test_a_file_that_is_run_again_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(events), max_size=3))
    files = Files(TEXTS, f"sqlite:{tmp_path_factory.mktemp('files') / 'store.db'}")
    check(files, [*events, *again])
    files.store.close()


@pytest.mark.parametrize("since", [[], [4]], ids=["gone", "begun anew"])
def test_a_past_that_comes_after_the_deletion_is_deleted_too(tmp_path: Path, since: list[int]) -> None:
    """An alias takes effect after the files; what it hands over was the deleted user's."""
    device = {"device": {"token": "phone"}}
    olds = [
        call("track", 0, 1, user="u1", context=device),
        call("identify", 0, 2, user="u1", traits={"email": "a@b.c"}),
    ]
    olds += [call("alias", 1, 1, user="u2", previous="u1"), call("alias", 2, 2, user="u3", previous="u2")]
    events = [*olds, call("delete", 3, 1, user="u3"), *(call("track", hour, 9, user="u3") for hour in since)]
    files = Files(TEXTS, f"sqlite:{tmp_path / 'store.db'}")
    for _ in range(2):
        files.run(events, AS_OF)
        kept = {user: [row.id for row in files.store.read_events(user) if row.type != "receipt"] for user in USERS}
        assert kept == {"u1": [], "u2": [], "u3": ["track 9" for _ in since], "u4": [], "u5": []}
        assert {row.user for row in files.store.read_ledger("u1")} == set()
        assert [files.store.read_identities(*of) for of in (("token", ["phone"]), ("address", ["a@b.c"]))] == [{}, {}]
        left = users_of(files)
        assert {id_: left[id_].deleted for id_ in ("u1", "u2", "u3")} == dict.fromkeys(
            ("u1", "u2", "u3"), START + 3 * HOUR
        )
    files.store.close()
