"""`todoke explain`: why a user is in a segment, or is not."""

import sys
import time
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from beam_pipelines.values import read_time
from todoke.clock import Clock, check_zone, clock
from todoke.names import check_name
from todoke.store import asked_row, open_asked_reader
from todoke.terminal import Screen, json_text, plain_text
from transforms.campaigns.differences import UNTIL_SEEDED
from transforms.campaigns.load import compiled
from transforms.campaigns.release import OlderDefinitions
from transforms.campaigns.transforms import read_definitions
from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.events.times import FIRST_TIME, LAST_TIME, write_time
from transforms.storage.reader import Reader
from transforms.users.boundary import Failed
from transforms.users.explain import ConditionTree, Explained, settled
from transforms.users.facts import zone_of
from transforms.users.faults import open_user
from transforms.users.user import User

__all__ = ["explain", "explained_json", "print_explained", "print_failed"]


def explain(
    user_id: str, segment: str, url: str, definitions: str, as_of: str | None, *, zone: str, json: bool
) -> None:
    """Print the tree of a segment's conditions with the answer of each for a user; times by `--zone`.

    Raises:
      WrongUse: the URL, the user, the segment or the zone is unknown, or the definitions are not those of the store.
      DefinitionsError: they cannot be read, or have mistakes.
      StoreError: the store cannot be read.
    """
    check_zone(zone)
    known = compiled(read_definitions(definitions))
    check_name("segment", segment, known.segments)
    until = None if as_of is None else read_time("--as-of", as_of)
    tree = ConditionTree(segment, known)
    with open_asked_reader(url) as reader:
        user = _settled(reader, user_id, tree, until)
    found, by = tree.explain(user), clock(zone, zone_of(user.profile, known.policies.default_zone))
    print_failed(tree.failed)
    if json:
        shown = {"user": user_id, "as_of": by.write(user.clock), "segment": explained_json(found, by)}
        print(json_text(shown))
    else:
        console = Screen(soft_wrap=True)
        console.print(plain_text(f"{user_id}, as of {by.write(user.clock)}", "bold"))
        print_explained(console, found, by)


def print_failed(failed: Failed) -> None:
    """Report on standard error what raised and was left out, if anything."""
    for count, what in ((len(failed.inputs), "set aside as internal"), (len(failed.dropped), "dropped as time passed")):
        if count:
            print(f"todoke: {count:,} {what}, for it raised; the first: {failed.first}", file=sys.stderr)


def _settled(reader: Reader, user_id: str, tree: ConditionTree, until: int | None) -> User:
    """The user as of a time; nothing is written."""
    user = open_user(user_id, asked_row(reader, user_id).state)
    if not isinstance(user, User):
        raise WrongUse(user.detail)
    _check_known(user)
    if until is not None and until < user.clock:
        raise WrongUse(
            f"--as-of: {quoted(user_id)} is settled up to {write_time(user.clock)} already; name a later time"
        )
    last = reader.read_run()
    kept = () if last is None else last.judged.get(user.definitions_hash, last.leaves)
    if last is not None and (new := tree.leaves & set(tree.definitions.event_leaves) - set(kept)):
        names = ", ".join(sorted(tree.definitions.segments_of(set(new))))
        raise WrongUse(
            f"segments or audiences {names} ask about events in a way that {quoted(user_id)} was not judged by yet: "
            "name the definitions that the store was last run with, or bring its users over: `todoke run --continue` "
            "with these"
        )
    if last is None and user.definitions_hash != tree.definitions.definitions_hash:
        cause = "judged by other definitions; what these ask anew about events it has no history for"
        print(f"todoke: {quoted(user_id)} was {cause}", file=sys.stderr)
    # A bounded run has settled everybody; a user who is ahead of it belongs to a live job, so the time is now.
    settled_by_run = last is not None and user.clock <= last.as_of
    now = last.as_of if last is not None and settled_by_run else time.time_ns() // 1000
    try:
        return settled(user, now if until is None else until, tree.definitions, tree.failed)
    except OlderDefinitions as error:
        raise WrongUse(f"--definitions: {error}") from error


def _check_known(user: User) -> None:
    if user.owner is not None:
        since = write_time(user.owner.since)
        raise WrongUse(
            f"user {quoted(user.id)} was merged into {quoted(user.owner.latest)} at {since}: ask for that one"
        )
    if user.created is None and user.deleted is not None:
        raise WrongUse(f"user {quoted(user.id)} was deleted: nothing from before {write_time(user.deleted)} is known")
    if user.created is None:
        raise WrongUse(f"nothing is known of user {quoted(user.id)}")


def explained_json(explained: Explained, by: Clock) -> dict[str, Any]:
    """A tree for programs: times as text by a clock, without what is unknown."""
    shown: dict[str, Any] = {"form": explained.form, "text": explained.text, "holds": explained.holds}
    for name in ("since", "turns", "newest", "written"):
        if (moment := getattr(explained, name)) is not None:
            shown[name] = _time(moment, by)
    if explained.warming:
        shown["warming"] = True
        if explained.form == "segment":
            shown["older"] = explained.older
    if explained.measured is not None:
        shown["measured"] = msgspec.to_builtins(explained.measured)
    if explained.value is not None:
        shown["value"] = explained.value
    if explained.why:
        shown["why"] = explained.why
    if explained.parts:
        shown["parts"] = [explained_json(part, by) for part in explained.parts]
    return shown


def print_explained(console: Console, explained: Explained, by: Clock, indent: int = 0) -> None:
    """A tree for people, one line for each condition."""
    answer = Text("yes ", "green") if explained.holds else Text("no  ", "red")
    name = f"segment {explained.text}" if explained.form == "segment" else explained.text
    facts = _facts(explained, by)
    line = Text("  " * indent).append_text(answer).append_text(plain_text(name))
    console.print(line.append_text(plain_text(f"   ({', '.join(facts)})" if facts else "", "dim")))
    for part in explained.parts:
        print_explained(console, part, by, indent + 1)


def _waits(explained: Explained) -> str:
    """What a condition waits for, and what answers meanwhile."""
    if explained.form != "segment":
        return "waits for a seed"
    return UNTIL_SEEDED["old" if explained.older else "no"]


def _facts(explained: Explained, by: Clock) -> list[str]:
    """What is known about one condition besides its answer."""
    facts = [] if explained.measured is None else [str(explained.measured)]
    if explained.since is not None:
        facts.append(f"since {_time(explained.since, by)}")
    if explained.turns is not None:
        facts.append(f"{'until' if explained.holds else 'begins'} {_time(explained.turns, by)}")
    if explained.newest is not None:
        facts.append(f"newest event {_time(explained.newest, by)}")
    if explained.written is not None:
        value = "gone" if explained.value is None else f"is {msgspec.json.encode(explained.value).decode()}"
        facts.append(f"{value[:100]}, as said {_time(explained.written, by)}")
    if explained.why:
        facts.append(explained.why)
    if explained.warming:
        facts.append(f"warming: {_waits(explained)}")
    return facts


def _time(moment: int, by: Clock) -> str:
    """A deadline as text; it may lie beyond the last year that a time can have."""
    return by.write(min(max(moment, FIRST_TIME), LAST_TIME))
