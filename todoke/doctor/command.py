"""The looks of `todoke doctor`, by what was asked, and how their findings are shown."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from beam_pipelines.values import parsed
from todoke.doctor import google, machine, queue, store
from todoke.doctor.finding import Finding, Look, look_at_all
from todoke.terminal import json_text, print_plain
from transforms.errors import WrongUse
from transforms.events.plain import counted
from transforms.events.sources import EventQueue, Subscription, parse_source, parse_topic
from transforms.storage.open import parse_store

__all__ = ["Asked", "doctor"]


class Asked(NamedTuple):
    """The places of a job that are looked at, as its flags name them; None for those that nobody asked for."""

    definitions: str | None = None
    events: str | None = None
    store: str | None = None
    control: str | None = None
    control_topic: str | None = None
    dead_letters: str | None = None


def doctor(asked: Asked, *, json: bool) -> int:
    """Look at this machine and at the places of a job, and print what was found; returns the exit code.

    Raises:
      WrongUse: a place is none.
    """
    findings = look_at_all([*_machine(asked), *_google(asked), *_places(asked)])
    failing = [finding for finding in findings if finding.fails]
    if json:
        print(json_text({"ok": not failing, "findings": [msgspec.structs.asdict(each) for each in findings]}, indent=2))
    else:
        _print(findings, failing)
    return 1 if failing else 0


def _machine(asked: Asked) -> list[Look]:
    # A job that is not on this machine has a control topic.
    live_here = _live("--events", asked.events) is not None and asked.control is None
    prism = partial(machine.look_at_prism, needed=live_here)
    return [
        Look("python", machine.look_at_python, needed=True),
        Look("packages", machine.look_at_packages, needed=True),
        Look("channels", machine.look_at_channels, needed=True),
        Look("prism", prism, needed=live_here),
        Look("programs", machine.look_at_programs),
        Look("emulators", machine.look_at_emulators),
        Look("emulator hosts", machine.look_at_hosts, needed=True),
    ]


def _google(asked: Asked) -> list[Look]:
    """Nothing of Google is asked over the network unless a place of its own is."""
    places = {
        "Bigtable": (asked.store or "").startswith("bigtable:"),
        "Pub/Sub": any((place or "").startswith("pubsub:") for place in asked),
    }
    needed = any(there and machine.EMULATED[service] not in os.environ for service, there in places.items())
    if not needed and not (asked.definitions or "").startswith("gs://"):
        return []
    credentials = partial(google.look_at_credentials, needed=needed)
    return [Look("credentials", credentials, needed=needed), Look("clock", google.look_at_clock)]


def _places(asked: Asked) -> list[Look]:
    looks = []
    here = asked.control is None
    if asked.definitions is not None:
        looks.append(Look("definitions", partial(store.look_at_definitions, asked.definitions), needed=True))
    if asked.store is not None:
        kind, place = parsed("--store", parse_store, asked.store)
        looks.append(Look("store", partial(store.look_at_store, asked.store), needed=True))
        if kind == "bigtable" and here and machine.EMULATED["Bigtable"] not in os.environ:
            project, _, instance = place.partition("/")
            looks.append(Look("rights", partial(google.look_at_instance, project, instance)))
    for flag, said in (("--events", asked.events), ("--control", asked.control)):
        source = _live(flag, said)
        if isinstance(source, EventQueue):
            looks.append(Look(flag, partial(queue.look_at_queue, flag, Path(source.path)), needed=True))
        elif source is not None:
            look = partial(google.look_at_subscription, flag, source.path, here=here, orders=flag == "--events")
            looks.append(Look(flag, look, needed=True))
    for flag, said in (("--control-topic", asked.control_topic), ("--dead-letters", asked.dead_letters)):
        if said is not None:
            look = partial(google.look_at_topic, flag, parsed(flag, parse_topic, said), here=here)
            looks.append(Look(flag, look, needed=True))
    return looks


def _live(flag: str, place: str | None) -> Subscription | EventQueue | None:
    if place is None:
        return None
    source = parsed(flag, parse_source, place)
    if isinstance(source, Subscription) or (isinstance(source, EventQueue) and flag == "--events"):
        return source
    wanted = "pubsub:projects/P/subscriptions/S" + (" or queue:PATH" if flag == "--events" else "")
    raise WrongUse(f"{flag}: expected {wanted}: files are looked at when they are read")


def _print(findings: Sequence[Finding], failing: Sequence[Finding]) -> None:
    widest = max(len(finding.what) for finding in findings)
    for finding in findings:
        print_plain(f"{finding.state:<8} {finding.what:<{widest}}  {' '.join(finding.found.split())}")
        if finding.todo and finding.state != "ok":
            print_plain(f"{'':<8} {'':<{widest}}  → {finding.todo}")
    if failing:
        names = ", ".join(dict.fromkeys(finding.what for finding in failing))
        print_plain(f"\n{counted(len(failing), 'thing')} to mend, or to look at again: {names}")
    else:
        print_plain("\nnothing is missing that was asked for")
