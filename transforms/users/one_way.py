"""Handles of messages that any worker may acknowledge: nobody counts them, so each goes one way.

Of the outputs of a message only the one that ends its account carries its handle. What a bundle makes by itself, or
passes on beside it, carries none.
"""

from collections.abc import Iterable, Sequence

import msgspec

from transforms.users.effects import Account, Effect, Forward
from transforms.users.user import Input

__all__ = ["last_alone", "one_way"]


def one_way(inputs: Iterable[Input], effects: Sequence[Effect]) -> tuple[Sequence[Effect], list[str]]:
    """Effects of inputs of which at most one carries the handle of each, and the handles of those that end here."""
    handles = {item.handle: item.id for item in inputs if item.handle}
    going_on = [each for each in effects if _handle(each)]
    if not going_on:  # nearly always
        return effects, [*handles]
    accounted = {each.message for each in effects if isinstance(each, Account) and each.event is None}
    carried: dict[str, Effect] = {}
    for each in going_on:
        handle = _handle(each)
        if isinstance(each, Account):
            carried[handle] = each
        elif handles.get(handle) not in accounted:  # the first: an alias goes first to the id that says how it ended
            carried.setdefault(handle, each)
    kept = [each if carried.get(_handle(each)) is each else _bare(each) for each in effects]
    return kept, [handle for handle in handles if handle not in carried]


def last_alone(inputs: Sequence[Input]) -> list[Input]:
    """Inputs of one message, of which only the last carries its handle."""
    return [*(msgspec.structs.replace(item, handle="") for item in inputs[:-1]), *inputs[-1:]]


def _handle(effect: Effect) -> str:
    if isinstance(effect, Forward):
        return effect.input.handle
    return effect.event.handle if isinstance(effect, Account) and effect.event is not None else ""


def _bare(effect: Effect) -> Effect:
    if isinstance(effect, Forward):
        return Forward(effect.user, msgspec.structs.replace(effect.input, handle=""))
    if isinstance(effect, Account) and effect.event is not None:
        return msgspec.structs.replace(effect, event=msgspec.structs.replace(effect.event, handle=""))
    return effect
