"""Random definitions over every form of conditions. They stay clear of what a checker may refuse."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from vocabulary import (
    CHANNELS,
    DATES,
    EVENTS,
    NUMBERS,
    PLACES,
    PLANS,
    TEXTS,
    TIMES,
    TOPICS,
    TYPES,
    VERSIONS,
    WINDOWS,
    ZONES,
    Plain,
    mostly,
)

__all__ = ["definitions", "questions"]

DEEPEST = 4
#: Of numbers Hypothesis likes the first best; of a list it takes any.
SELDOM, SOMETIMES = st.sampled_from([False] * 5 + [True]), st.sampled_from([False] * 2 + [True])


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
    "group.id": equality(st.sampled_from(["g1", "g2", "7"])),
    "group.traits.plan": text_tests(PLANS),
    "group.traits.tags[]": TEXTUAL | NUMERIC,
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


def elements() -> SearchStrategy[Plain]:
    """All of it asked of one element, or of one in it."""
    line = st.fixed_dictionaries(
        {}, optional={"price": NUMERIC | EXISTS, "category": TEXTUAL | EXISTS, "parts[].name": TEXTUAL | EXISTS}
    ).filter(bool)
    part = st.fixed_dictionaries({"parts[]": st.fixed_dictionaries({"name": TEXTUAL, "size": NUMERIC | EXISTS})})
    deeper = st.builds(lambda one, other: {**one, **other}, line, part)
    return st.fixed_dictionaries({"lines[]": line | line | deeper}) | one("tags[]", one("price", EXISTS))


def wheres() -> SearchStrategy[Plain]:
    def at(path: str) -> SearchStrategy[Plain]:
        return st.fixed_dictionaries({path: PROPERTIES[path] | EXISTS})

    single = st.sampled_from(sorted(PROPERTIES)).flatmap(at) | elements()
    return single | st.builds(lambda first, second: {**first, **second}, single, single)


NUMBERED = st.sampled_from([*["amount"] * 4, "lines[].price", "tags[]"])
VALUED = st.sampled_from([*["kind"] * 4, "amount", "gift", "shop.city", "tags[]", "lines[].category"])
#: Amounts are added up, so sums are greater than the numbers.
TOTALS = st.sampled_from([1, 2, 3, 4.5, 5, 0.1])
COUNTS = st.integers(1, 4)
#: Written with a number beyond a thousand, which no history reaches, so that they are kept in buckets.
BIG_COUNTS = mostly(
    st.builds(lambda low: {"between": [low, 2000]}, COUNTS), st.sampled_from([{"less_than": 1500}, {"more_than": 1001}])
)
FORMS = ["plain", "count", "count", "first", "last", "missing", "missing", "sequence", "sequence", "distinct", "big"]
FORMS += ["sum", "sum", "sum", "average", "minimum", "maximum"]


@st.composite
def named(draw: DrawFn) -> Plain:
    """Which events count."""
    found: Plain = {"event": draw(st.sampled_from([*EVENTS, *EVENTS, "any"]))}
    if draw(SELDOM):
        found["type"] = draw(st.sampled_from(TYPES))
    if draw(SELDOM):
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
        if draw(SOMETIMES):
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
    if form in ("plain", "count", "big", "sum") and draw(SOMETIMES):
        found["same"] = draw(VALUED)
    return found


NAMED, SEQUENCES = named(), sequences()
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
    asked = draw(st.lists(mostly(EVENT_TESTS, moving), min_size=1, max_size=4))
    segments = {f"s{index}": {"owner": "growth", "members": members} for index, members in enumerate(asked)}
    return {"segments": segments, "policies": {"default_zone": draw(st.sampled_from(ZONES))}}
