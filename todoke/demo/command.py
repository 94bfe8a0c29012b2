"""`todoke demo`: real orders through the whole product, to a push server and a mail server on this machine."""

import email
import email.policy
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from beam_pipelines.options import Config
from beam_pipelines.places import check_written
from todoke.demo.orders import write_events
from todoke.report import print_reports
from todoke.report_html import write_html
from todoke.report_page import report_page
from todoke.run import print_report, run_bounded
from todoke.slo.show import print_levels
from todoke.store import open_asked_reader
from todoke.terminal import Screen
from todoke.user import print_user
from transforms.campaigns.load import Definitions, compiled, read_texts
from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm
from transforms.errors import RunFailed, WrongUse
from transforms.events.plain import counted
from transforms.events.sources import Files
from transforms.events.times import read_time
from transforms.metrics.slos.status import minutes_of, status_of
from transforms.storage.open import open_store, parse_store
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.views.campaign_report import report_of

__all__ = ["DEFINITIONS", "demo"]

#: The definitions of the demo.
DEFINITIONS = Path(__file__).with_name("shop.yaml")
_SAMPLES = 3
#: New customers come in the first quarter alone: later there is nobody to thank.
_LEVELS_AT = "1997-03-31T23:59:00Z"

_Item = TypeVar("_Item")


def demo(out: Path, store: str | None, customers: int | None) -> None:
    """Write events under `out`, run them through the pipeline, and show what came of it.

    Args:
      out: a folder, created if it is missing; the demo's own files in it are overwritten.
      store: an empty store's URL; None for a new SQLite file `demo.db` under `out`.
      customers: how many of them; None for all.

    Raises:
      WrongUse: `customers`, `store` or `out` cannot be.
      RunRefused: the store holds users already.
      RunFailed, StoreError: the run failed, or the servers did not get what the ledger says was handed off.
    """
    check_written("--out", str(out), folder=True)
    console = Screen()
    url = _check_store(store) if store is not None else f"sqlite:{out / 'demo.db'}"
    out.mkdir(parents=True, exist_ok=True)
    for name in ("dead_letters.jsonl", *(("demo.db", "demo.db-wal", "demo.db-shm") if store is None else ())):
        (out / name).unlink(missing_ok=True)
    with _timed(console, f"events in {out / 'events.jsonl'}"):
        count = _write(out / "events.jsonl", customers)
    events = counted(count, "event")
    console.print(f"{events}: the orders are real, everything about the customers is invented", highlight=False)
    with _servers() as (fcm, smtp):
        config = _config(out, url, fcm, smtp)
        with _timed(console, "the pipeline"):
            summary, report = run_bounded(config, console=Console(stderr=True))
        page = out / "report.html"
        with _timed(console, f"{page}"):
            write_html(page, summary, report, compiled(config.definitions), title="Todoke demo: a music shop")
    print_report(console, report)
    _print_levels(console, url, compiled(config.definitions))
    effects = _report_effects(console, out / "effects.html", url, compiled(config.definitions), summary.as_of)
    opened = open_store(url, create=False)
    try:
        sent = [row for row in opened.scan_ledger() if row.state == LedgerState.HANDED_OFF]
        _print_received(console, sent, fcm, smtp)
        _print_samples(console, fcm, smtp)
    finally:
        opened.close()
    if busiest := _busiest(sent):
        with open_asked_reader(url) as reader:
            print_user(console, reader, busiest)
    console.print(
        f"\nOpen {page.resolve().as_uri()}\nand  {effects.resolve().as_uri()}", highlight=False, soft_wrap=True
    )


def _report_effects(console: Console, page: Path, url: str, definitions: Definitions, as_of: int) -> Path:
    """Print what campaigns did, and write it as a page. All orders are older than any message: there is no effect."""
    with open_asked_reader(url) as reader:
        found = report_of(reader, as_of, tuple(definitions.campaigns)).values()
    print_reports(console, found)
    page.write_text(report_page(found, definitions), encoding="utf-8")
    return page


def _print_levels(console: Console, url: str, definitions: Definitions) -> None:
    """Print what service levels came to when the last new customers were thanked."""
    at = read_time(_LEVELS_AT)
    with open_asked_reader(url) as reader:
        found = [status_of(level, minutes_of(reader, level, at), at) for level in definitions.slos.values()]
    console.print(f"what was promised, as of {_LEVELS_AT}", highlight=False)
    print_levels(console, found)
    console.print(
        "How soon, how fresh and how complete is measured by live jobs alone: `make serve` has data for all levels.",
        highlight=False,
    )


