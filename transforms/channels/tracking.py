"""Messages with tracked links: which links are, what they lead to, and what tells them apart."""

from collections.abc import Mapping

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Definitions
from transforms.channels.links import Links
from transforms.messages.definitions import Message
from transforms.messages.hrefs import Anchor, anchors_of, followed, replaced, urls_of, with_parameters, with_pixel
from transforms.messages.liquid import fill
from transforms.messages.render import Rendered
from transforms.messages.tracking import Tracking, TrackingPolicy

__all__ = ["UNTRACKED", "TrackingRules", "tracked", "tracking_of"]


class TrackingRules:
    """What definitions say about tracking: the policy, and by campaign what it says itself."""

    def __init__(self, policy: TrackingPolicy, campaigns: Mapping[str, Tracking]) -> None:
        self._policy = policy
        self._campaigns = campaigns

    def of(self, campaign: str, message: Message) -> TrackingPolicy:
        """What holds for a message of a campaign: what is said nearest to it."""
        return self._policy.but(self._campaigns.get(campaign)).but(getattr(message, "tracking", None))

    def asks(self, messages: Mapping[str, Message]) -> bool:
        """Whether opens or clicks of anything are to be tracked."""
        said = [
            self._policy,
            *self._campaigns.values(),
            *(getattr(each, "tracking", None) for each in messages.values()),
        ]
        return any(each is not None and (each.opens or each.clicks) for each in said)


UNTRACKED = TrackingRules(TrackingPolicy(), {})


def tracking_of(definitions: Definitions) -> TrackingRules:
    """What definitions say."""
    said = {name: each.tracking for name, each in definitions.campaigns.items() if each.tracking is not None}
    return TrackingRules(definitions.policies.tracking, said)


def tracked(
    rendered: Rendered, send: Send, asked: TrackingPolicy, links: Links | None, own: tuple[str, ...]
) -> Rendered:
    """A message whose links and opens are tracked, as far as its channel can.

    Without `links`, its links get parameters alone. What begins with one of `own` leads to the service itself, and
    stays as it is.
    """
    return rendered.linked(_Linking(send, asked, links, own)) if asked.changes else rendered


class _Linking:
    """Puts links in the places of those of one message; see `render.Linking`. Links to one place have one name."""

    def __init__(self, send: Send, asked: TrackingPolicy, links: Links | None, own: tuple[str, ...]) -> None:
        self._send = send
        self._asked = asked
        self._links = links
        self._own = own
        self._names: dict[str, str] = {}
        self._left: set[str] = set()
        self._of = 0

    def html(self, document: str) -> str:
        """See `Linking`."""
        document = self._with(document, anchors_of(document), quotes=True, whole=True)
        if self._asked.opens and self._links is not None:
            document = with_pixel(document, self._links.open(self._send))
        return document

    def text(self, text: str, *, whole: bool = True) -> str:
        """See `Linking`."""
        return self._with(text, urls_of(text), quotes=False, whole=whole)

    def url(self, url: str) -> str:
        """See `Linking`."""
        return self._with(url, [Anchor(0, len(url), url)], quotes=False, whole=False)

    def _with(self, text: str, anchors: list[Anchor], *, quotes: bool, whole: bool) -> str:
        self._left |= {anchor.url for anchor in anchors if anchor.left}
        meant = [(anchor, target) for anchor in anchors if (target := self._target(anchor)) is not None]
        names = [self._name(anchor, target) for anchor, target in meant]
        if whole:
            self._of = self._of or len(set(names))
        changed = []
        for (anchor, target), name in zip(meant, names, strict=True):
            url = self._with_utm(target, name)
            if self._asked.clicks and self._links is not None:
                url = self._links.click(self._send, name, url, self._of)
            if url != anchor.url:
                changed.append((anchor, url))
        return replaced(text, changed, quotes=quotes)

    def _target(self, anchor: Anchor) -> str | None:
        """What a link leads to, None where it stays as it is."""
        stays = anchor.url in self._left or anchor.url.startswith(self._own)
        return None if stays else followed(anchor.url, self._asked.schemes)

    def _name(self, anchor: Anchor, target: str) -> str:
        """What is written at it, else what the same link was called before, else its number."""
        name = anchor.name or self._names.get(target) or str(len(self._names) + 1)
        self._names.setdefault(target, name)
        return name

    def _with_utm(self, target: str, name: str) -> str:
        if not self._asked.utm or not target.startswith(("http://", "https://")):
            return target
        send = self._send
        said = {"campaign": send.campaign, "channel": send.channel, "message": send.message, "step": send.step}
        scope = {**said, "variant": send.variant or "", "link": name}
        filled = [(f"utm_{key}", fill(text, scope, escape=False).strip()) for key, text in self._asked.utm.items()]
        return with_parameters(target, filled)
