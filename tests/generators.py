"""Random definitions and histories, built so that conditions are often true and boundaries are often hit exactly.

Everything is drawn from small vocabularies. Moments are sums of the same durations that windows use, sometimes one
microsecond off, around the night on which Beirut changes its clocks (and skips a midnight). Values are plain, as YAML
or a line of JSON gives them. Definitions stay clear of what a checker may refuse (reversed ranges, windows that nothing
can pass, cycles); histories hold no dead letters, and each device token and mailbox has one owner.

Draw the history first: what is drawn last comes out smaller. One instant shows little, so ask at several.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from oracle import duration, instant, read

__all__ = ["definitions", "histories", "instants", "iso", "questions"]

Plain = dict[str, Any]

START = instant("2026-03-27T00:00:00Z") or 0
WINDOWS = ["30s", "15m", "1h", "2h", "1d", "1w"]
STEPS = [duration(text) for text in WINDOWS if text != "1w"]
NUDGES = [0, 0, 0, -1, 1]
DELAYS = [0, 0, 0, 1, *STEPS]
ZONES = ["UTC", "America/New_York", "Asia/Beirut"]
DATES = [f"2026-03-{day}" for day in range(27, 31)]
USERS = ["u1", "u2", "u3"]
ANONYMOUS = ["a1", "a2", "a3"]
EVENTS = ["Viewed", "Ordered"]
TYPES = ["track", "page", "screen"]
TOPICS = ["news", "offers"]
CHANNELS = ["push", "email"]
DEEPEST = 4


def iso(moment: int, zone: timezone = UTC) -> str:
    """Microseconds since the epoch as ISO 8601 text in a fixed zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(zone).isoformat()


#: Most moments are counted from one start, some from the start of a day somewhere.
ORIGINS = [START] * 40 + [instant(date, ZoneInfo(zone)) or START for date in DATES for zone in ZONES]
MOMENTS = st.builds(
    lambda origin, steps, nudge: origin + sum(steps) + nudge,
    st.sampled_from(ORIGINS),
    st.lists(st.sampled_from(STEPS), max_size=2),
    st.sampled_from(NUDGES),
)
TIMES = st.builds(iso, MOMENTS, st.sampled_from([UTC, timezone(timedelta(hours=9))]))
NUMBERS = st.sampled_from([1, 2, 2.0, 2.5])
TEXTS = st.sampled_from(["book", "toy", "Toy story", "2"])
PLANS = st.sampled_from(["free", "pro", "pro_plus"])
LISTS = st.lists(st.one_of(TEXTS, NUMBERS, st.none()), max_size=3)
#: What stands where another type was meant.
STRAY = st.sampled_from([True, 1, "2", "", "2026-03-29", "2026-03-29T00:00:00", []])


def mostly(values: SearchStrategy[Any], *others: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.one_of([values] * 4 + list(others))


LINES = st.lists(
    st.fixed_dictionaries({}, optional={"category": mostly(TEXTS, st.none()), "price": mostly(NUMBERS, STRAY)}),
    max_size=2,
)


def one(operator: str, argument: SearchStrategy[Any]) -> SearchStrategy[Plain]:
    return st.fixed_dictionaries({operator: argument})


def some(values: SearchStrategy[Any]) -> SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3)


def equality(values: SearchStrategy[Any]) -> SearchStrategy[Plain]:
    return one("is", values) | one("is_not", values) | one("in", some(values)) | one("not_in", some(values))


def order(numbers: SearchStrategy[Any]) -> SearchStrategy[Plain]:
    singles = st.one_of([one(op, numbers) for op in ("at_least", "at_most", "more_than", "less_than")])
    return singles | one("between", st.lists(numbers, min_size=2, max_size=2).map(sorted))


def text_tests(values: SearchStrategy[str]) -> SearchStrategy[Plain]:
    parts = values.map(lambda text: text[:2] or "o")
    affixes = st.one_of([one(op, parts) for op in ("contains", "starts_with", "ends_with")])
    return equality(values) | affixes | one("matches", st.sampled_from(["^[pt]", "o+", "(?i)TOY$", "[0-9]"]))


