"""The row keys of Bigtable's tables, as DESIGN.md's "Storage" lays them out. They are a schema: stored rows have them.

Parts are joined by `#`. Ids may hold any text, so the bytes up to `$` stand in them as `$` and the byte + 0x40 (`#` is
`$c`, NUL is `$@`): parts cannot run into each other, the separator is lower than whatever a part may hold, and so keys
sort as their parts do, by code points. A part longer than 1,024 bytes, which only a device token or an address can be,
is replaced by `$h` and its SHA-256, since Bigtable refuses keys beyond 4 KB
(https://cloud.google.com/bigtable/quotas); such parts have no order.
"""

import re
from hashlib import blake2b, sha256

__all__ = [
    "HOLD_KEY",
    "LEASE_KEY",
    "LETTERS",
    "RECOMMENDATIONS",
    "RECOMMENDED_KEY",
    "RUN_KEY",
    "SHARDS",
    "control_key",
    "end_of",
    "event_key",
    "events_of",
    "hash_ranges",
    "identities_of",
    "identity_key",
    "identity_of",
    "inbox_key",
    "inbox_of",
    "ledger_key",
    "ledger_of",
    "letter_id",
    "letter_key",
    "letter_of",
    "letters_of",
    "listed_at",
    "listed_key",
    "listed_of",
    "member_in",
    "member_key",
    "members_of",
    "metric_key",
    "metrics_of",
    "recommendation_key",
    "recommendation_made",
    "segment_prefix",
    "timed",
    "user_key",
]

#: Rows of the table of runs: the last bounded run, who works on the store, what is held back, and which lists of
#: recommendations hold. The lists are in this table, too, under this prefix.
RUN_KEY, LEASE_KEY, HOLD_KEY, RECOMMENDED_KEY = b"run", b"lease", b"hold", b"recommended"
RECOMMENDATIONS = b"recommendations#"

#: The prefixes of keys of dead letters.
LETTERS = b"t#"
#: The shards of a list of sends.
SHARDS = 8

_LOW = re.compile(rb"[\x00-$]")
_LONGEST_PART = 1024
#: How many hashes there are.
_HASHES = 1 << 16
#: The greatest time, in microseconds: times counted down from it sort newest first.
_END_OF_TIME = 2**63 - 1


def user_key(user: str) -> bytes:
    """A user's row: hash#user."""
    return _hash(user) + b"#" + _part(user)


def hash_ranges(many: int) -> list[tuple[str, str]]:
    """Bounds of so many ranges of keys that begin with a hash, as text; empty ones at both ends."""
    bounds = sorted({f"{_HASHES * number // many:04x}" for number in range(1, many)} - {"0000"})
    return list(zip(["", *bounds], [*bounds, ""], strict=True))


def events_of(user: str) -> bytes:
    """The prefix of the keys of a user's events."""
    return user_key(user) + b"#"


def event_key(user: str, time: int, message: str) -> bytes:
    """An event: hash#user#reversed time#message id, so that a user's newest event comes first."""
    return events_of(user) + timed(time, message)


def identity_key(kind: str, value: str) -> bytes:
    """An anonymous id, token or address: hash#kind#value."""
    return b"%s#%s#%s" % (_hash(value), _part(kind), _part(value))


def identities_of(user: str) -> bytes:
    """The prefix of the keys that say which identities are, or were, a user's."""
    return b"u#" + user_key(user) + b"#"


def identity_of(user: str, kind: str, value: str) -> bytes:
    """The key that says that an identity is a user's: u#hash#user#, and the identity's own key."""
    return identities_of(user) + identity_key(kind, value)


def members_of(segment: str) -> bytes:
    """The prefix of the keys of a segment's members."""
    return _part(segment) + b"#"


def member_key(segment: str, user: str) -> bytes:
    """A membership: segment#shard#user, in 256 shards by the user's hash."""
    return member_in(members_of(segment), user)


def member_in(prefix: bytes, user: str) -> bytes:
    """A membership in the segment of whose keys this is the prefix."""
    return b"%s%s#%s" % (prefix, _hash(user)[:2], _part(user))


def segment_prefix(key: bytes) -> bytes:
    """The prefix of the keys of the segment of a membership."""
    return key[: key.index(b"#") + 1]


