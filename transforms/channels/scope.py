"""A message made of a send, and what its templates can see of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from transforms.campaigns.effects import Send
from transforms.channels.settings import MailSettings
from transforms.messages.definitions import Message
from transforms.messages.render import RenderedMail, RenderedPush, RenderError, render

__all__ = ["make_message", "scope_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_message(
    send: Send, message: Message, settings: MailSettings, now_us: int, default_locale: str
) -> RenderedPush | RenderedMail:
    """The message of a send, filled in at a time in microseconds.

    Raises:
      RenderError: it must not go out; the text says which field and why.
    """
    try:
        return render(message, scope_of(send, settings.unsubscribe_url(send), now_us), send.locale, default_locale)
    except ValueError as error:
        raise RenderError(str(error)) from error


def scope_of(send: Send, unsubscribe_url: str, now_us: int) -> dict[str, Any]:
    """The variables that templates may use (docs/language.md); `variant` only where the campaign has variants.

    `user` holds the attributes, those under `context.` nested (`context.app.version` is `user.context.app.version`),
    and `id`, which no trait can replace. `now_us` is in microseconds; `now` is in the user's zone.

    Raises:
      ValueError: the send names an unknown time zone.
    """
    try:
        zone = ZoneInfo(send.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {send.zone!r}") from error
    scope: dict[str, Any] = {
        "user": _user(send),
        "event": send.event,
        "campaign": send.campaign,
        "now": (_EPOCH + timedelta(microseconds=now_us)).astimezone(zone),
        "unsubscribe_url": unsubscribe_url,
    }
    if send.variant is not None:
        scope["variant"] = send.variant
    return scope


def _user(send: Send) -> dict[str, Any]:
    user = {key: value for key, value in send.attributes.items() if not key.startswith("context.")}
    context: dict[str, Any] = {}
    for key, value in send.attributes.items():
        if key.startswith("context."):
            *parents, name = key.split(".")[1:]
            place = context
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = value
    if context:
        user["context"] = context
    user["id"] = send.user
    return user