@contextmanager
def _timed(console: Console, what: str) -> Iterator[None]:
    """Print how long something took."""
    started = monotonic()
    yield
    console.print(f"{monotonic() - started:6.1f} s  {what}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _servers() -> Iterator[tuple[LocalFcm, LocalSmtp]]:
    """A push server and a mail server on free ports of this machine; they keep what they received after they stop."""
    fcm, smtp = LocalFcm.start(), LocalSmtp.start()
    try:
        yield fcm, smtp
    finally:
        smtp.stop()
        fcm.stop()


def _check_store(url: str) -> str:
    try:
        parse_store(url)
    except ValueError as error:
        raise WrongUse(f"--store: {error}") from error
    return url


def _write(path: Path, customers: int | None) -> int:
    try:
        return write_events(path, customers=customers)
    except ValueError as error:
        raise WrongUse(f"--customers: {error}") from error


def _config(out: Path, store: str, fcm: LocalFcm, smtp: LocalSmtp) -> Config:
    return Config(
        definitions=read_texts(DEFINITIONS),
        source=Files(str(out / "events.jsonl")),
        launched=int(time() * 1_000_000),
        store=store,
        outbox=str(out / "outbox"),
        told={"push": (f"fcm:demo-shop@{fcm.url}",), "email": (smtp.url,)},
        dead_letters=str(out / "dead_letters.jsonl"),
        replay=True,  # sends of 1997 are not late here
    )


def _print_received(console: Console, sent: list[LedgerRow], fcm: LocalFcm, smtp: LocalSmtp) -> None:
    """Compare what the ledger says with what the servers saw.

    Raises:
      RunFailed: they differ.
    """
    ledger = Counter(row.channel for row in sent)
    received = {"push": len(fcm.received), "email": len(smtp.received)}
    counts = (Column(name, justify="right") for name in ("handed off, says the ledger", "received, says the server"))
    table = Table("channel", *counts, "", box=box.SIMPLE_HEAD)
    for channel, count in received.items():
        verdict = Text("✓", "green") if ledger[channel] == count else Text("✗", "red")
        table.add_row(channel, f"{ledger[channel]:,}", f"{count:,}", verdict)
    console.print(table)
    if any(ledger[channel] != count for channel, count in received.items()):
        raise RunFailed("the servers did not receive what the ledger says was handed off")


def _print_samples(console: Console, fcm: LocalFcm, smtp: LocalSmtp) -> None:
    """Show a few mails and pushes of different kinds."""
    received = sorted(smtp.received, key=lambda mail: (mail.recipients, mail.content))
    mails = (email.message_from_bytes(mail.content, policy=email.policy.default) for mail in received)
    for mail in _different((str(mail["Subject"]), mail) for mail in mails):
        body = mail.get_body(("plain",))
        text = Text.assemble((str(mail["Subject"]), "bold"), f"\n{body.get_content().strip() if body else ''}")
        console.print(_panel(text, f"mail to {mail['To']}"))
    pushes = sorted(fcm.received, key=lambda push: (push["token"], push["notification"]["title"]))
    for push in _different((push["notification"]["title"], push) for push in pushes):
        shown = push["notification"]
        text = Text.assemble((shown["title"], "bold"), f"\n{shown['body']}", (f"\n{push['data']['deep_link']}", "dim"))
        console.print(_panel(text, f"push to {push['token']}"))


def _panel(text: Text, title: str) -> Panel:
    return Panel(text, title=Text(title), title_align="left", width=100)


def _different(items: Iterable[tuple[str, _Item]]) -> list[_Item]:
    """The first few items with different texts."""
    found: dict[str, _Item] = {}
    for text, item in items:
        found.setdefault(text, item)
        if len(found) == _SAMPLES:
            break
    return list(found.values())


def _busiest(sent: list[LedgerRow]) -> str | None:
    """The user who was sent the most, and so has the most to show."""
    counts = Counter(row.user for row in sent)
    return min(counts, key=lambda user: (-counts[user], user), default=None)