VERSIONS = st.sampled_from(["1.9", "2.9.5", "2.10", "2.10.0", "3", "0"])
NEWER = one("version_at_least", VERSIONS) | one("version_less_than", VERSIONS)
NEXT = one("within_next", st.sampled_from(WINDOWS))
YEARLY = one("anniversary", st.just(True) | st.sampled_from(["1d", "7d", "337d"]).map(lambda ahead: {"before": ahead}))
AGES = one("within", st.sampled_from(WINDOWS)) | one("older_than", st.sampled_from(WINDOWS))
INSTANTS = one("before", TIMES) | one("after", TIMES)
DATED = (
    INSTANTS
    | AGES
    | AGES
    | NEXT
    | NEXT
    | YEARLY
    | one("before", st.sampled_from(DATES))
    | one("after", st.sampled_from(DATES))
)
EXISTS = one("exists", st.booleans())
NUMERIC = equality(NUMBERS) | order(NUMBERS)
TEXTUAL = text_tests(TEXTS)
CONTAINS = one("contains", TEXTS | NUMBERS)

ATTRIBUTES = {
    "points": NUMERIC,
    "plan": text_tests(PLANS),
    "vip": equality(st.booleans()),
    "renews_at": DATED,
    "born": YEARLY,
    "tags": CONTAINS,
    "tags[]": TEXTUAL | NUMERIC,
    "home.city": TEXTUAL,
    "lines[].price": NUMERIC,
    "lines[].category": TEXTUAL,
    "email": text_tests(st.just("u1@example.com")),
    "timezone": equality(st.sampled_from(ZONES)),
    "context.os.name": equality(st.sampled_from(["ios", "android"])),
    "context.app.version": equality(st.sampled_from(["1.9", "2.10"])) | NEWER | NEWER,
    "context.locale": one("starts_with", st.sampled_from(["en", "ja"])),
    "context.timezone": equality(st.sampled_from(ZONES)),
    "context.location.city": TEXTUAL,
}
#: A date alone in an event, and an age of one of its properties, are left out: their zone and clock would be the
#: question's, not the event's.
PROPERTIES = {
    "amount": NUMERIC,
    "kind": TEXTUAL,
    "gift": equality(st.booleans()),
    "due_at": INSTANTS,
    "app": NEWER,
    "tags": CONTAINS,
    "tags[]": TEXTUAL,
    "shop.city": TEXTUAL,
    "lines[].price": NUMERIC,
    "lines[].category": TEXTUAL,
}


def attribute_tests() -> SearchStrategy[Plain]:
    def at(path: str) -> SearchStrategy[Plain]:
        return st.builds(lambda test: {"attribute": path, **test}, ATTRIBUTES[path] | EXISTS)

    return st.sampled_from(sorted(ATTRIBUTES)).flatmap(at)


def wheres() -> SearchStrategy[Plain]:
    def at(path: str) -> SearchStrategy[Plain]:
        return st.fixed_dictionaries({path: PROPERTIES[path] | EXISTS})

    single = st.sampled_from(sorted(PROPERTIES)).flatmap(at)
    return single | st.builds(lambda first, second: {**first, **second}, single, single)


NUMBERED = st.sampled_from(["amount", "amount", "lines[].price", "tags[]"])
VALUED = st.sampled_from(["kind", "kind", "amount", "gift", "shop.city", "tags[]", "lines[].category"])
#: Amounts are added up, so sums are greater than the numbers.
TOTALS = st.sampled_from([1, 2, 3, 4.5, 5, 0.1])
COUNTS = st.integers(1, 4)
#: Written with a number beyond a thousand, which no history reaches, so that they are kept in buckets.
BIG_COUNTS = (
    st.builds(lambda low: {"between": [low, 2000]}, COUNTS)
    | one("less_than", st.just(1500))
    | one("more_than", st.just(1001))
)
FORMS = ["plain", "count", "count", "first", "last", "missing", "missing", "sequence", "sequence", "distinct", "big"]
FORMS += ["sum", "sum", "average", "minimum", "maximum"]


@st.composite
def named(draw: DrawFn) -> Plain:
    """Which events count."""
    found: Plain = {"event": draw(st.sampled_from([*EVENTS, *EVENTS, "any"]))}
    if draw(st.integers(0, 4)) == 0:
        found["type"] = draw(st.sampled_from(TYPES))
    if draw(st.integers(0, 3)) == 0:
        found["where"] = draw(wheres())
    return found


@st.composite
def sequences(draw: DrawFn) -> Plain:
    """Two or three events one after another."""
    steps = draw(st.lists(NAMED, min_size=2, max_size=3))
    for step in steps[1:]:
        if draw(st.booleans()):
            step["within"] = draw(st.sampled_from(WINDOWS))
    return {"sequence": steps} | draw(st.fixed_dictionaries({}, optional={"within": st.sampled_from(WINDOWS)}))


