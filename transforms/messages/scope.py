"""What templates see of a user and of events."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from transforms.events.plain import quoted

__all__ = ["RECOMMENDATIONS", "RESERVED", "SCOPE", "scope_of"]

#: The names that every template may use (docs/reference/messages.md).
SCOPE = frozenset({"user", "event", "campaign", "variant", "now", "unsubscribe_url", "preferences_url"})
#: What messages see of what is recommended, where definitions have a section `recommend`.
RECOMMENDATIONS = "recommendations"
_LIQUID_WORDS = (
    "true false nil null empty blank and or not contains in if else with for as continue limit offset cols reversed"
)
#: Names that are not allowed under `with`: the scope, and what Liquid reads as something else.
RESERVED = SCOPE | {RECOMMENDATIONS, "secrets", "forloop", "tablerowloop", *_LIQUID_WORDS.split()}

#: The prefixes of attributes that are nested.
_PARTS = ("context.", "group.")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Now(datetime):
    """Printed as ISO 8601, which conditions on times can read."""

    def __str__(self) -> str:
        return self.isoformat()


def scope_of(
    user: str, attributes: Mapping[str, Any], zone: str, now_us: int, *, variant: str | None, more: Mapping[str, Any]
) -> dict[str, Any]:
    """The variables of templates (docs/reference/messages.md); `variant` only where the campaign has variants.

    `user` holds the attributes, those under `context.` and `group.` nested (`context.app.version` is
    `user.context.app.version`), and `id`, which no trait can replace. `now_us` is in microseconds; `now` is in the
    user's zone. `more` is the rest, under names of its own.

    Raises:
      ValueError: the zone is unknown.
    """
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {quoted(zone)}") from error
    local = (_EPOCH + timedelta(microseconds=now_us)).astimezone(known)
    now = _Now.fromisoformat(local.isoformat()).replace(tzinfo=known, fold=local.fold)
    scope = {**more, "user": _nested(user, attributes), "now": now}
    if variant is not None:
        scope["variant"] = variant
    return scope


def _nested(user: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in attributes.items() if not key.startswith(_PARTS)}
    for part in _PARTS:
        if said := _part(part, attributes):
            name = part.rstrip(".")
            mine = found.get(name)  # a trait of that name: what it has beside is still seen
            found[name] = mine | said if isinstance(mine, dict) else said
    found["id"] = user
    return found


def _part(part: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with a prefix, nested."""
    found: dict[str, Any] = {}
    for key in sorted(key for key in attributes if key.startswith(part)):
        *parents, name = key.split(".")[1:]
        place: Any = found
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        # Of `a` and `a.b`, which one event can hold, `a` wins. Its own content belongs to the user's attributes.
        if isinstance(place, dict):
            place[name] = dict(attributes[key]) if isinstance(attributes[key], dict) else attributes[key]
    return found
