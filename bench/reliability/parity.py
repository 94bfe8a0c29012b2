"""The same calls from a file, with the broker's arrivals, compared with what the live job made of them.

What may differ, and is compared without it: `as_of`, which a live user has of the newest input and a bounded one of the
run. And people who were two known users: a run over files merges those when the files are done, so that when they
entered a segment, and what was decided for them meanwhile, is another story (docs/reliability.md). Of those only facts
and memberships are compared.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from bench.reliability.checks import Check, arrivals_of, settled_at, shown
from bench.reliability.rig import Rig
from bench.reliability.stream import Call, merged_users
from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm
from transforms.events.times import write_time
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerRow
from transforms.storage.store import Store
from transforms.users.members import standing_members

__all__ = ["compare"]

Plain = dict[str, Any]


def compare(rig: Rig, calls: list[Call]) -> list[Check]:
    """Run over the file, and compare users, members, the ledger, and what the servers saw."""
    users = {row.user: shown(row) for row in rig.store.scan_users()}
    as_of = settled_at(rig.store.scan_users())
    events = rig.folder / "calls.jsonl"
    events.write_text("".join(json.dumps(plain) + "\n" for plain in arrivals_of(rig, calls)))
    fcm, smtp = LocalFcm.start(slow=0.0), LocalSmtp.start()
    url = f"sqlite:{rig.folder / 'bounded.db'}"
    flags = {
        "--as-of": write_time(as_of),
        "--push": f"fcm:demo-project@{fcm.url}",
        "--email": smtp.url,
        "--outbox": rig.folder / "bounded",
        "--report": rig.folder / "report.json",
    }
    report = _run(rig.flags(str(events), url) | flags)
    store = open_store(url)
    bounded = {row.user: shown(row) for row in store.scan_users()}
    merged = merged_users(calls)
    persons = {name[-5:] for name in merged}
    common = sorted(users.keys() & bounded.keys())
    changed = [name for name in common if _known(users[name]) != _known(bounded[name])]
    moved = [name for name in common if _alike(users[name]) != _alike(bounded[name])]
    mine = [name for name in moved if name[-5:] not in persons]
    checks = [
        Check("bounded: messages read", report["read"], [] if report["read"] == len(calls) else ["not all"]),
        Check("bounded: applied", report["applied"], _unequal(report["applied"], len({call.id for call in calls}))),
        Check("users and visitors compared", len(users), sorted(users.keys() ^ bounded.keys())[:5]),
        Check("of these of people who were two known users", sum(name[-5:] in persons for name in users)),
        Check("users whose facts or segments differ", len(changed), _described(changed, users, bounded)),
        Check(
            "users of whom something is at another time", len(moved), _described(mine, users, bounded), by_order=True
        ),
        *_members(rig.store, store, users, persons),
        *_ledger(rig.store, store, persons),
        *_servers(rig, fcm, smtp, persons),
    ]
    store.close()
    fcm.stop()
    smtp.stop()
    return checks


def _run(flags: dict[str, Any]) -> Plain:
    given = [str(part) for flag in flags.items() for part in flag]
    done = subprocess.run([sys.executable, "-m", "todoke", "run", *given], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the run over the file failed:\n{done.stderr}")
    report: Plain = json.loads(Path(flags["--report"]).read_text())
    return report


def _alike(profile: Plain) -> Plain:
    return {name: value for name, value in profile.items() if name != "as_of"}


def _known(profile: Plain) -> Plain:
    """Without since when."""
    without = {name: value for name, value in profile.items() if name not in ("as_of", "known_since", "journeys")}
    return without | {"segments": sorted(profile.get("segments", ()))}


def _unequal(found: object, expected: object) -> list[str]:
    return [] if found == expected else [f"{found} in place of {expected}"]


def _described(names: list[str], users: dict[str, Plain], bounded: dict[str, Plain]) -> list[str]:
    said = []
    for name in sorted(names)[:5]:
        one, other = users[name], bounded[name]
        differ = {field: (one.get(field), other.get(field)) for field in one.keys() | other.keys()}
        said.append(f"{name}: { {field: pair for field, pair in differ.items() if pair[0] != pair[1]} }")
    return said


def _members(live: Store, bounded: Store, users: dict[str, Plain], persons: set[str]) -> list[Check]:
    segments = {segment for profile in users.values() for segment in profile.get("segments", ())}
    found = []
    for store in (live, bounded):
        rows = [(segment, row.user, row.since) for segment in segments for row in standing_members(store, segment)]
        found.append({row if row[1][-5:] not in persons else row[:2] for row in rows})
    wrong = [str(each) for each in sorted(found[0] ^ found[1], key=str)]
    return [Check("members of segments compared, with since", len(found[0]), wrong[:5], by_order=True)]


def _ledger(live: Store, bounded: Store, persons: set[str]) -> list[Check]:
    found = [
        {row.send: _said(row) for row in store.scan_ledger() if row.user[-5:] not in persons}
        for store in (live, bounded)
    ]
    names = found[0].keys() ^ found[1].keys()
    wrong = [f"only {'live' if name in found[0] else 'bounded'}: {(found[0] | found[1])[name]}" for name in names]
    wrong += [
        f"{found[0][name]} live, {found[1][name]} bounded"
        for name in found[0].keys() & found[1].keys()
        if found[0][name] != found[1][name]
    ]
    return [Check("sends and refusals compared", len(found[0]), sorted(wrong)[:5], by_order=True)]


def _said(row: LedgerRow) -> tuple[Any, ...]:
    """A row without the server's name for the push, and without the time when it went out."""
    refusal = "" if row.state == "handed_off" else row.detail
    return row.user, row.campaign, row.step, row.channel, row.state, row.decided_at, refusal


def _servers(rig: Rig, fcm: LocalFcm, smtp: LocalSmtp, persons: set[str]) -> list[Check]:
    pushes = [
        Counter((push["token"], push["data"]["about"]) for push in server.received if push["token"][-5:] not in persons)
        for server in (rig.fcm, fcm)
    ]
    mails = [
        Counter(to for mail in server.received for to in mail.recipients if to[1:6] not in persons)
        for server in (rig.smtp, smtp)
    ]
    return [
        Check("pushes that both servers saw", pushes[0].total(), _repeatedly(pushes), by_order=True),
        Check("mails that both servers saw", mails[0].total(), _repeatedly(mails), by_order=True),
    ]


def _repeatedly(counts: list[Counter[Any]]) -> list[str]:
    live, bounded = counts
    return [f"live only: {each}" for each in (live - bounded)][:5] + [f"bounded only: {e}" for e in (bounded - live)][
        :5
    ]
