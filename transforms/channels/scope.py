"""A message made of a send, and what its templates can see of it."""

from collections.abc import Sequence
from typing import Any

from transforms.campaigns.effects import Send
from transforms.channels.settings import MailSettings
from transforms.messages.definitions import Message
from transforms.messages.render import Rendered, RenderError, render
from transforms.messages.scope import RECOMMENDATIONS
from transforms.messages.scope import scope_of as messages_scope

__all__ = ["make_message", "scope_of"]


def make_message(
    send: Send,
    message: Message,
    settings: MailSettings,
    now_us: int,
    default_locale: str,
    *,
    recommendations: Sequence[Any] = (),
) -> Rendered:
    """The message of a send, filled in at a time in microseconds.

    Raises:
      RenderError: it must not go out; the text says which field and why.
    """
    try:
        scope = scope_of(send, settings.unsubscribe_url(send), now_us)
        scope["preferences_url"] = settings.preferences_url(send)
        scope[RECOMMENDATIONS] = [*recommendations]
        if settings.secrets is not None:
            scope["secrets"] = settings.secrets
        return render(message, scope, send.locale, default_locale)
    except ValueError as error:
        raise RenderError(str(error)) from error


def scope_of(send: Send, unsubscribe_url: str, now_us: int) -> dict[str, Any]:
    """The variables that the templates of a send may use, at a time in microseconds.

    Raises:
      ValueError: the send names an unknown time zone.
    """
    said = {"event": send.event, "campaign": send.campaign, "unsubscribe_url": unsubscribe_url}
    more = {**(send.template_events or {}), **said}
    return messages_scope(send.user, send.attributes, send.zone, now_us, variant=send.variant, more=more)
