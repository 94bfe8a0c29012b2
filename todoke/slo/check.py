"""`todoke slo check`: whether objectives are sane, by what they would have come to."""

from todoke.slo.show import asked_levels, asked_running, asked_time
from todoke.store import open_asked_reader
from todoke.terminal import json_text, print_plain
from transforms.metrics.slos.sanity import SanityFinding, findings_of
from transforms.metrics.slos.status import minutes_of

__all__ = ["check"]


def check(name: str | None, url: str, definitions: str, as_of: str | None, job: str | None, *, json: bool) -> int:
    """Print what is said of each level on trial, or of the one that is named; returns 1 if one should not go live so.

    Raises:
      WrongUse: the URL, the level or the time is unknown.
      StoreError: the store cannot be read.
    """
    running = asked_running(job)
    levels, at = asked_levels(definitions, name), asked_time(as_of)
    faults = 0
    with open_asked_reader(url) as reader:
        for level in levels:
            if name is None and level.status != "trial":
                continue
            found = findings_of(level, minutes_of(reader, level, at, running=running), at)
            faults += any(each.fault for each in found)
            if json:
                print(json_text({"slo": level.id, "sane": not any(each.fault for each in found), "findings": found}))
            else:
                for each in found or [SanityFinding("sane", "sane", fault=False)]:
                    print_plain(f"{level.id}: {'' if each.fault or each.kind == 'sane' else 'note: '}{each.says}")
    return int(faults > 0)
