"""Who owns a device token or an address: this is written to the store, where other users' steps learn it."""

from functools import cache

from transforms.events.event import Event
from transforms.events.records import RECORDS
from transforms.identity.channels import attributes_of, channels
from transforms.users.editor import UserEditor
from transforms.users.effects import Linked
from transforms.users.user import Merge

__all__ = ["link", "link_again", "link_tokens", "linked_channels"]


def link_tokens(editor: UserEditor, merge: Merge) -> None:
    """Say who owns the tokens of a past, each time it comes; see `link_again`."""
    for token in sorted({*merge.user.profile.live_tokens()} & {*editor.profile.live_tokens()}):
        editor.emit(Linked("token", token, editor.id, merge.user.profile.tokens[token][0]))


def link(editor: UserEditor, event: Event, facts: list[str]) -> None:
    """Say who owns a token or address that is new."""
    if "#reachable" in facts and event.type not in RECORDS:
        editor.emit(Linked("token", event.context["device"]["token"], editor.id, event.time))
    for channel, attributes in linked_channels():
        if not attributes.isdisjoint(facts) and editor.is_identified():
            for address in editor.addresses(channel):
                editor.emit(Linked("address", address, editor.id, event.time))


@cache
def linked_channels() -> tuple[tuple[str, frozenset[str]], ...]:
    """The channels whose owners of addresses the store keeps, with the attributes that addresses are made of."""
    return tuple((name, frozenset(attributes_of(name))) for name, channel in channels().items() if channel.linked)


def link_again(editor: UserEditor, event: Event) -> None:
    """Say once more who owns a token: a process may have died before it told the former owner."""
    device = event.context.get("device")
    token = device.get("token") if isinstance(device, dict) else None
    if isinstance(token, str) and token in editor.profile.live_tokens():
        editor.emit(Linked("token", token, editor.id, event.time))
