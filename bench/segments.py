"""What segments cost: by how many there are, by how the state of a user is kept, and to compile.

    python -m bench.segments [--events N] [--users N] [--runs N]

Each figure is the median of the runs, which take turns; ratios are of medians of the same command. Events are decoded
beforehand: this is the core alone. Each event touches six leaves, each of one segment, however many there are.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterable

from transforms.campaigns.load import Definitions, check
from transforms.events.event import Event
from transforms.segments.leaf_states import LeafStates
from transforms.segments.values import HOUR
from transforms.users.advance import advance, apply
from transforms.users.editor import UserEditor
from transforms.users.user import User, decode_user, encode_user

#: Leaves that each event touches.
TOUCHED = 6
SEGMENTS = (10, 100, 1_000, 10_000)
LEAVES = (5, 50, 500)
START = 1_772_323_200_000_000  # 2026-03-01


def definitions_of(segments: int) -> str:
    """YAML of a number of segments, six for each event name; every condition is different."""
    lines = ["segments:"]
    for number in range(segments):
        name = f"Event {number // TOUCHED}"
        conditions = (
            f"event: {name}, within: {number + 1}h",
            f"event: {name}, count: {{at_least: {number % 20 + 2}}}, within: 7d",
            f"event: {name}, where: {{price: {{more_than: {number}}}}}",
            f"event: {name}, where: {{category: {{is: books}}}}, within: {number + 1}d",
            f"event: {name}, last: {{older_than: {number + 1}h}}",
            f"event: {name}, distinct: {{of: product, at_least: {number % 9 + 2}}}",
        )
        lines += [
            f"  segment_{number}:",
            "    owner: growth",
            "    members:",
            "      all:",
            f"        - {{{conditions[number % TOUCHED]}}}",
        ]
    return "\n".join(lines)


def events_of(count: int, users: int, names: int) -> list[Event]:
    """Tracked events over ten days, in order, with `names` different names, each equally often."""
    chance = random.Random(7)
    step = 10 * 24 * HOUR // count
    events = []
    for number in range(count):
        at = START + number * step
        product = {"price": chance.randrange(1000), "category": chance.choice(["books", "shoes"])}
        product["product"] = f"product-{chance.randrange(500)}"
        user, name = f"user-{chance.randrange(users)}", f"Event {chance.randrange(names)}"
        events.append(Event(f"message-{number}", "track", name, at, at, user, properties=product))
    return events


def live(events: Iterable[Event], definitions: Definitions) -> float:
    """Seconds to apply events to users whose editors stay open: the state as live objects."""
    editors: dict[str, UserEditor] = {}
    started = time.process_time()
    for event in events:
        key = str(event.user)
        editor = editors.get(key)
        if editor is None:
            editor = editors[key] = UserEditor(User(key), definitions)
        apply(editor, event)
        editor.effects.clear()
    return time.process_time() - started


def encoded(events: Iterable[Event], definitions: Definitions) -> float:
    """Seconds to apply events to users who are decoded and encoded again for each."""
    states: dict[str, bytes] = {}
    started = time.process_time()
    for event in events:
        key = str(event.user)
        data = states.get(key)
        user, _ = advance(User(key) if data is None else decode_user(data), event, definitions)
        states[key] = encode_user(user)
    return time.process_time() - started


def compiling(text: str) -> Definitions:
    """Definitions from their text, checked and compiled."""
    definitions, problems = check((("bench.yaml", text),))
    if definitions is None:
        raise SystemExit(str(problems.errors[0]))
    return definitions


def medians(runs: int, work: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The median seconds of each piece of work; they take turns, so that a busy minute meets all of them."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, each in work.items():
            found[name].append(each())
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def by_segments(count: int, users: int, runs: int, compiled: dict[int, Definitions]) -> None:
    """Print the speed with 10 to 10,000 segments."""
    names = {size: max(1, size // TOUCHED) for size in SEGMENTS}
    work = {}
    for size in SEGMENTS:
        events = events_of(count, users, names[size])
        work[str(size)] = lambda events=events, size=size: live(events, compiled[size])
    seconds = medians(runs, work)
    print(f"\n{count:,} events of {users:,} users, {TOUCHED} leaves touched an event, live objects")
    print(f"{'segments':>10}{'us/event':>10}{'events/s':>10}{'to 10':>7}")
    for name, each in seconds.items():
        print(f"{int(name):10,}{each / count * 1e6:10.1f}{count / each:10,.0f}{seconds['10'] / each:7.2f}")


def by_state(count: int, runs: int) -> None:
    """Print the speed with the state as live objects, and re-encoded for each event, by leaves a user."""
    print(f"\n{count:,} events, the state re-encoded for each event or live objects, {TOUCHED} leaves touched an event")
    print(f"{'leaves':>10}{'live us':>10}{'encoded us':>12}{'ratio':>7}{'bytes':>9}")
    for leaves in LEAVES:
        definitions = compiling(definitions_of(leaves))
        # Few users, so that each soon has all leaves, which is the state to measure.
        events = events_of(count, max(1, count // 1000), -(-leaves // TOUCHED))
        cost = medians(
            runs,
            {"live": lambda: live(events, definitions), "encoded": lambda: encoded(events, definitions)},  # noqa: B023
        )
        state = User("user-0")
        for event in events:
            if event.user == state.id:
                state, _ = advance(state, event, definitions)
        one, other = cost["live"] / count * 1e6, cost["encoded"] / count * 1e6
        size = len(encode_user(state))
        kept = sum(1 for _ in LeafStates(state.leaves).items())
        print(f"{kept:10,}{one:10.1f}{other:12.1f}{one / other:7.2f}{size:9,}")


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--events", type=int, default=100_000)
    flags.add_argument("--users", type=int, default=5_000)
    flags.add_argument("--runs", type=int, default=3)
    flags.add_argument("--only", choices=("compile", "segments", "state"))
    given = flags.parse_args()
    compiled: dict[int, Definitions] = {}
    if given.only != "state":
        print(f"{'segments':>10}{'compile s':>11}")
        for size in SEGMENTS:
            seconds = []
            for _ in range(given.runs):
                text = definitions_of(size)
                started = time.process_time()
                compiled[size] = compiling(text)
                seconds.append(time.process_time() - started)
            print(f"{size:10,}{statistics.median(seconds):11.2f}", flush=True)
    if given.only in (None, "segments"):
        by_segments(given.events, given.users, given.runs, compiled)
    if given.only in (None, "state"):
        by_state(min(given.events, 20_000), given.runs)


if __name__ == "__main__":
    main()
