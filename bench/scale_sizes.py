"""What an event costs in rows, bytes, timers and messages: the events of `bench.events` through `bench.scale_model`."""

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.events import write_events
from bench.scale_model import LiveModel
from bench.scale_tables import counted_store
from transforms.campaigns.load import load
from transforms.events.decode import decode
from transforms.users.user import encode_user

__all__ = ["DEFINITIONS", "Sizes", "measure_sizes"]

DEFINITIONS = Path(__file__).parent / "definitions.yaml"
#: Events of a user in the ten days of `write_events`: ten a day, as of a billion a day of 100 million users.
EVENTS_A_USER = 100
#: One user in so many has an anonymous id in each call.
VISITORS = 5
#: The tables, and the kinds of calls to them, that a live job makes.
CALLS = (
    *(("users", "write"), ("users", "read"), ("events", "write"), ("members", "write")),
    *(("identities", "write"), ("identities", "read")),
    *(("ledger", "check"), ("ledger", "write"), ("ledger_by_state", "write")),
)


class Sizes(NamedTuple):
    """What one event costs, on average; bytes are of one row or message, and of users those at the end.

    `calls` has rows an event and bytes a row, by table and kind. `steps` has inputs of the state machine an event, by
    kind, and `micros` what one takes of a processor, with its rows made and encoded; of `send` with its courier.
    """

    events: int
    users: int
    wire: float
    calls: dict[str, tuple[float, float]]
    steps: dict[str, float]
    micros: dict[str, float]
    shuffle: float
    state_written: float
    state: float
    state_p99: float
    state_most: int
    timers: float
    sends: float
    send: float
    control: float
    control_bytes: float

    @property
    def writes(self) -> float:
        """Rows that an event writes; an atomic write of the ledger is one."""
        return sum(rows for name, (rows, _) in self.calls.items() if not name.endswith(" read"))

    @property
    def reads(self) -> float:
        """Rows that an event reads, the row of a user who is new to the process left out."""
        return self.calls["identities read"][0] + self.sends


def measure_sizes(users: int) -> Sizes:
    """Run ten days of events of so many users, and count."""
    store, tables = counted_store()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        write_events(path, users * EVENTS_A_USER, users)
        model = LiveModel(load(DEFINITIONS), store, tables, Path(folder) / "outbox")
        wire = 0
        with path.open("rb") as lines:
            for line in lines:
                payload = _with_visitor(line)
                wire += len(payload)
                event, _ = decode(payload)
                model.take(event)
        model.close()
    store.close()
    events = model.counted["event"]
    states = sorted(len(encode_user(user)) for user in model.users.values())
    return Sizes(
        events,
        len(states),
        wire / events,
        {f"{table} {kind}": model.per_event(table, kind) for table, kind in CALLS},
        {kind: model.counted[kind] / events for kind in ("event", "forwarded", "wake", "control", "refused")},
        {kind: seconds * 1e6 / _number(model, kind) for kind, seconds in sorted(model.seconds.items())},
        model.bytes["shuffle"] / events,
        model.bytes["state"] / events,
        sum(states) / len(states),
        states[len(states) * 99 // 100],
        states[-1],
        model.timers / len(states),
        len(model.sends) / events,
        model.bytes["send"] / max(1, len(model.sends)),
        model.counted["published"] / events,
        model.bytes["control"] / max(1, model.counted["published"]),
    )


def _number(model: LiveModel, kind: str) -> int:
    return max(1, len(model.sends) if kind == "send" else model.counted[kind])


def _with_visitor(line: bytes) -> bytes:
    """A call of one user in `VISITORS` with an anonymous id, as one has who was a visitor before."""
    call = json.loads(line)
    number = int(call["userId"].removeprefix("user-"))
    if number % VISITORS == 0:
        call["anonymousId"] = f"visitor-{number:06d}"
    return json.dumps(call).encode()
