"""What a `set` step writes to a user's attributes."""

from collections.abc import Mapping
from typing import Any

from transforms.campaigns.definitions import Step
from transforms.campaigns.journey import Subject
from transforms.campaigns.user_view import UserView
from transforms.messages.scope import scope_of

__all__ = ["values_of"]


def values_of(
    step: Step, subject: Subject, user: UserView, now: int, *, campaign: str, more: Mapping[str, Any]
) -> dict[str, Any]:
    """The attributes with their values, texts filled in; None stands for one that is to be deleted.

    Raises:
      ValueError: a text cannot be filled in; nothing may be written then.
    """
    if not any(isinstance(value, str) and "{" in value for value in step.values.values()):
        return step.values
    from transforms.messages.liquid import fill  # noqa: PLC0415 - a tenth of a second that few definitions need

    said = {**more, "event": subject.event, "campaign": campaign}
    scope = scope_of(user.id, user.profile.values(), user.zone, now, variant=subject.variant, more=said)
    return {
        name: fill(value, scope, escape=False) if isinstance(value, str) else value
        for name, value in step.values.items()
    }
