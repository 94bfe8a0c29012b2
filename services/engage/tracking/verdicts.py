"""Who touched: a person, or a machine. The touches of one message are judged together, a moment after the first.

Decision 0083 says why each rule is there. Times are microseconds UTC.
"""

from collections.abc import Sequence

from services.engage.tracking.touches import CLICKED, VISITED, Touch
from transforms.segments.values import SECOND

__all__ = ["TOGETHER", "judged"]

#: Touches of a message so long after the first of them are judged with it.
TOGETHER = 10 * SECOND
#: Nobody reads a message so soon after it was handed to its provider.
EARLY = 3 * SECOND
#: Nobody follows so many links, or all there are, in such a time.
AT_ONCE, MANY = 3 * SECOND, 5
#: All links of a message that has so many, in the whole moment.
ALL_OF = 4

#: The words of verdicts, beside those of `machines`.
_EARLY, _TOGETHER = "early", "all_links"
_LEAVING = "\0leaving"


def judged(touches: Sequence[Touch], handed_off: int | None) -> list[str]:
    """The word for the machine that touched, for each of these, in their order; empty: a person.

    Args:
      touches: those of one message in one moment, by their times.
      handed_off: when it went to its provider; None where nobody knows.
    """
    followed = _followed_at_once([touch for touch in touches if not touch.by])
    verdicts = []
    for touch in touches:
        early = handed_off is not None and touch.at < handed_off + EARLY
        verdicts.append(touch.by or (_EARLY if early else _TOGETHER if touch.id in followed else ""))
    return verdicts


def _followed_at_once(touches: Sequence[Touch]) -> set[str]:
    """The ids of clicks that came with those of all other links, or of very many.

    The link that unsubscribes is one more. What gave itself away already says nothing of others: a scanner looks at a
    link while its reader follows it.
    """
    links = [touch for touch in touches if touch.kind in (CLICKED, VISITED)]
    found: set[str] = set()
    for place, first in enumerate(links):
        together = [touch for touch in links[place:] if touch.at <= first.at + AT_ONCE]
        if _is_all(together, 2) or len(_names(together)) >= MANY:
            found.update(touch.id for touch in together)
    if _is_all(links, ALL_OF):
        found.update(touch.id for touch in links)
    return found


def _names(touches: Sequence[Touch]) -> set[str]:
    return {_LEAVING if touch.kind == VISITED else touch.link for touch in touches}


def _is_all(touches: Sequence[Touch], least: int) -> bool:
    """Whether these are all links of the message, of which there are so many at least."""
    names = _names(touches)
    of = max((touch.of for touch in touches), default=0)
    return of > 0 and len(names - {_LEAVING}) >= of and len(names) >= least