@st.composite
def event_tests(draw: DrawFn) -> Plain:
    """A condition on events: an aggregate of them in a window or of all time, or how they follow each other."""
    form = draw(st.sampled_from(FORMS))
    if form == "sequence":
        return draw(SEQUENCES)
    condition = draw(NAMED)
    if form in ("first", "last"):
        return condition | {form: draw(AGES)}
    window = draw(st.sampled_from(["ever", "within", "within", "since", "since"]))
    if form == "missing":
        # A must be older than the wait and younger than its own window: shorter windows could never hold.
        wait = draw(st.integers(0, len(WINDOWS) - (2 if window == "within" else 1)))
        condition["missing"] = draw(NAMED) | {"within": WINDOWS[wait]}
        if draw(st.integers(0, 2)) == 0:
            condition["missing"]["same"] = draw(VALUED)
        if window == "within":
            condition["within"] = draw(st.sampled_from(WINDOWS[wait + 1 :]))
    elif window == "within":
        condition["within"] = draw(st.sampled_from(WINDOWS))
    if window == "since":
        condition["since"] = draw(st.sampled_from(DATES) | TIMES)
    return condition | draw(_aggregates(form))


@st.composite
def _aggregates(draw: DrawFn, form: str) -> Plain:
    """What is asked of the events."""
    found: Plain = {}
    if form == "count":
        found["count"] = draw(order(COUNTS) | one("is", COUNTS) | one("at_most", st.just(0)))
    elif form == "big":
        found["count"] = draw(BIG_COUNTS)
    elif form == "distinct":
        found["distinct"] = draw(order(COUNTS) | one("is", COUNTS)) | {"of": draw(VALUED)}
    elif form in ("sum", "average", "minimum", "maximum"):
        numbers = TOTALS if form == "sum" else NUMBERS
        found[form] = draw(order(numbers) | one("is", numbers)) | {"of": draw(NUMBERED)}
    if form in ("plain", "count", "big", "sum") and draw(st.integers(0, 2)) == 0:
        found["same"] = draw(VALUED)
    return found


NAMED, SEQUENCES = named(), sequences()
#: Shibuya, not far from there, Osaka, and the other end of the world.
PLACES = st.sampled_from([(35.6595, 139.7005), (35.68, 139.77), (34.7, 135.5), (-35.6595, -40.2995)]).map(
    lambda place: {"latitude": place[0], "longitude": place[1]}
)
CONTACTS = st.one_of(
    st.just({"identified": True}),
    one("reachable", st.sampled_from(CHANNELS)),
    one("consented", st.fixed_dictionaries({"topic": st.sampled_from(TOPICS), "channel": st.sampled_from(CHANNELS)})),
    st.builds(
        lambda salt, ends: {"bucket": {"salt": salt, "from": ends[0], "below": ends[1]}},
        st.sampled_from(["x", "y"]),
        st.sampled_from([(0, 50), (50, 100), (12.5, 75)]),
    ),
    st.builds(
        lambda path, place, limit: {"near": {"attribute": path, **place, "within_km": limit}},
        st.sampled_from(["home", "homes[]", "context.location"]),
        PLACES,
        st.sampled_from([0, 10, 450, 20_100]),
    ),
)
EVENT_TESTS, ATTRIBUTE_TESTS = event_tests(), attribute_tests()
#: How often each kind of condition is drawn. Leaves come first: examples shrink to them.
LEAVES = ["event"] * 5 + ["attribute"] * 4 + ["contact"] * 2
BRANCHES = ["all", "any", "not"] * 3


@st.composite
def conditions(draw: DrawFn, depth: int, segments: list[str]) -> Plain:
    """A condition of at most `depth` levels that may refer to `segments`."""
    kinds = LEAVES + (["segment"] if segments else []) + (BRANCHES if depth > 1 else [])
    match draw(st.sampled_from(kinds)):
        case "event":
            return draw(EVENT_TESTS)
        case "attribute":
            return draw(ATTRIBUTE_TESTS)
        case "contact":
            return draw(CONTACTS)
        case "segment":
            return {"segment": draw(st.sampled_from(segments))}
        case "not":
            return {"not": draw(conditions(depth - 1, segments))}
        case branch:
            return {branch: draw(st.lists(conditions(depth - 1, segments), min_size=1, max_size=3))}


