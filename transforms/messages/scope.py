"""What templates see of a user and of what happened."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["SCOPE", "scope_of"]

#: What every template may use (docs/language.md).
SCOPE = frozenset({"user", "event", "campaign", "variant", "now", "unsubscribe_url"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Now(datetime):
    """Printed as ISO 8601, which conditions on times can read."""

    def __str__(self) -> str:
        return self.isoformat()


def scope_of(
    user: str, attributes: Mapping[str, Any], zone: str, now_us: int, variant: str | None, **more: Any
) -> dict[str, Any]:
    """The variables that templates may use (docs/language.md); `variant` only where the campaign has variants.

    `user` holds the attributes, those under `context.` nested (`context.app.version` is `user.context.app.version`),
    and `id`, which no trait can replace. `now_us` is in microseconds; `now` is in the user's zone. `more` is the rest.

    Raises:
      ValueError: the zone is unknown.
    """
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {zone!r}") from error
    local = (_EPOCH + timedelta(microseconds=now_us)).astimezone(known)
    now = _Now.fromisoformat(local.isoformat()).replace(tzinfo=known, fold=local.fold)
    scope = {**more, "user": _nested(user, attributes), "now": now}
    if variant is not None:
        scope["variant"] = variant
    return scope


def _nested(user: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in attributes.items() if not key.startswith("context.")}
    context: dict[str, Any] = {}
    for key, value in attributes.items():
        if key.startswith("context."):
            *parents, name = key.split(".")[1:]
            place = context
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = value
    if context:
        found["context"] = context
    found["id"] = user
    return found
