"""`todoke explain`: why a user of a finished run is in a segment, for people and for programs."""

import json

import pytest

from transforms.identity.profile import Profile
from transforms.storage.open import open_store
from transforms.users.rows import user_row
from transforms.users.user import Owner, User, encode_user


@pytest.fixture
def explain(todoke, store, finished):
    def explain(*arguments, definitions=None):
        given = definitions or finished / "definitions.yaml"
        return todoke("explain", *arguments, "--store", store, "--definitions", given)

    return explain


def test_text_for_people(explain):
    done = explain("ann", "recent")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ann, as of 2026-03-20T12:00:00Z",
        "no  segment recent",
        "  no  event: Order Completed, within: 7d   (since 2026-03-17T12:00:00Z, newest event 2026-03-10T12:00:00Z)",
    ]


def test_json_for_programs(explain):
    done = explain("bob", "recent", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    condition = {
        "form": "condition",
        "text": "event: Order Completed, within: 7d",
        "holds": True,
        "turns": "2026-03-26T12:00:00Z",
        "newest": "2026-03-19T12:00:00Z",
    }
    segment = {"form": "segment", "text": "recent", "holds": True, "since": "2026-03-19T12:00:00Z"}
    assert json.loads(done.stdout) == {
        "user": "bob",
        "as_of": "2026-03-20T12:00:00Z",
        "segment": {**segment, "turns": "2026-03-26T12:00:00Z", "parts": [condition]},
    }


def test_a_later_time_is_what_becomes_of_it_if_nothing_comes(explain):
    shown = explain("bob", "recent", "--as-of", "2026-03-26T12:00:00Z").stdout
    assert "no  segment recent" in shown
    assert "since 2026-03-26T12:00:00Z" in shown


def test_an_earlier_time_is_wrong_use(explain):
    done = explain("bob", "recent", "--as-of", "2026-03-18T00:00:00Z")
    assert (done.returncode, done.stdout) == (2, "")
    assert '"bob" is settled up to 2026-03-20T12:00:00Z already' in done.stderr


@pytest.mark.parametrize("moment", ["tomorrow", "2026-03-26", "2026-03-26T12:00:00"])
def test_a_time_without_a_zone_is_wrong_use(explain, moment):
    done = explain("bob", "recent", "--as-of", moment)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--as-of: expected a time with a zone" in done.stderr


def test_an_unknown_segment_names_those_called_alike(explain):
    done = explain("ann", "buyer")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no segment `buyer`; did you mean `buyers`?\n" in done.stderr


def test_an_unknown_user_is_wrong_use(explain):
    done = explain("nobody", "buyers")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'the store knows no user "nobody"' in done.stderr


def test_a_visitor_who_was_identified_is_asked_by_the_owners_id(explain):
    done = explain("~device-1", "buyers")
    assert (done.returncode, done.stdout) == (2, "")
    assert '"~device-1" was merged into "ann" at 2026-03-03T12:00:00Z: ask for that one' in done.stderr


def test_conditions_of_which_the_store_has_no_history_are_refused(explain, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(
        "segments:\n"
        "  spenders: {owner: crm, members: {event: Order Completed, sum: {of: total, at_least: 20}}}\n"
        "  customers: {owner: crm, members: {event: Order Completed}}\n",
        encoding="utf-8",
    )
    done = explain("ann", "spenders", definitions=other)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'spenders ask about events in a way that "ann" was not judged by yet' in done.stderr
    renamed = explain("ann", "customers", definitions=other)
    assert (renamed.returncode, renamed.stderr) == (0, "")
    assert "yes segment customers" in renamed.stdout


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (User("x", deleted=0, deleted_at=5), '"x" was deleted: nothing from before 1970-01-01T00:00:00Z is known'),
        (User("x", created=1, owner=Owner("y", 0, "z")), '"x" was merged into "z"'),
        (User("x"), 'nothing is known of user "x"'),
    ],
)
def test_a_user_who_is_none_any_more(todoke, finished, tmp_path, user, said):
    made = open_store(f"sqlite:{tmp_path / 'store.db'}")
    made.write_users([user_row(user, encode_user(user))])
    made.close()
    flags = ("--store", "sqlite:store.db", "--definitions", finished / "definitions.yaml")
    done = todoke("explain", "x", "buyers", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_user_of_a_live_job_is_shown_as_of_now(todoke, finished, tmp_path):
    made = open_store(f"sqlite:{tmp_path / 'store.db'}")
    user = User("x", clock=1, created=1)
    made.write_users([user_row(user, encode_user(user))])
    made.close()
    flags = ("--store", "sqlite:store.db", "--definitions", finished / "definitions.yaml")
    done = todoke("explain", "x", "buyers", *flags, "--json")
    assert done.returncode == 0
    assert '"x" was judged by other definitions' in done.stderr
    assert json.loads(done.stdout)["as_of"] > "2026"
    reopened = open_store(f"sqlite:{tmp_path / 'store.db'}", create=False)
    assert reopened.read_users(["x"])["x"].version == 0  # nothing was written
    reopened.close()


def test_a_phone_that_is_no_number_and_one_that_is_blocked_are_why_nobody_is_reached(todoke, tmp_path):
    definitions = {
        "segments": {"texted": {"owner": "o", "members": {"all": [{"reachable": "sms"}, {"reachable": "email"}]}}},
        "policies": {"default_region": "DE"},
    }
    (tmp_path / "d.yaml").write_text(json.dumps(definitions), encoding="utf-8")
    made = open_store(f"sqlite:{tmp_path / 'store.db'}")
    lived = {
        "no": Profile({"phone": (1, "m", "ask at the desk")}),
        "number": Profile({"phone": (1, "m", 4930123456)}),
        "bounced": Profile({"phone": (1, "m", "030 123456")}, blocked={"+4930123456": (2, "r", "bounced")}),
        "fine": Profile({"phone": (1, "m", "030 123456"), "email": (1, "m", None)}),
    }
    for name, profile in lived.items():
        # The leaves are as of no revision, so that they are judged when they are asked.
        user = User(name, clock=1, created=1, profile=profile)
        made.write_users([user_row(user, encode_user(user))])
    made.close()
    told = {
        name: todoke("explain", name, "texted", "--store", "sqlite:store.db", "--definitions", "d.yaml").stdout
        for name in lived
    }
    assert 'no  reachable: sms   (phone "ask at the desk" is no address for sms)' in told["no"]
    assert "no  reachable: sms   (phone 4930123456 is no address for sms)" in told["number"]
    assert 'no  reachable: sms   (phone "030 123456" is blocked, after a bounce or a complaint)' in told["bounced"]
    assert "yes reachable: sms\n" in told["fine"]
    assert all("    no  reachable: email\n" in text for text in told.values())
    flags = ("--store", "sqlite:store.db", "--definitions", "d.yaml", "--json")
    parts = json.loads(todoke("explain", "no", "texted", *flags).stdout)["segment"]["parts"][0]["parts"]
    assert [part.get("why") for part in parts] == ['phone "ask at the desk" is no address for sms', None]