@st.composite
def definitions(draw: DrawFn) -> Plain:
    """Two to eight segments, up to four levels deep. References have no cycles; the order of segments is any."""
    names = [f"s{index}" for index in range(draw(st.integers(2, 8)))]
    segments = {
        name: {"name": name, "owner": "growth", "members": draw(conditions(DEEPEST, names[:index]))}
        for index, name in enumerate(names)
    }
    shuffled = draw(st.permutations(names))
    policies = draw(st.fixed_dictionaries({}, optional={"default_zone": st.sampled_from(ZONES)}))
    return {"segments": {name: segments[name] for name in shuffled}} | ({"policies": policies} if policies else {})


@st.composite
def questions(draw: DrawFn) -> Plain:
    """One to four segments of one condition each, which moves with time or adds up: nothing hides its answer."""
    moving = st.builds(lambda test: {"attribute": "renews_at", **test}, AGES | NEXT | YEARLY)
    asked = draw(st.lists(st.one_of([EVENT_TESTS] * 7 + [moving]), min_size=1, max_size=4))
    segments = {f"s{index}": {"owner": "growth", "members": members} for index, members in enumerate(asked)}
    return {"segments": segments, "policies": {"default_zone": draw(st.sampled_from(ZONES))}}


HOMES = st.builds(lambda place, more: place | more, PLACES, st.sampled_from([{}, {}, {"latitude": "north"}]))
BIRTHDAYS = st.sampled_from(["1990-03-27", "2000-03-29", "1988-04-04", "1999-03-28T23:30:00Z", "2004-02-29"])
TRAITS = st.fixed_dictionaries(
    {},
    optional={
        "points": mostly(NUMBERS, STRAY, st.none()),
        "plan": mostly(PLANS, STRAY, st.none()),
        "vip": mostly(st.booleans(), STRAY, st.none()),
        "renews_at": mostly(st.one_of(TIMES, *[st.sampled_from(DATES)] * 2), STRAY, st.none()),
        "tags": mostly(LISTS, STRAY, st.none()),
        "born": mostly(BIRTHDAYS, STRAY, st.none()),
        "home": mostly(st.fixed_dictionaries({"city": mostly(TEXTS, st.none())}) | HOMES, STRAY, st.none()),
        "homes": mostly(st.lists(HOMES, max_size=2), STRAY, st.none()),
        "lines": mostly(LINES, STRAY, st.none()),
        "timezone": st.sampled_from([*ZONES, "Mars/Olympus", None]),
        "email": st.sampled_from(["MAILBOX", "MAILBOX", None]),
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "amount": mostly(NUMBERS, STRAY, st.none()),
        "kind": mostly(TEXTS, STRAY, st.none()),
        "gift": mostly(st.booleans(), STRAY),
        "due_at": TIMES,
        "app": mostly(VERSIONS, STRAY),
        "tags": mostly(LISTS, STRAY),
        "shop": mostly(st.fixed_dictionaries({"city": TEXTS}), STRAY),
        "lines": mostly(LINES, STRAY),
    },
)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "os": st.fixed_dictionaries({"name": st.sampled_from(["ios", "android", None])}),
        "app": st.fixed_dictionaries({"version": st.sampled_from(["1.9", "2.10", "2.9.5", "beta"])}),
        "device": st.just({"type": "ios", "token": "TOKEN"}),
        "locale": st.sampled_from(["en-US", "ja-JP", "ja"]),
        "timezone": st.sampled_from([*ZONES, None]),
        "location": st.fixed_dictionaries({"city": TEXTS, "country": st.sampled_from(["JP", "DE"])}) | PLACES,
    },
)
CONSENTS = st.fixed_dictionaries(
    {
        "topic": st.sampled_from([*TOPICS, "all"]),
        "channel": st.sampled_from(CHANNELS),
        "granted": st.booleans(),
    }
)
#: What kinds of calls there are, more of the frequent ones.
KINDS = ["track"] * 7 + ["page", "screen"] + ["identify"] * 5 + ["consent"] * 2 + ["alias"]
#: How many calls a history has before repetitions.
SIZES = [1, 6, 12, 16, 20, 20]


@st.composite
def histories(draw: DrawFn, *, shared_devices: bool = False) -> list[Plain]:
    """Up to about twenty messages of one to three users and as many anonymous ids, over some days, in any order.

    They come late, twice (within two hours) and with clocks that are off. Without `shared_devices` each anonymous
    id is only ever used together with one user, so that the answer does not depend on the order of arrival.
    """
    users = USERS[: draw(st.sampled_from([1, 1, 2, 3]))]
    anonymous = ANONYMOUS[: draw(st.sampled_from([1, 1, 2, 3]))]
    owners = {id_: users if shared_devices else [draw(st.sampled_from(users))] for id_ in anonymous}
    numbers = draw(st.permutations(range(draw(st.sampled_from(SIZES)))))
    history = [draw(_call(users, owners)) | {"messageId": f"m{number:02}"} for number in numbers]
    for original in draw(st.lists(st.sampled_from(history), max_size=3)):
        first_arrival = instant(original["arrival"])
        assert first_arrival is not None
        history.append(original | {"arrival": iso(first_arrival + draw(st.sampled_from([0, 1, *STEPS[:4]])))})
    return draw(st.permutations(history))


