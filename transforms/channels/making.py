"""The message of a send, made whole before anything is claimed: rendered, composed, addressed, measured.

Here is the one place that catches what nobody foresaw about a message: it must cost that message, and no other.
"""

import logging
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from transforms.campaigns.effects import Send
from transforms.channels.masking import Masks
from transforms.channels.outcome import DETAIL, PASSES, Delivery, Outcome
from transforms.channels.scope import make_message
from transforms.channels.settings import MailSettings
from transforms.channels.tracking import UNTRACKED, TrackingRules, tracked
from transforms.events.plain import plain, plain_lines
from transforms.logs import fields
from transforms.messages.definitions import Message
from transforms.messages.render import Rendered, RenderError
from transforms.storage.rows import LedgerState

__all__ = ["Complaints", "content_of", "made"]

#: Of so many faults the traceback is logged.
_MOST_FAULTS = 100
#: So many characters of it are.
_LONGEST_TRACE = 20_000

_log = logging.getLogger(__name__)


class Complaints:
    """Logs the traceback of each fault once, however many sends have it; what `masks` hides is shown to nobody."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._known: set[tuple[str, ...]] = set()

    def log(self, what: str, send: Send, error: BaseException) -> None:
        """Log the error, unless the same message has raised the same at the same place before."""
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        fault = (what, send.message, send.channel, type(error).__name__, place)
        if fault in self._known or len(self._known) >= _MOST_FAULTS:
            return
        self._known.add(fault)
        trace = plain_lines(self._masks.masked("".join(traceback.format_exception(error)))[-_LONGEST_TRACE:])
        _log.error(
            "%s: send %s, message `%s`, channel %s\n%s",
            *(what, plain(send.id), send.message, send.channel, trace),
            extra=fields(campaign=send.campaign, channel=send.channel, send=send.id, reason=what),
        )

    def said(self, error: BaseException) -> str:
        """What kind of an error it is, and what it says, if it can."""
        return self._masks.masked(traceback.format_exception_only(error)[-1].strip())


def made(send: Send, make: Callable[[], Any], complaints: Complaints) -> Any:
    """What `make` makes of a send; the `Delivery` of one that cannot be made, for whatever reason.

    Raises:
      StoreError, OlderDefinitions, MemoryError, OSError: `make` raised it; it is no fault of the message.
    """
    try:
        return make()
    except PASSES:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a template and a user's values do costs this message alone
        complaints.log("a message could not be made", send, error)
        return Delivery(send, LedgerState.SUPPRESSED, "render_error", complaints.said(error)[:DETAIL])


def content_of(
    send: Send,
    message: Message,
    compose: Callable[[Send, Rendered], Any],
    *,
    settings: MailSettings,
    now_us: int,
    default_locale: str,
    tracking: TrackingRules = UNTRACKED,
    recommendations: Sequence[Any] = (),
) -> Any:
    """What `compose`, which is a channel's, makes of a message that is filled in; or the `Delivery` of a refusal.

    Args:
      send: whose message it is.
      message: as the definitions have it.
      compose: see `Channel.make`.
      settings: for links: those that templates show, and those that are tracked.
      now_us: what time it is, in microseconds.
      default_locale: where a text has neither the user's locale nor language.
      tracking: what is tracked.
      recommendations: what templates see under this name.
    """
    try:
        rendered = make_message(send, message, settings, now_us, default_locale, recommendations=recommendations)
        asked = tracking.of(send.campaign, message)
        rendered = tracked(rendered, send, asked, settings.links, settings.own_links)
    except RenderError as error:
        return Delivery(send, LedgerState.SUPPRESSED, "render_error", str(error))
    except OSError as error:  # filters read no file: it is how Python refuses some times
        raise ValueError(f"{type(error).__name__}: {error}") from error
    content = compose(send, rendered)
    return Delivery(send, content.state, content.reason, content.detail) if isinstance(content, Outcome) else content
