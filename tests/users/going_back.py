"""An engine that goes back to its checkpoints, as tests drive it: visitors, users, the control topic, the last step.

As on Flink, a checkpoint is taken step by step: what a step puts out after its snapshot is not in that of the next one,
but a message of the control topic may be. Rows and the control topic never go back. All that was not acknowledged comes
again, in any order.
"""

from collections.abc import Iterable
from random import Random
from typing import Any

import msgspec
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Texts
from transforms.events.event import Event
from transforms.job import Job
from transforms.storage.open import open_store
from transforms.users.accounted.transforms import ApplyAccounted
from transforms.users.control import encode_inputs_control
from transforms.users.hydrate.hints import AskedKeys, Hinted, encode_hinted, read_hints
from transforms.users.transforms import ACCOUNTED, FORWARDED, REASSIGNED
from transforms.users.user import ANONYMOUS, User, decode_inputs, decode_user, encode_inputs, route
from transforms.users.way_back.transforms import DecodeControl

__all__ = ["Engine"]

TOPIC = "projects/proj-x/topics/control"
Keyed = tuple[str, bytes]


class Cell:
    """The state of one key."""

    def __init__(self, of: dict[str, bytes], key: str) -> None:
        self._of, self._key = of, key

    def read(self) -> bytes | None:
        return self._of.get(self._key)

    def write(self, data: bytes) -> None:
        self._of[self._key] = data

    def clear(self) -> None:
        self._of.pop(self._key, None)


class Timer:
    """Nothing falls due in these tests."""

    def set(self, _at: Timestamp) -> None:
        pass


class Engine:
    """A job over events, of which each is a message of the broker with a number.

    `sent` is what was given out to Deliver, by id.
    """

    def __init__(self, texts: Texts, url: str, events: list[Event]) -> None:
        self.texts, self.url = texts, url
        self.store = open_store(url)
        self.sent: dict[str, Send] = {}
        self.waiting: dict[str, Event | bytes] = {}
        for number, event in enumerate(events):
            self.waiting[f"e{number}"] = event
        self._told = 0
        self._out: set[str] = set()
        self._visitors: dict[str, bytes] = {}
        self._users: dict[str, bytes] = {}
        self._queue: list[Keyed] = []
        self._ended: set[str] = set()
        #: What visitors ended after their snapshot: it is not of the checkpoint under way.
        self._later: set[str] = set()
        self._snapshot: tuple[dict[str, bytes], int] | None = None
        self._completed: tuple[dict[str, bytes], dict[str, bytes]] = {}, {}
        self._start(Job())

    def close(self) -> None:
        self.store.close()

    @property
    def users(self) -> dict[str, User]:
        return {row.user: decode_user(row.state) for row in self.store.scan_users()}

    def publish(self, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            self._told += 1
            self.waiting[f"c{self._told}"] = payload

    def deliver(self, numbers: list[int]) -> None:
        """The broker gives out some of the messages that it has; one bundle of each step that they go to."""
        ready = [handle for handle in self.waiting if handle not in self._out]
        visitors: list[Keyed] = []
        control: list[Keyed] = []
        for handle in dict.fromkeys(ready[number % len(ready)] for number in numbers if ready):
            self._out.add(handle)
            message = self.waiting[handle]
            if isinstance(message, Event):
                key = route(message)
                keyed = key, encode_inputs([msgspec.structs.replace(message, handle=handle)])
                (visitors if key.startswith(ANONYMOUS) else self._queue).append(keyed)
                continue
            for keyed in DecodeControl(self._job, handles_go_one_way=True).step().process((message, "", 0, handle)):
                if isinstance(keyed, TaggedOutput):
                    visitors.append(keyed.value)
                else:
                    control.append(keyed)
        self._bundle(self._of_visitors, self._visitors, visitors)
        self._bundle(self._of_users, self._users, control)

    def go_on(self) -> None:
        """Users take what visitors passed on; while a checkpoint is taken, what was passed on before it."""
        most = len(self._queue) if self._snapshot is None else self._snapshot[1]
        taken, self._queue = self._queue[:most], self._queue[most:]
        if self._snapshot is not None:
            self._snapshot = self._snapshot[0], 0
        self._bundle(self._of_users, self._users, taken)

    def begin_checkpoint(self) -> None:
        if self._snapshot is None:
            self._snapshot = dict(self._visitors), len(self._queue)

    def complete_checkpoint(self) -> None:
        if self._snapshot is None:
            return
        self.go_on()
        self._completed = self._snapshot[0], dict(self._users)
        self._snapshot = None
        for handle in self._ended:
            self.waiting.pop(handle, None)
        self._ended, self._later = self._later, set()

    def go_back(self, *, whole: bool) -> None:
        """Some process died; with `whole` this one too, else it goes on with what it remembers."""
        self._visitors, self._users = dict(self._completed[0]), dict(self._completed[1])
        self._queue, self._snapshot, self._ended, self._later = [], None, set(), set()
        self._out.clear()
        self._start(Job() if whole else self._job)

    def lapse(self) -> None:
        """Leases end: what was not acknowledged is given out again."""
        self._out.clear()

    def finish(self, chance: Random) -> None:
        """Deliver what is left, one message at a time, in any order, until everything is acknowledged."""
        for _ in range(100):
            if not self.waiting:
                return
            while len(self._out) < len(self.waiting):
                self.deliver([chance.randrange(len(self.waiting))])
                self.go_on()
            self.begin_checkpoint()
            self.complete_checkpoint()
        raise AssertionError("messages go round for ever")

    def _start(self, job: Job) -> None:
        self._job = job
        self._of_visitors, self._of_users = (
            ApplyAccounted(self.texts, self.url, TOPIC, job, anonymous=anonymous) for anonymous in (True, False)
        )
        for each in (self._of_visitors, self._of_users):
            each.setup()
            each._publisher = self  # type: ignore[assignment]

    def _bundle(self, step: ApplyAccounted, states: dict[str, bytes], elements: list[Keyed]) -> None:
        if not elements:
            return
        asked = self._job.part(AskedKeys, "visitors" if step is self._of_visitors else "users")
        hints = read_hints(self.store, asked, {key: None for key, _ in elements})
        step.start_bundle()
        for key, data in elements:
            hinted = encode_hinted(Hinted((data,), hints.pop(key, None)))
            step.process((key, hinted), Timestamp(0), Cell(states, key), Timer())
        for result in step.finish_bundle():
            tag, value = "", result
            if isinstance(result, TaggedOutput):
                tag, value = result.tag, result.value
            self._take(tag, value.value, visitors=step is self._of_visitors)

    def _take(self, tag: str, value: Any, *, visitors: bool) -> None:
        late = visitors and self._snapshot is not None
        if isinstance(value, Send):
            self.sent[value.id] = value
        elif tag == ACCOUNTED:
            (self._later if late else self._ended).update(value)
        elif tag == FORWARDED and visitors:
            self._queue.append(value)
        elif tag in (FORWARDED, REASSIGNED):
            key, data = value
            for item in decode_inputs(data):
                self.publish([encode_inputs_control(key, [msgspec.structs.replace(item, handle="")])])
                self._ended.add(item.handle)
