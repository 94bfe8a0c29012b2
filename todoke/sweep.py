"""`todoke sweep`: settle the claims that dead couriers left in the ledger."""

import sys
import time

from msgspec import structs

from beam_pipelines.options import parse_kept_for
from todoke.control import open_control
from todoke.store import open_asked
from todoke.terminal import json_text
from transforms.campaigns.load import compiled
from transforms.campaigns.transforms import read_definitions
from transforms.channels.sweep import Swept, sweep
from transforms.errors import WrongUse
from transforms.events.kept.pruning import prune
from transforms.segments.values import duration

__all__ = ["sweep_ledger"]


def sweep_ledger(
    url: str, definitions: str, topic: str | None, *, older_than: str, keep_dead_letters: str | None, json: bool
) -> None:
    """Resolve claims whose lease is over, by their campaigns' `on_unknown`, and print how many there were.

    Dead letters that are older than `keep_dead_letters` are deleted, where it is given: only whoever runs the job knows
    how long it keeps them. On Dataflow, where none arrives any more, nobody else does it.

    The definitions say what to do; a campaign that is no longer in them counts as `skip`.

    Raises:
      WrongUse, DefinitionsError: nothing was changed.
      StoreError: the store cannot be read or written.
      ControlFailed: the topic does not accept the receipts; sweep again.
    """
    try:
        age = 0 if older_than in ("0", "0s") else duration(older_than)
    except ValueError as error:
        raise WrongUse(f"--older-than: {error}") from error
    try:
        kept_for = None if keep_dead_letters is None else parse_kept_for(keep_dead_letters)
    except ValueError as error:
        raise WrongUse(f"--keep-dead-letters: {error}") from error
    campaigns = compiled(read_definitions(definitions)).campaigns
    resend = {name for name, campaign in campaigns.items() if campaign.on_unknown == "resend"}
    store = open_asked(url)
    last = store.read_run()
    if last is not None and not last.finished:
        print("todoke: a run over files goes on, or did not finish: its claims are swept too", file=sys.stderr)
    with open_control(store, topic) as publish:
        swept = sweep(store, publish, time.time_ns() // 1000, age, resend)
    pruned = 0 if kept_for is None else prune(store, time.time_ns() // 1000, kept_for)
    store.close()
    if json:
        print(json_text({**structs.asdict(swept), "dead_letters_deleted": pruned}))
    else:
        _print(swept)
        if kept_for is not None:
            print(f"dead letters deleted that were too old: {pruned}")


def _print(swept: Swept) -> None:
    print(f"claims that lapsed, now unknown and never sent again: {sum(swept.resolved.values())}")
    for campaign, count in swept.resolved.items():
        print(f"  {campaign}: {count}")
    print(f"claims that lapsed, given out once more: {sum(swept.resent.values())}")
    for campaign, count in swept.resent.items():
        print(f"  {campaign}: {count}")
    print(f"unknown since an earlier sweep, told to the users' state again: {swept.told_again}")
    print(f"claims left to their couriers: {swept.running}")
    print(f"claims that others settled meanwhile: {swept.changed}")
