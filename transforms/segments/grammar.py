"""The condition language: conditions read from a definition file, every mistake noted at its place."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from transforms.events.channels import installed
from transforms.identity.profile import CONTEXT_NAMES, GROUP_ID, GROUP_TRAITS
from transforms.segments.conditions import (
    All,
    Any_,
    Attribute,
    Bucket,
    Condition,
    Consented,
    Identified,
    Near,
    Not,
    Reachable,
    SegmentRef,
)
from transforms.segments.document import Node, Problems
from transforms.segments.grammar_events import read_event, read_filter, read_sequence
from transforms.segments.operators import OPERATORS, canonical_number, read_operator, read_path
from transforms.segments.synonyms import meant

__all__ = [
    "FARTHEST_KM",
    "FORMS",
    "LOCATION",
    "MAX_DEPTH",
    "ConditionArm",
    "read_condition",
    "read_filter",
    "warn_of_surprises",
]

#: LANGUAGE: conditions nest at most 32 deep.
MAX_DEPTH = 32

#: An attribute in several parts, which `near` reads together.
LOCATION = "context.location"
#: No two places are farther apart: half of the equator is 20,038 km.
FARTHEST_KM = 20_100


class ConditionArm(NamedTuple):
    """The arm that a campaign's condition is read for: the variant `mine` of these; empty without variants."""

    variants: Collection[str]
    mine: str


class _Place(NamedTuple):
    """How deep a condition is nested, and the arm it is read for (None outside campaigns)."""

    depth: int
    arm: ConditionArm | None


def read_condition(node: Node, problems: Problems, arm: ConditionArm | None = None, depth: int = 1) -> Condition | None:
    """Read one condition and everything inside it, noting every mistake; None if there was one.

    `arm` answers `variant:` conditions, which only campaigns have: the result has none.
    """
    if depth > MAX_DEPTH:
        problems.add(node, f"conditions nest at most {MAX_DEPTH} deep")
        return None
    if not isinstance(node.value, dict):
        problems.add(
            node, f"expected a condition such as {{event: Order Completed}}; found {node.kind}{_instead(node)}"
        )
        return None
    forms = [key for key in node.value if key in FORMS]
    if len(forms) != 1:
        found = " and ".join(f"`{key}`" for key in forms or node.value) or "nothing"
        known = [form for form in FORMS if form != "variant" or arm is not None]
        word = None if forms else next((word for key in node.value if (word := meant(key, known))), None)
        hint = f"; did you mean `{word}`?" if word else ""
        problems.add(node, f"expected one of {', '.join(known)}; found {found}{hint}")
        return None
    before = problems.mistakes
    condition = FORMS[forms[0]](node, problems, _Place(depth, arm))
    return condition if problems.mistakes == before else None


def _instead(node: Node) -> str:
    """A hint for something that is no condition: what may have been meant."""
    if isinstance(node.value, list):
        return "; several are {all: […]} or {any: […]}"
    return f"; write {{event: {node.written}}} or {{segment: …}}" if isinstance(node.value, str) else ""


def _read_parts(node: Node, problems: Problems, place: _Place, key: str) -> tuple[Condition, ...]:
    problems.mapping(node, (key,))
    one = node.value[key]
    items = problems.sequence(one, "conditions", f"{key}: [{{…}}]" if isinstance(one.value, dict) else "") or []
    parts = [read_condition(item, problems, place.arm, place.depth + 1) for item in items]
    return tuple(part for part in parts if part is not None)


def _read_all(node: Node, problems: Problems, place: _Place) -> Condition | None:
    return All(_read_parts(node, problems, place, "all"))


def _read_any(node: Node, problems: Problems, place: _Place) -> Condition | None:
    return Any_(_read_parts(node, problems, place, "any"))


def _read_not(node: Node, problems: Problems, place: _Place) -> Condition | None:
    problems.mapping(node, ("not",))
    part = read_condition(node.value["not"], problems, place.arm, place.depth + 1)
    return None if part is None else Not(part)


def _read_segment(node: Node, problems: Problems, _place: _Place) -> Condition | None:
    problems.mapping(node, ("segment",))
    asked = node.value["segment"]
    name = problems.text(asked, "{any: [{segment: …}, …]}" if isinstance(asked.value, list) else "")
    return None if name is None else SegmentRef(name)


def _read_identified(node: Node, problems: Problems, _place: _Place) -> Condition | None:
    problems.mapping(node, ("identified",))
    value = problems.boolean(node.value["identified"])
    return Identified() if value or value is None else Not(Identified())


def _read_reachable(node: Node, problems: Problems, _place: _Place) -> Condition | None:
    problems.mapping(node, ("reachable",))
    channel = problems.channel(node.value["reachable"])
    return None if channel is None else Reachable(channel)


def _read_consented(node: Node, problems: Problems, _place: _Place) -> Condition | None:
    problems.mapping(node, ("consented",))
    asked = node.value["consented"]
    topic_of = asked.written if isinstance(asked.value, str) else "…"
    instead = f"{{topic: {topic_of}, channel: {next(iter(installed()))}}}"
    fields = problems.mapping(asked, ("topic", "channel"), required=("topic", "channel"), instead=instead)
    if not fields or len(fields) != 2:
        return None
    topic, channel = problems.text(fields["topic"]), problems.channel(fields["channel"])
    return None if topic is None or channel is None else Consented(topic, channel)


