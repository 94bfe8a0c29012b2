"""`todoke slo postmortem`: what is known of an incident, as Markdown for people to go on with."""

from collections import Counter
from collections.abc import Iterator

from beam_pipelines.values import read_time
from todoke.slo.changes import changes_between
from todoke.slo.document import Heading, ListOf, PageParts, Sentence, TableOf, as_markdown
from todoke.slo.show import asked_levels, asked_running
from todoke.slo.shown import share_text
from todoke.store import open_asked_reader
from transforms.errors import WrongUse
from transforms.events.times import write_time
from transforms.metrics.slos.review import Incident, incident_of
from transforms.metrics.slos.status import minutes_of
from transforms.segments.values import DAY
from transforms.slos.budget import NO_DATA
from transforms.storage.pages import MOST
from transforms.storage.reader import Reader
from transforms.storage.sends import SendsAsked

__all__ = ["postmortem"]

#: What is not more than a look: sends and letters beyond so many are said to be left out.
_MOST_READ = 100_000
#: Sends of these states did not go out, or nobody knows.
_NOT_SENT = ("failed", "unknown", "expired")
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
    first, last = read_time("--from", start), read_time("--to", end)
    if not first < last <= first + 7 * DAY:
        raise WrongUse("--to: expected a time after --from, at most 7 days later")
    running, levels = asked_running(job), asked_levels(definitions)
    with open_asked_reader(url) as reader:
        minutes = [(level, minutes_of(reader, level, last, running=running)) for level in levels]
        incident = incident_of(reader, minutes, first, last)
        changes = changes_between(reader, definitions, first - DAY, last)
        sends, users, all_read = _not_sent(reader, first, last)
        letters = _letters(reader, first, last)
    parts = [*_head(first, last, incident), *_timeline(incident, changes)]
    print(as_markdown([*parts, *_affected(sends, users, letters, all_read=all_read), *_to_fill_in()]), end="")


def _head(first: int, last: int, incident: Incident) -> PageParts:
    rows = []
    for events, status in incident.levels:
        level, window = status.level, status.events
        used = events.bad / ((1 - level.objective) * window.total) if window.total else None
        owner = f"{level.owner.name} ({level.owner.contact})"
        left = "" if status.state == NO_DATA else share_text(status.remaining)
        rows.append((level.id, owner, f"{events.bad:,} of {events.total:,}", share_text(used), left, status.state))
    heads = ("level", "owner", "bad events", "of the budget", "left at the end", "state")
    return [
        Heading(1, f"Postmortem: {write_time(first)}"),
        Sentence(f"From {write_time(first)} to {write_time(last)}, written from the store's metrics and ledger."),
        Heading(2, "What it cost"),
        TableOf(heads, rows),
    ]


def _timeline(incident: Incident, changes: list[str]) -> PageParts:
    rows = []
    for span in incident.spans:
        bad = f"{span.events.bad:,} of {span.events.total:,}"
        rows.append((write_time(span.start), f"{span.level}: bad events until {write_time(span.end)}, {bad}"))
    for each in incident.failures:
        labels = ", ".join(f"{name} {value}" for name, value in each.labels)
        rows.append((write_time(each.first), f"first of {each.count:,} in {each.metric}: {labels}"))
    rows.sort()
    return [
        Heading(2, "Timeline"),
        TableOf(("time", "what"), rows) if rows else Sentence("The metrics know of no bad event."),
        Heading(2, "What changed in the day before, and meanwhile"),
        ListOf(changes),
    ]


def _affected(sends: Counter[tuple[str, ...]], users: int, letters: Counter[str], *, all_read: bool) -> PageParts:
    rows = [(*key, f"{number:,}") for key, number in sorted(sends.items())]
    heads = ("campaign", "step", "channel", "state", "reason", "sends")
    more = "" if all_read else f" Only {_MOST_READ:,} were read: there are more."
    said = f"{sum(sends.values()):,} sends to {users:,} users did not go out, or nobody knows.{more}"
    parts: list[Heading | Sentence | TableOf] = [Heading(2, "Who was affected, and what was not sent"), Sentence(said)]
    if rows:
        parts.append(TableOf(heads, rows))
    if letters:
        parts.append(Sentence("Messages that were refused:"))
        parts.append(
            TableOf(("cause", "dead letters"), [(cause, f"{number:,}") for cause, number in sorted(letters.items())])
        )
    return parts


def _to_fill_in() -> Iterator[Heading | Sentence | ListOf]:
    for title, text in _FILL_IN:
        yield Heading(2, title)
        yield Sentence(f"(fill in) {text}".strip())
    yield Heading(2, "Actions")
    yield ListOf(["what, who, until when"], tasks=True)


def _not_sent(reader: Reader, first: int, last: int) -> tuple[Counter[tuple[str, ...]], int, bool]:
    """How many sends by campaign, step, channel, state and reason ended badly in a time, of how many users, and whether
    all were read. A send is decided at most a day before it ends, unless its campaign allows more."""
    found: Counter[tuple[str, ...]] = Counter()
    users: set[str] = set()
    asked, cursor, read = SendsAsked(_NOT_SENT, since=first - 7 * DAY), None, 0
    while read < _MOST_READ:
        page = reader.page_sends(asked, MOST, cursor)
        for row in page.rows:
            if first <= row.at < last:
                reason = row.detail.partition(":")[0]
                found[row.campaign, row.step, row.channel, row.state, reason] += 1
                users.add(row.user)
        read, cursor = read + len(page.rows), page.next
        if cursor is None:
            return found, len(users), True
    return found, len(users), False


def _letters(reader: Reader, first: int, last: int) -> Counter[str]:
    found: Counter[str] = Counter()
    cursor, read = None, 0
    while read < _MOST_READ:
        page = reader.page_dead_letters(MOST, cursor, since=first)
        found.update(row.cause for row in page.rows if row.time < last)
        read, cursor = read + len(page.rows), page.next
        if cursor is None:
            break
    return found