@st.composite
def _call(draw: DrawFn, users: list[str], owners: dict[str, list[str]]) -> Plain:
    kind = draw(st.sampled_from(KINDS))
    user = draw(st.sampled_from(users))
    call: Plain = {"type": "track" if kind == "consent" else kind, "context": draw(CONTEXTS)}
    if kind == "alias":
        previous = draw(st.sampled_from(sorted(owners)))
        call |= {"userId": draw(st.sampled_from(owners[previous])), "previousId": previous}
    else:
        who = draw(st.sampled_from(["user", "anonymous", "anonymous", "both"]))
        if who != "user":
            call["anonymousId"] = draw(st.sampled_from(sorted(owners)))
            user = draw(st.sampled_from(owners[call["anonymousId"]]))
        if who != "anonymous":
            call["userId"] = user
    owner = call.get("userId") or call["anonymousId"]
    if kind == "identify":
        call["traits"] = draw(TRAITS)
        if call["traits"].get("email"):
            call["traits"]["email"] = f"{owner}@example.com"
    elif kind == "consent":
        call |= {"event": "Consent Changed", "properties": draw(CONSENTS)}
    elif kind != "alias":
        call |= {"event" if kind == "track" else "name": draw(st.sampled_from(EVENTS)), "properties": draw(BODIES)}
    if "device" in call["context"]:
        call["context"]["device"] = {"type": "ios", "token": f"token-{owner}"}
    return call | draw(_clocks())


@st.composite
def _clocks(draw: DrawFn) -> Plain:
    """When it happened and when it came: mostly at once, else late, from the future, from a wrong clock or unknown."""
    time, delay = draw(MOMENTS), draw(st.sampled_from(DELAYS))
    form = draw(st.sampled_from(["plain"] * 6 + ["future", "skewed", "unknown"]))
    if form == "future":
        return {"timestamp": iso(time + delay), "arrival": iso(time)}
    if form == "skewed":
        skew = draw(st.sampled_from([-1, 1])) * draw(st.sampled_from(STEPS))
        arrival = iso(time + delay)
        return {
            "timestamp": iso(time + skew),
            "sentAt": iso(time + delay + skew),
            "receivedAt": arrival,
            "arrival": arrival,
        }
    if form == "unknown":
        return {"arrival": iso(time)}
    return {
        "timestamp": draw(st.sampled_from([iso(time), iso(time).replace("+00:00", "Z")])),
        "arrival": iso(time + delay),
    }


def instants(definitions: Plain, history: list[Plain]) -> list[int]:
    """Every time at which an answer may change, and a microsecond either side, from the first arrival on, sorted.

    These are the times and arrivals of the messages and the times in traits (a date in each zone), plus nothing or
    plus or minus any duration in the definitions; the ends of buckets plus their window; and the begin of each day. To
    draw one: `st.sampled_from(instants(...))`.
    """
    calls = [call for message in history if (call := read(message))]
    moments = {moment for call in calls for moment in (call.time, call.arrival)}
    traits = [text for call in calls for text in _texts(call.traits)]
    zones = [ZoneInfo(name) for name in ZONES]
    written = {moment for text in traits for zone in zones if (moment := instant(text, zone)) is not None}
    ages = {duration(text) for text in _texts(definitions) if text in WINDOWS}
    turns = moments | written | {moment + age for moment in moments | written for age in ages}
    turns |= {moment - age for moment in written for age in ages}
    for age in ages:
        width = max(1_000_000, -(-age // 512))
        turns |= {(moment // width + 1) * width + age for moment in moments}
    days = [f"2026-{day}" for day in ("03-27", "03-28", "03-29", "03-30", "03-31", "04-01", "04-03", "04-04", "04-05")]
    turns |= {moment for day in days for zone in zones if (moment := instant(day, zone)) is not None}
    earliest = min(call.arrival for call in calls)
    around = {turn + nudge for turn in turns for nudge in (-1, 0, 1)}
    return sorted(moment for moment in around if moment >= earliest)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