def _read_attribute(node: Node, problems: Problems, _place: _Place) -> Condition | None:
    fields = problems.mapping(node, ("attribute", *OPERATORS))
    asked = node.value["attribute"]
    path = read_path(asked, problems, "{attribute: plan, is: pro}" if isinstance(asked.value, dict) else "")
    chosen = problems.one_key(node, fields or {}, OPERATORS)
    operator = read_operator(chosen, node.value[chosen], problems) if chosen else None
    if path is None or operator is None:
        return None
    name, inner = _split_attribute(path)
    _check_kept(name, inner, node.value["attribute"], problems)
    return Attribute(name, inner, operator)


def _check_kept(name: str, inner: str, node: Node, problems: Problems) -> None:
    if not inner and name not in (*CONTEXT_NAMES, GROUP_ID) and not name.startswith(f"{LOCATION}."):
        known = ", ".join((*CONTEXT_NAMES, f"{LOCATION}.*"))
        problems.add(node, f"not kept of the context; kept are {known}")


def _split_attribute(path: str) -> tuple[str, str]:
    """`context.app.version` and `group.id` are one attribute each.

    The first step of a trait's path is the attribute, and the rest leads inside it. The same holds after
    `group.traits.`.
    """
    if path.startswith("context.") or path == GROUP_ID:
        return path, ""
    before = GROUP_TRAITS if path.startswith(GROUP_TRAITS) else ""
    inner = path.removeprefix(before)
    return before + inner.split(".", 1)[0].removesuffix("[]"), path


def _read_bucket(node: Node, problems: Problems, _place: _Place) -> Condition | None:
    problems.mapping(node, ("bucket",))
    keys = ("salt", "from", "below")
    fields = problems.mapping(node.value["bucket"], keys, required=keys, instead="{salt: any text, from: 0, below: 10}")
    if not fields or len(fields) != len(keys):
        return None
    salt = problems.text(fields["salt"])
    low, high = (problems.number(fields[key], 0, 100) for key in ("from", "below"))
    if salt is None or low is None or high is None:
        return None
    if low >= high:
        problems.add(node.value["bucket"], f"can never hold: nobody is at or above {low} and below {high}")
    return Bucket(salt, canonical_number(low), canonical_number(high))


def _read_near(node: Node, problems: Problems, _place: _Place) -> Condition | None:
    problems.mapping(node, ("near",))
    keys = ("attribute", "latitude", "longitude", "within_km")
    fields = problems.mapping(node.value["near"], keys, required=keys)
    if not fields or len(fields) != len(keys):
        return None
    path = read_path(fields["attribute"], problems)
    latitude = problems.number(fields["latitude"], -90, 90)
    longitude = problems.number(fields["longitude"], -180, 180)
    within = problems.number(fields["within_km"], 0, FARTHEST_KM)
    if path is None or latitude is None or longitude is None or within is None:
        return None
    name, inner = _split_attribute(path)
    if not inner and name != LOCATION:
        problems.add(fields["attribute"], f"no place is kept there; the context's is {LOCATION}")
    return Near(name, inner, *(canonical_number(value) for value in (latitude, longitude, within)))


def _read_variant(node: Node, problems: Problems, place: _Place) -> Condition | None:
    problems.mapping(node, ("variant",))
    if place.arm is None:
        problems.add(node, "`variant` is for `if` and `unless` of campaigns: it is decided at entry")
        return None
    if not place.arm.variants:
        problems.add(node, "`variant` needs a campaign with `variants`")
        return None
    name = problems.text(node.value["variant"])
    if name is not None and name not in place.arm.variants:
        problems.add(node.value["variant"], f"there is no variant `{name}`: {', '.join(place.arm.variants)}")
    return All(()) if name == place.arm.mine else Any_(())  # which always hold, and never


#: The forms of conditions by the key that tells them, with what reads each.
FORMS: dict[str, Callable[[Node, Problems, _Place], Condition | None]] = {
    "all": _read_all,
    "any": _read_any,
    "not": _read_not,
    "attribute": _read_attribute,
    "event": read_event,
    "sequence": read_sequence,
    "segment": _read_segment,
    "identified": _read_identified,
    "reachable": _read_reachable,
    "consented": _read_consented,
    "bucket": _read_bucket,
    "near": _read_near,
    "variant": _read_variant,
}


def warn_of_surprises(node: Node, problems: Problems) -> None:
    """Warn of `is_not` and `not_in` of attributes anywhere below a node."""
    if isinstance(node.value, list):
        for child in node.value:
            warn_of_surprises(child, problems)
    elif isinstance(node.value, dict):
        for name, plain in (("is_not", "is"), ("not_in", "in")):
            if "attribute" in node.value and name in node.value:
                path = node.value["attribute"].plain()
                cause = f"`{name}` is false for users without `{path}`; `not: {{… {plain}: …}}` takes them in"
                problems.add(node.value[name], cause, warning=True)
        for child in node.value.values():
            warn_of_surprises(child, problems)
