"""What campaigns, as they are defined now, say about sends that were decided already."""

from collections.abc import Mapping

import msgspec

from transforms.campaigns.load import Definitions

__all__ = ["Rule", "Rules", "rules_of"]


class Rule(msgspec.Struct, frozen=True):
    """What one campaign says.

    `resend`: what nobody knows to have gone out goes out again. `broadcast`: it reaches many at once, so that a mailbox
    that several share gets one mail of it. `scheduled`: it goes out at planned times. `interval` is the time between
    two of its sends, in microseconds, None for any. Below a `priority` sends may be held back; None: never, as of
    transactional campaigns.
    """

    status: str = "live"
    resend: bool = False
    broadcast: bool = False
    scheduled: bool = False
    interval: float | None = None
    priority: int | None = None


#: By campaign; one that is not there is gone.
Rules = Mapping[str, Rule]


def rules_of(definitions: Definitions) -> Rules:
    """What all campaigns say."""
    return {
        name: Rule(
            campaign.status,
            resend=campaign.on_unknown == "resend",
            broadcast=campaign.trigger.of_kind.broadcast,
            scheduled=campaign.trigger.kind == "schedule",
            interval=campaign.rate.per / campaign.rate.at_most if campaign.rate is not None else None,
            priority=None if campaign.transactional else campaign.priority,
        )
        for name, campaign in definitions.campaigns.items()
    }