def ledger_of(user: str) -> bytes:
    """The prefix of the keys of a user's sends."""
    return user_key(user) + b"#"


def ledger_key(user: str, send: str) -> bytes:
    """A send or a refusal: hash#user#send id."""
    return ledger_of(user) + _part(send)


def listed_of(state: str, campaign: str | None = None, shard: int | None = None) -> bytes:
    """What the keys of the list of a state start with; of one campaign, and of one of its `SHARDS`."""
    start = _part(state) + b"#"
    if campaign is not None:
        start += _part(campaign) + b"#"
    return start if shard is None else b"%s%x#" % (start, shard)


def listed_at(state: str, campaign: str, decided_at: int, shard: int) -> bytes:
    """What the keys of sends start with that were decided at a time."""
    return listed_of(state, campaign, shard) + timed(decided_at)


def listed_key(state: str, campaign: str, place: tuple[int, str, str], shard: int | None = None) -> bytes:
    """A send in the list of a state: state#campaign#shard#reversed time#user#send id, in 8 shards by the user's
    hash. `place` is when it was decided, its user and its id.

    With a `shard`, where it would stand there.
    """
    decided_at, user, send = place
    if shard is None:
        shard = int(_hash(user)[:1], 16) % SHARDS
    return b"%s#%s#%s" % (listed_at(state, campaign, decided_at, shard), _part(user), _part(send))


def letter_key(time: int, id_: str) -> bytes:
    """A dead letter: t#reversed time#id, so that the newest comes first; not hashed, since there are few."""
    return LETTERS + timed(time, id_)


def letter_id(id_: str) -> bytes:
    """What says that a dead letter is kept: i#id."""
    return b"i#" + _part(id_)


def letters_of(user: str) -> bytes:
    """The prefix of the keys that say which dead letters are a user's."""
    return b"u#" + user_key(user) + b"#"


def letter_of(user: str, time: int, id_: str) -> bytes:
    """The key that says that a dead letter is a user's: u#hash#user#, and the letter's own key."""
    return letters_of(user) + letter_key(time, id_)


def inbox_of(user: str) -> bytes:
    """The prefix of the keys of a user's inbox."""
    return user_key(user) + b"#"


def inbox_key(user: str, at: int, send: str) -> bytes:
    """An inbox message: hash#user#reversed time#send id, so that the newest comes first."""
    return inbox_of(user) + timed(at, send)


def metrics_of(prefix: str) -> bytes:
    """The prefix of the keys of all series whose names start with `prefix`."""
    return _escape(prefix)


def metric_key(series: str, window: int) -> bytes:
    """A window's count: series#window; not hashed, since there are few and they are read in their order."""
    return b"%s#%016x" % (_part(series), window + 2**63)


def recommendation_key(made: int, name: str) -> bytes:
    """A list of recommendations: recommendations#time of the run#name."""
    return b"%s%016x#%s" % (RECOMMENDATIONS, made, _part(name))


def recommendation_made(key: bytes) -> int:
    """The time of the run of a list."""
    return int(key.split(b"#")[1], 16)


def control_key(message: str) -> bytes:
    """A message for one machine: its id, in the order of publishing; not hashed, since it is read in that order."""
    return _part(message)


def end_of(prefix: bytes) -> bytes | None:
    """The first key after all that start with `prefix`; None if there is none."""
    # The last byte is never 0xff: it is of UTF-8, of a hash, or the separator.
    return prefix[:-1] + bytes((prefix[-1] + 1,)) if prefix else None


def timed(time: int, id_: str | None = None) -> bytes:
    """How the key of a list by time goes on, newest first: reversed time#id; without an id as all of a time do."""
    start = b"%016x" % (_END_OF_TIME - time)
    return start if id_ is None else b"%s#%s" % (start, _part(id_))


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=2).hexdigest().encode()


def _part(text: str) -> bytes:
    part = _escape(text)
    return part if len(part) <= _LONGEST_PART else b"$h" + sha256(text.encode()).hexdigest().encode()


def _escape(text: str) -> bytes:
    return _LOW.sub(lambda low: b"$%c" % (low[0][0] + 0x40), text.encode())
