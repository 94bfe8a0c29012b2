"""How far back conditions may look: no further than the archive keeps events, since new conditions are made from it."""

from collections.abc import Iterable, Mapping

from transforms.campaigns.index import asker_of
from transforms.segments.conditions import Condition, EventCondition, Sequence
from transforms.segments.document import Node, Problems
from transforms.segments.warming import atoms
from transforms.segments.written import condition_text

__all__ = ["check_retention"]


def check_retention(
    conditions: Iterable[tuple[str, Condition]], kept: int, places: Mapping[str, Node], problems: Problems
) -> None:
    """Note conditions on events that look back further than `kept` microseconds.

    Args:
      conditions: by the names of who asks them.
      kept: how long the archive keeps events.
      places: of segments and campaigns, by id.
      problems: to note them in.
    """
    for name, condition in conditions:
        for atom in atoms(condition):
            if isinstance(atom, EventCondition) and _longest(atom) > kept:
                cause = (
                    f"`{condition_text(atom)}` looks back further than the archive keeps events "
                    "(`policies.retention`): a shorter window, or a longer retention"
                )
                problems.add(places[asker_of(name)], cause)


def _longest(condition: EventCondition) -> int:
    """The longest window or age, in microseconds; 0 for what asks of all time, or since a date."""
    found = [getattr(condition, "within", None), getattr(condition, "age", None)]
    if isinstance(condition, Sequence):
        found += [step.within for step in condition.steps]
    return max(each or 0 for each in found)
