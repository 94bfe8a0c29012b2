"""Raw messages, decoded once, as the folder that columnar evaluation reads.

Decoding goes row by row, since its rules are many; whose an event is, duplicates and last writers are columns. No step
holds more than a chunk of messages or one part of the users, and the users who were merged or deleted.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import polars as pl

from transforms.events.decode import Refused, decode_announced
from transforms.segments.columns.layout import Needs, Partition, Prepared
from transforms.users.prepare.parts import write_part
from transforms.users.prepare.spill import RowBuilder, Spill
from transforms.users.prepare.whose import own, replay
from transforms.users.user import ANONYMOUS, route

__all__ = ["Preparation", "prepare"]


class Preparation(msgspec.Struct, frozen=True):
    """What was prepared, and how the messages ended (`OUTCOMES` of `users.user`); `newest` is the last arrival."""

    prepared: Prepared
    accounts: dict[str, int]
    newest: int


def prepare(
    messages: Iterable[bytes],
    needs: Needs,
    folder: Path,
    *,
    until: int | None = None,
    parts: int = 8,
    announced: Callable[[str], bool] = lambda _: False,
) -> Preparation:
    """Write what conditions need to know of the users in `messages`.

    Args:
      messages: JSON of calls, as lines of a file have them.
      needs: what the conditions ask (`needs_of`).
      folder: an empty folder, or one that is not there yet.
      until: leave out what arrived after this time (microseconds UTC).
      parts: by how many the users are divided; memory follows the size of one.
      announced: see `decode_announced`; no condition asks for what concerns no user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="spill-", dir=folder))
    try:
        work = _Work(needs, Spill(scratch, parts), folder)
        work.read(messages, until, announced)
        work.own_all()
        work.replay_some()
        partitions = [found for part in range(parts) if (found := work.finish(part)) is not None]
        work.account()
    finally:
        shutil.rmtree(scratch)
    newest = work.newest if until is None else until
    prepared = Prepared(newest, needs, tuple(partitions))
    (folder / "prepared.json").write_bytes(msgspec.json.encode(prepared))
    return Preparation(msgspec.structs.replace(prepared, folder=str(folder)), dict(work.accounts), work.newest)


class _Work:
    """The steps of one preparation. Spilled are rows keyed `anonymous`, by `user`, and those `settled` for good."""

    def __init__(self, needs: Needs, spill: Spill, folder: Path) -> None:
        self.needs = needs
        self.spill = spill
        self.folder = folder
        self.accounts: Counter[str] = Counter()
        self.newest = 0
        #: Users who were deleted, or named in an alias.
        self.touched: set[str] = set()
        self._aliases: dict[str, set[str]] = {}

    def read(self, messages: Iterable[bytes], until: int | None, announced: Callable[[str], bool]) -> None:
        """Decode everything."""
        rows = RowBuilder(self.needs)
        for message in messages:
            if not message or message.isspace():
                continue
            self.accounts["read"] += 1
            try:
                event, _ = decode_announced(message, None, announced)
            except Refused:
                self.accounts["dead_letter"] += 1
                continue
            if until is not None and event.arrival > until:
                self.accounts["later"] += 1
                continue
            self.newest = max(self.newest, event.arrival)
            if event.user is None and event.anonymous is None:
                self.accounts["applied"] += 1
                continue
            if event.type == "delete":
                self.touched.add(str(event.user))
            elif event.type == "alias" and event.previous is not None and event.previous != event.user:
                self._aliases.setdefault(event.previous, set()).add(str(event.user))
            rows.add(route(event), event)
            if rows.full:
                self._write(rows.drain())
        self._write(rows.drain())

    def account(self) -> None:
        """Whatever did not end otherwise is a duplicate; of settled users they were counted."""
        ended = sum(count for outcome, count in self.accounts.items() if outcome not in ("read", "duplicate"))
        self.accounts["duplicate"] = self.accounts["read"] - ended

    def _write(self, rows: pl.DataFrame) -> None:
        anonymous = pl.col("key").str.starts_with(ANONYMOUS)
        self.spill.write("anonymous", rows.filter(anonymous))
        self.spill.write("user", rows.filter(~anonymous))

    def own_all(self) -> None:
        """Give the rows of anonymous ids to whose they are."""
        for part in range(self.spill.parts):
            if self.spill.files("anonymous", part):
                self.spill.write("user", own(self.spill.scan("anonymous", part).collect()))

    def replay_some(self) -> None:
        """Settle the rows of users who were merged into others or deleted."""
        if not self._aliases and not self.touched:
            return
        users = self.spill.scan("user")
        known = users.filter(pl.col("key").is_in(list(self._aliases))).select("key").unique().collect()["key"].to_list()
        # Most previous ids are anonymous: no user goes by that id, and nobody else took it over.
        for previous in {*known, *(name for name, owners in self._aliases.items() if len(owners) > 1)}:
            self.touched |= {previous, *self._aliases[previous]}
        if self.touched:
            rows, accounts = replay(users.filter(pl.col("key").is_in(list(self.touched))).collect())
            self.accounts += accounts
            self.spill.write("settled", rows)

    def finish(self, part: int) -> Partition | None:
        """Write the files of one part; None where it has no users."""
        own_rows = self.spill.scan("user", part).filter(~pl.col("key").is_in(list(self.touched)))
        partition, applied = write_part(part, own_rows, self.spill.scan("settled", part), self.needs, self.folder)
        self.accounts["applied"] += applied
        return partition
