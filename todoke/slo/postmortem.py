"""`todoke slo postmortem`: what is known of an incident, as Markdown for people to go on with."""

from collections.abc import Iterator

from beam_pipelines.values import read_time
from todoke.slo.affected import MOST_READ, Affected, Late, affected_by
from todoke.slo.changes import changes_between, second_text
from todoke.slo.document import TO_FILL_IN, Heading, ListOf, PageParts, Sentence, TableOf, as_markdown
from todoke.slo.show import asked_levels, asked_running
from todoke.slo.shown import minutes_text, share_text
from todoke.store import open_asked_reader
from transforms.errors import WrongUse
from transforms.events.live.feed import now
from transforms.events.plain import counted
from transforms.events.times import LAST_TIME
from transforms.metrics.slos.review import Failure, Firing, Incident, incident_of
from transforms.metrics.slos.status import minutes_of
from transforms.segments.values import DAY, HOUR, MINUTE
from transforms.slos.budget import NO_DATA
from transforms.slos.definitions import ServiceLevel

__all__ = ["postmortem"]

_FILL_IN = (
    ("Summary", "What happened, in three sentences, for somebody who was not there."),
    ("Root causes", "Why it happened, and why it was possible. No names of people."),
    ("How it was noticed", "An alert, a customer, by chance? How long after it began?"),
    ("What went well, what did not, where there was luck", ""),
)


def postmortem(url: str, definitions: str, start: str, end: str, job: str | None) -> None:
    """Print the postmortem of an incident.

    Raises:
      WrongUse: the URL or a time cannot be.
      StoreError: the store cannot be read.
    """
    begun, known = _period(read_time("--from", start), read_time("--to", end))
    first, last = begun - begun % MINUTE, min(known + -known % MINUTE, LAST_TIME)
    running, levels = asked_running(job), asked_levels(definitions)
    with open_asked_reader(url) as reader:
        minutes = [(level, minutes_of(reader, level, known, running=running)) for level in levels]
        incident = incident_of(reader, minutes, first, last)
        changes = changes_between(reader, definitions, first - DAY, last)
        affected = affected_by(reader, levels, first, last)
    parts = [*_head(first, last, incident), *_timeline(incident, last, changes), *_affected(affected), *_to_fill_in()]
    print(as_markdown(parts), end="")


def _period(first: int, last: int) -> tuple[int, int]:
    """The time that is asked for, without what is still to come.

    Raises:
      WrongUse: it is none that can be looked at.
    """
    if not first < last <= first + 7 * DAY:
        raise WrongUse("--to: expected a time after --from, at most 7 days later")
    clock = now()
    return first, min(last, clock) if first < clock else last


def _head(first: int, last: int, incident: Incident) -> PageParts:
    rows = []
    for events, status in incident.levels:
        level, window = status.level, status.events
        used = events.bad / ((1 - level.objective) * window.total) if window.total else None
        owner = f"{level.owner.name} ({level.owner.contact})"
        left = "" if status.state == NO_DATA else share_text(status.remaining)
        name = f"{level.id} (trial)" if level.status == "trial" else level.id
        rows.append((name, owner, f"{events.bad:,} of {events.total:,}", share_text(used), left, status.state))
    heads = ("level", "owner", "bad events", "of the budget", "left at the end", "state")
    return [
        Heading(1, f"Postmortem: {second_text(first)}"),
        Sentence(f"From {second_text(first)} to {second_text(last)}, written from the store's metrics and ledger."),
        Heading(2, "What it cost"),
        TableOf(heads, rows),
    ]


def _timeline(incident: Incident, last: int, changes: list[str]) -> PageParts:
    rows = []
    for span in incident.spans:
        bad = f"{span.events.bad:,} of {span.events.total:,}"
        rows.append((second_text(span.start), f"{span.level}: bad events until {second_text(span.end)}, {bad}"))
    rows += [_alerts_row(*each, last) for each in _fired_together(incident)]
    rows += [(second_text(each.first), _failure(each)) for each in incident.failures]
    rows.sort()
    return [
        Heading(2, "Timeline"),
        TableOf(("time", "what"), rows) if rows else Sentence("The metrics know of no bad event."),
        Sentence("A send counts in the minute in which it ended: one that was late, when it went out at last."),
        Heading(2, "What changed in the day before, and meanwhile"),
        ListOf(changes),
    ]


def _fired_together(incident: Incident) -> Iterator[tuple[ServiceLevel, int, int, list[str]]]:
    """The alerts of a level that fired from the same minute to the same one, with their names."""
    together: dict[tuple[str, int, int], list[Firing]] = {}
    for each in incident.firings:
        together.setdefault((each.level.id, each.start, each.end), []).append(each)
    for (_, start, end), firings in together.items():
        names = [f"the {each.alert.kind} of {each.alert.long // HOUR} h" for each in firings]
        yield firings[0].level, start, end, names


def _alerts_row(level: ServiceLevel, start: int, end: int, names: list[str], last: int) -> tuple[str, str]:
    who = "nobody, since it is on trial, is alerted" if level.status == "trial" else f"{level.owner.name} is alerted"
    until = "still at the end" if end >= last else f"until {second_text(end)}"
    return second_text(start), f"{level.id}: {who} by {', '.join(names)}, {until}"


def _failure(each: Failure) -> str:
    said = dict(each.labels)
    if each.metric != "sends":
        labels = ", ".join(f"{name} {value}" for name, value in each.labels if value)
        return f"first of {each.count:,} in {each.metric}: {labels}"
    place = " / ".join(said[name] for name in ("campaign", "step") if said.get(name))
    why = f", {said['reason']}" if said.get("reason") else ""
    return f"first of {counted(each.count, 'send')} by {said.get('channel', '')} of {place}: {said['state']}{why}"


def _affected(found: Affected) -> PageParts:
    of_users = f"{counted(found.not_sent.total(), 'send')} to {counted(found.users, 'user')}"
    said = f"{of_users} did not go out, or nobody knows." if found.not_sent else "No send is known that did not go out."
    parts: list[Heading | Sentence | TableOf] = [
        Heading(2, "Who was affected, and what was not sent"),
        Sentence(said),
    ]
    if found.not_sent:
        rows = [(*key, f"{number:,}") for key, number in sorted(found.not_sent.items())]
        parts.append(TableOf(("campaign", "step", "channel", "state", "reason", "sends"), rows))
    if found.late:
        late = f"{counted(found.late_sends, 'send')} to {counted(found.late_users, 'user')}"
        parts.append(Sentence(f"{late} went out later than promised."))
        late_rows = [_late_row(each) for each in found.late]
        parts.append(TableOf(("campaign", "step", "channel", "promised within", "sends", "the latest took"), late_rows))
    if found.letters:
        parts.append(Sentence("Messages that were refused:"))
        letters = [(cause, f"{number:,}") for cause, number in sorted(found.letters.items())]
        parts.append(TableOf(("cause", "dead letters"), letters))
    if not found.all_read:
        parts.append(Sentence(f"There are more: only {MOST_READ:,} of a kind were read."))
    return parts


def _late_row(each: Late) -> tuple[str, ...]:
    promised = f"{minutes_text(each.level.indicator.below)} ({each.level.id})"
    return each.campaign, each.step, each.channel, promised, f"{each.sends:,}", minutes_text(each.longest)


def _to_fill_in() -> Iterator[Heading | Sentence | ListOf]:
    for title, text in _FILL_IN:
        yield Heading(2, title)
        yield Sentence(f"(fill in) {text}".strip())
    yield Heading(2, "Actions")
    yield ListOf([TO_FILL_IN], tasks=True)
