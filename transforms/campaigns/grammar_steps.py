"""The steps of a campaign read from a definition file, with those inside others."""

from collections.abc import Collection
from typing import Any

from transforms.campaigns.definitions import ALL_VARIANTS, Step, TriggerRule
from transforms.campaigns.grammar_triggers import read_minute, read_same, read_zone
from transforms.campaigns.schedule import EACH_USER
from transforms.identity.profile import RESERVED
from transforms.segments.conditions import Condition
from transforms.segments.document import Document, Node, Problems
from transforms.segments.grammar import ConditionArm, read_condition, read_filter
from transforms.segments.operators import read_duration
from transforms.segments.synonyms import hint

__all__ = ["MAX_DEPTH", "STEPS", "WAITS", "StepReader"]

#: The kinds of steps, and of waits but for a duration.
STEPS = ("send", "wait", "if", "set", "end")
WAITS = ("until", "for")
#: As deep as conditions nest.
MAX_DEPTH = 32

#: What may stand beside each kind.
_BESIDE = {"send": ("unless",), "if": ("then", "else")}


class StepReader:
    """Reads the steps of one campaign.

    Args:
      messages: ids of what may be sent.
      variants: those of the campaign, in their order.
      given: the names under `with`, which templates may use.
      trigger: what `same` refers to; None where it has mistakes.
    """

    def __init__(
        self,
        messages: Collection[str],
        variants: tuple[str, ...],
        given: Collection[str],
        trigger: TriggerRule | None,
        problems: Problems,
    ) -> None:
        self.messages = messages
        self.variants = variants
        self.given = given
        self.trigger = trigger
        self.problems = problems
        self._ids: set[str] = set()
        self._count = 0

    def read(self, node: Node, depth: int = 1) -> tuple[Step, ...]:
        """Read a list of steps; those with mistakes are left out after the mistakes were noted."""
        if depth > MAX_DEPTH:
            self.problems.add(node, f"steps nest at most {MAX_DEPTH} deep")
            return ()
        instead = "a list with it: [{…}]" if isinstance(node.value, dict) else ""
        items = self.problems.sequence(node, "steps", instead or _send(node)) or []
        found = [self._step(item, depth) for item in items]
        return tuple(step for step in found if step is not None)

    def _step(self, node: Node, depth: int) -> Step | None:
        self._count += 1
        position = self._count
        keys = ("id", *STEPS, *(key for keys in _BESIDE.values() for key in keys))
        fields = self.problems.mapping(node, keys, instead=_send(node))
        kind = self.problems.one_key(node, fields, STEPS) if fields is not None else None
        if fields is None or kind is None:
            return None
        self._check_beside(kind, fields)
        parts = self._parts(kind, node, fields, depth)
        name = self.problems.text(fields["id"]) if "id" in fields else None
        if name is not None:
            self.problems.check_id(name, fields["id"])
        if parts is None:
            return None
        messages = parts.get("messages", {}).get(ALL_VARIANTS, ())
        step = Step(name or (messages[0] if len(messages) == 1 else f"{kind}_{position}"), kind, **parts)
        if step.id in self._ids:
            cause = f"step id `{step.id}` is taken: write an `id:`, since running journeys remember it"
            self.problems.add(node, cause)
        self._ids.add(step.id)
        return step

    def _check_beside(self, kind: str, fields: Document) -> None:
        for other, keys in _BESIDE.items():
            for key in keys:
                if key in fields and other != kind:
                    self.problems.add(fields[key], f"`{key}` goes with `{other}` only")

    def _parts(self, kind: str, node: Node, fields: Document, depth: int) -> dict[str, Any] | None:
        """What a step of a kind says."""
        if kind == "wait":
            return self._wait(fields["wait"])
        if kind == "if":
            return self._if(node, fields, depth)
        if kind == "set":
            values = self._values(fields["set"])
            return {"values": values} if values else None
        if kind == "end":
            if self.problems.boolean(fields["end"]) is False:
                self.problems.add(fields["end"], "expected true; leave the step out where nothing ends")
            return {}
        messages = self._messages(fields["send"])
        if not messages:
            return None
        return {"messages": messages, "conditions": self._conditions(fields["unless"]) if "unless" in fields else {}}

    def _if(self, node: Node, fields: Document, depth: int) -> dict[str, Any]:
        if "then" not in fields:
            self.problems.add(node, "`then` is missing: write the steps for those for whom it holds")
        conditions = self._conditions(fields["if"])
        then, otherwise = (self.read(fields[key], depth + 1) if key in fields else () for key in ("then", "else"))
        return {"conditions": conditions, "then": then, "otherwise": otherwise}

    def _conditions(self, node: Node) -> dict[str, Condition]:
        """A condition by variant where it asks for it."""
        every = self.variants or ("",)
        first = read_condition(node, self.problems, ConditionArm(self.variants, every[0]))
        if first is None:  # read once more, it would have the same mistakes
            return {}
        read = {mine: read_condition(node, self.problems, ConditionArm(self.variants, mine)) or first for mine in every}
        return read if any(condition != first for condition in read.values()) else {ALL_VARIANTS: first}

    def _wait(self, node: Node) -> dict[str, Any] | None:
        if not isinstance(node.value, dict):
            length = read_duration(node, self.problems)
            return None if length is None else {"length": length}
        fields = self.problems.mapping(node, (*WAITS, "zone", "at_most"))
        kind = self.problems.one_key(node, fields, WAITS) if fields is not None else None
        if fields is None or kind is None:
            return None
        for key, other in (("zone", "until"), ("at_most", "for")):
            if key in fields and other != kind:
                self.problems.add(fields[key], f"`{key}` goes with `{other}` only")
        if kind == "until":
            minute, zone = read_minute(fields["until"], self.problems), read_zone(fields, EACH_USER, self.problems)
            return None if minute is None or zone is None else {"minute": minute, "zone": zone}
        if "at_most" not in fields:
            self.problems.add(node, "`at_most` is missing: nobody waits for ever")
            return None
        length = read_duration(fields["at_most"], self.problems)
        keys = ("event", "type", "where", "same")
        instead = f"{{event: {fields['for'].written}}}" if isinstance(fields["for"].value, str) else ""
        awaited = self.problems.mapping(fields["for"], keys, required=("event",), instead=instead)
        if length is None or awaited is None or "event" not in awaited:
            return None
        same = read_same(awaited, self.trigger, self.problems)
        return {"length": length, "events": read_filter(awaited, self.problems), "same": same}

    def _values(self, node: Node) -> dict[str, Any]:
        from transforms.messages.liquid import mistakes  # noqa: PLC0415 - a tenth of a second that few definitions need

        if not isinstance(node.value, dict) or not node.value:
            self.problems.add(node, f"expected attributes with their values; found {node.kind}")
            return {}
        for name, child in node.value.items():
            if name.startswith(RESERVED) or not name:
                what = "an attribute that can be set is no part of the context or of a group, and has a name"
                self.problems.add(child, what)
            if isinstance(child.value, dict | list):
                self.problems.add(child, f"expected text, a number, true, false or nothing; found {child.kind}")
            elif isinstance(child.value, str):
                for mistake in mistakes(child.value, self.given):
                    place = f" in line {mistake.line} of the text" if "\n" in child.value else ""
                    self.problems.add(child, f"{mistake.cause}{place}{mistake.more}")
        return {name: child.plain() for name, child in node.value.items()}

    def _messages(self, node: Node) -> dict[str, tuple[str, ...]]:
        if not isinstance(node.value, dict):
            names = self._names(node)
            return {ALL_VARIANTS: names} if names else {}
        if not self.variants:
            self.problems.add(node, "sending by variant needs a campaign with `variants`")
            return {}
        for variant in node.value.keys() - set(self.variants):
            self.problems.add(node.value[variant], f"there is no variant `{variant}`: {', '.join(self.variants)}")
        found = {variant: self._names(child) for variant, child in node.value.items()}
        for variant in self.variants:
            if variant not in found:
                self.problems.add(node, f"sends nothing to variant `{variant}`")
        return {variant: names for variant, names in found.items() if names}

    def _names(self, node: Node) -> tuple[str, ...]:
        names = []
        for item in node.value if isinstance(node.value, list) else [node]:
            name = self.problems.text(item)
            if name is not None and name not in self.messages:
                self.problems.add(item, f"sends message `{name}`, which does not exist{hint(name, self.messages)}")
            names.append(name)
        if not names:
            self.problems.add(node, "expected a message, or a list of them")
        return tuple(name for name in names if name is not None)


def _send(node: Node) -> str:
    """What a name in place of a step may mean."""
    return f"{{send: {node.written}}}" if isinstance(node.value, str) else ""
