"""The story of one user with a device, under definitions of one campaign `c` or more; what tests of campaigns share."""

from typing import Any

from core import START, Story, compile_plain, of_type

from transforms.campaigns.effects import CampaignEntered, Converted, Send, Suppressed

__all__ = ["Plain", "conversions", "definitions", "entries", "refusals", "sends", "story"]

Plain = dict[str, Any]

SEGMENTS = {
    "viewers": {"members": {"event": "Viewed", "within": "2h"}},
    "buyers": {"members": {"event": "Ordered"}},
    "vips": {"members": {"attribute": "vip", "is": True}},
    "everybody": {"members": {"any": [{"identified": True}, {"identified": False}]}},
}
TEXTS = {
    "push": {"title": "Hello"},
    "email": {"subject": "Hello", "text": "Hello"},
    "line": {"text": "Hello"},
    "inbox": {"title": "Hello"},
    "webhook": {"url": "https://example.com", "body": {}},
}


def definitions(*, policies: Plain | None = None, campaigns: dict[str, Plain] | None = None, **campaign: Any) -> Plain:
    """Campaigns that the event `Bought` triggers again and again, unless they say otherwise. Nothing settles.

    A message is called by its channel and a letter, such as `push_a`.
    """
    bodies = {name: _body(body) for name, body in (campaigns or {"c": campaign}).items()}
    used = {word for word in str(bodies).replace("'", " ").split() if word.rpartition("_")[0] in TEXTS}
    messages = {name: {"channel": name.rpartition("_")[0], **TEXTS[name.rpartition("_")[0]]} for name in sorted(used)}
    policies = {"settling": "0s", **(policies or {})}
    return {"segments": SEGMENTS, "campaigns": bodies, "messages": messages, "policies": policies}


def _body(campaign: Plain) -> Plain:
    body = {"trigger": {"event": "Bought"}, "steps": [{"send": "push_a"}], **campaign}
    if "transactional" not in body:
        body.setdefault("consent", "offers")
    if {"event", "schedule"} & body["trigger"].keys():
        body.setdefault("reenter", "always")
    if {"announcement", "schedule"} & body["trigger"].keys():
        body.setdefault("audience", {"segment": "everybody"})
    return body


def story(user: str = "u", *, traits: Plain | None = None, **more: Any) -> Story:
    """The story of a user with one device, and attributes, from the start on."""
    told = Story(compile_plain(definitions(**more)), user)
    told.device(0)
    if traits:
        told.identify(0, traits)
    return told


def sends(told: Story) -> list[tuple[str, str, int]]:
    """Every send as (campaign, message, microseconds after the start)."""
    return [(send.campaign, send.message, send.decided_at - START) for send in of_type(Send, told.effects)]


def refusals(told: Story) -> list[tuple[str, str, int]]:
    """Every refusal as (step, reason, microseconds after the start)."""
    return [(refused.step, refused.reason, refused.at - START) for refused in of_type(Suppressed, told.effects)]


def entries(told: Story) -> list[tuple[str | None, bool]]:
    """The arm of every entry: variant, and whether it was held out."""
    return [(entry.variant, entry.held_out) for entry in of_type(CampaignEntered, told.effects)]


def conversions(told: Story) -> list[tuple[str, bool, float, int]]:
    """Every conversion as (goal, whether the first, value, microseconds after the start)."""
    return [(each.goal, each.first, each.value, each.at - START) for each in of_type(Converted, told.effects)]
