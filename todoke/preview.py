"""`todoke preview`: who would be in a segment, or what a campaign would do, by recorded events; nothing is sent."""

import sys
import time
from itertools import dropwhile
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from beam_pipelines.places import check_events
from beam_pipelines.values import read_time
from todoke.campaign_preview import campaign_json, print_campaign
from todoke.clock import check_zone, clock
from todoke.explain import explained_json, print_explained, print_failed
from todoke.names import check_name
from todoke.sources import opened
from todoke.tables import numbers, weeks_table, words
from todoke.terminal import Screen, json_text, plain_text
from transforms.campaigns.definitions import Campaign
from transforms.campaigns.load import Definitions, compiled
from transforms.campaigns.release import Release
from transforms.campaigns.transforms import read_definitions
from transforms.channels.preview import CampaignPreview, preview_campaign
from transforms.channels.tracking import tracking_of
from transforms.errors import RunFailed, WrongUse
from transforms.events.plain import counted
from transforms.events.sources import Bounded, parse_source
from transforms.events.transforms import read_messages
from transforms.segments.index import Segment
from transforms.storage.scratch.folder import scratch_folder
from transforms.users.histories import Histories
from transforms.users.preview import Preview, preview_segment

__all__ = ["preview"]


def preview(
    name: str,
    definitions: str,
    events: str,
    *,
    as_of: str | None,
    weeks: int,
    sample: int,
    anonymous: bool,
    zone: str,
    json: bool,
) -> None:
    """Print how many would be members, by week, and some of them with reasons; or the same for a campaign.

    Raises:
      WrongUse: there is no such segment, campaign or zone, the source is no file, or nothing in it can be used.
      DefinitionsError: the definitions cannot be read, or have mistakes.
      RunFailed: the events cannot be read.
    """
    check_zone(zone)
    known = _definitions(definitions)
    _check_name(name, known)
    until = None if as_of is None else read_time("--as-of", as_of)
    with scratch_folder() as folder, Console(stderr=True).status("reading events"):
        histories = _read(folder, events, known, until)
        moment = histories.newest if until is None else until
        found: Preview | CampaignPreview
        if name in known.campaigns:
            found = preview_campaign(name, histories, known, moment, weeks=weeks, sample=sample)
        else:
            found = preview_segment(name, histories, known, moment, weeks=weeks, sample=sample, anonymous=anonymous)
    print_failed(histories.failed)
    if json:
        described = campaign_json(found, zone) if isinstance(found, CampaignPreview) else _as_json(found, zone)
        failed = {"set_aside": len(histories.failed.inputs), "dropped": len(histories.failed.dropped)}
        used = {**histories.accounts, **{kind: count for kind, count in failed.items() if count}}
        print(json_text({**described, "messages": used}))
        return
    left_out = {kind.replace("_", " "): count for kind, count in histories.accounts.items() if kind != "read" and count}
    if left_out:
        counts = ", ".join(counted(count, kind.removesuffix("s"), kind) for kind, count in left_out.items())
        print(f"todoke: of {counted(histories.accounts['read'], 'message')} not used: {counts}", file=sys.stderr)
    if isinstance(found, CampaignPreview):
        if tracking_of(known).asks(known.messages):
            print("todoke: a preview tracks no opens and clicks: links are as they are written", file=sys.stderr)
        print_campaign(Screen(soft_wrap=True), found, _called(known.campaigns[name]), zone)
    else:
        users = counted(found.users, "user")
        whom = f"{users}, visitors among them" if anonymous else f"{users} with a user id"
        _print(Screen(soft_wrap=True), found, _called(known.segments[name]), whom, zone)


def _read(folder: Path, events: str, known: Definitions, until: int | None) -> Histories:
    source = _source(events)
    histories = Histories(folder)
    latest = time.time_ns() // 1000 if until is None else until
    try:
        histories.read(read_messages(source), latest, known.routes.is_announcement)
    except OSError as error:
        raise RunFailed(f"the events cannot be read: {error}") from error
    if until is None and not histories.newest:
        raise WrongUse(f"--events: {events} holds no event that could be read")
    return histories


def _definitions(place: str) -> Definitions:
    """The newest definitions; whole histories are read, so none of their conditions is new to anybody."""
    found = read_definitions(place)
    return compiled(found.revisions[0].texts if isinstance(found, Release) else found)


def _check_name(name: str, known: Definitions) -> None:
    if name in known.segments and name in known.campaigns:
        raise WrongUse(f"`{name}` is a segment and a campaign: give one of them another id to preview it")
    check_name("segment or campaign", name, [*known.segments, *known.campaigns])


def _source(events: str) -> Bounded:
    try:
        source = parse_source(events)
    except ValueError as error:
        raise WrongUse(f"--events: {error}") from error
    if not source.bounded:
        raise WrongUse("--events: a preview reads files and tables, which end; a subscription does not")
    check_events(source)
    return opened(source)


def _as_json(found: Preview, zone: str) -> dict[str, Any]:
    by = clock(zone)
    return {
        "segment": found.segment,
        "as_of": by.write(found.as_of),
        "members": found.members,
        "users": found.users,
        "share": _share(found.members, found.users),
        "weeks": [
            {"at": by.write(week.at), "members": week.members, "users": week.users, "share": _share(*week[1:])}
            for week in found.weeks
        ],
        "conditions": found.conditions,
        "sample": [
            {"user": each.user, "because": explained_json(each.because, clock(zone, each.zone))}
            for each in found.sample
        ],
    }


def _share(members: int, users: int) -> float:
    return round(members / users, 6) if users else 0.0


def _percent(members: int, users: int) -> str:
    return f"{100 * _share(members, users):.1f} %"


def _called(what: Segment | Campaign) -> str:
    """Its id, and its name if it has one."""
    return what.id if what.name == what.id else f"{what.id} ({what.name})"


def _print(console: Console, found: Preview, called: str, whom: str, zone: str) -> None:
    by = clock(zone)
    title = f"{called}, as of {by.write(found.as_of)}: {found.members:,} of {whom}"
    console.print(plain_text(f"{title} ({_percent(found.members, found.users)})", "bold"), "")
    most = max(week.members for week in found.weeks)
    rows = (
        (week.at, week.members, (f"{week.members:,}", _percent(*week[1:])))
        for week in dropwhile(lambda week: not week.users, found.weeks)
    )
    console.print(weeks_table(("members", "of all"), rows, most, by))
    asked = Table(numbers("users"), numbers("of all"), words("condition"), box=box.SIMPLE_HEAD)
    for each in found.conditions:
        name = f"segment {each.text}" if each.form == "segment" else each.text
        asked.add_row(f"{each.holds:,}", _percent(each.holds, found.users), plain_text("  " * each.depth + name))
    console.print(asked)
    for reason in found.sample:
        console.print(plain_text(reason.user, "bold"))
        print_explained(console, reason.because, clock(zone, reason.zone), 1)
