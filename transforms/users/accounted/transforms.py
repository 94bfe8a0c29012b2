"""The unbounded shell where the engine may go back in time, and messages are acknowledged by their handles.

See `transforms.events.accounted`.
"""

from collections.abc import Iterator
from itertools import islice
from time import time
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.typehints import with_output_types

from transforms.campaigns.release import Release, Texts
from transforms.events.event import Event
from transforms.events.live.transforms import TopicPublisher
from transforms.job import Job
from transforms.storage.transforms import StoreDoFn
from transforms.users.control import encode_inputs_control
from transforms.users.effects import Forward
from transforms.users.faults import Unreadable
from transforms.users.hydrate.transforms import Hydrate
from transforms.users.inputs.transforms import Keyed
from transforms.users.transforms import ACCOUNTED, OUTPUTS, ApplyInputs
from transforms.users.user import Announcement, Input, User, Wake
from transforms.users.write_batch import WriteBatch

__all__ = ["AdvanceAccounted", "AnnounceAccounted"]

#: Announcements that are published before the broker's answers are waited for.
_TOLD_AT_ONCE = 1_000


class AdvanceAccounted(beam.PTransform):
    """Like `AdvanceUnbounded`, and handles go one way (see `transforms.users.one_way`).

    What a bundle makes by itself goes to the control topic, and the broker has it before any handle goes on.

    Args:
      texts: the definitions, or a release of them.
      store: the store's URL.
      topic: the control topic, `projects/P/topics/T`.
      job: whose step it is.
    """

    def __init__(self, texts: Texts | Release, store: str, topic: str, job: Job) -> None:
        super().__init__()
        self._texts = texts
        self._store = store
        self._topic = topic
        self._job = job

    def expand(self, keyed: beam.PCollection[Keyed]) -> Any:
        """Apply every input as it comes."""
        machine = beam.ParDo(_ApplyAccounted(self._texts, self._store, self._topic, self._job))
        return (
            keyed
            | "Typed" >> beam.Map(_itself)
            | "Hydrate" >> Hydrate(self._store, self._job)
            | "Apply" >> machine.with_outputs(*OUTPUTS, main="sends")
        )


def _itself(keyed: Keyed) -> Keyed:
    """Declares the types before a shuffle by key: a flattened collection has lost them."""
    return keyed


class _ApplyAccounted(ApplyInputs):
    def __init__(self, texts: Texts | Release, store: str, topic: str, job: Job) -> None:
        super().__init__(texts, store, job)
        self._publisher = TopicPublisher(topic)

    def new_batch(self) -> WriteBatch:
        # Later than what any process wrote of a time that the engine has gone back from, which else would stand.
        self._version = int(time() * 1000)
        return WriteBatch(self._watcher.now(), self._store, handles_go_one_way=True)

    def open(
        self, key: str, inputs: list[Input], state: Any, hint: bytes | None = None
    ) -> tuple[User | Unreadable, list[Input]]:
        if hint and state.read() is None:
            # The engine may have gone back to before it knew of this user, whose row has these inputs already: then
            # nobody has seen the sends that are open in it.
            inputs = [Wake(0, again=True), *inputs]
        user, inputs = super().open(key, inputs, state, hint)
        if isinstance(user, User) and user.version < self._version:
            user = msgspec.structs.replace(user, version=self._version)
        return user, inputs

    def put_out(self, batch: WriteBatch) -> Iterator[Any]:
        results = list(batch.flush())
        bare = [each for each in results if isinstance(each, Forward) and not each.input.handle]
        if bare:
            self._publisher.publish(encode_inputs_control(each.user, [each.input]) for each in bare)
        yield from self.tagged(each for each in results if not isinstance(each, Forward) or each.input.handle)


class AnnounceAccounted(beam.PTransform):
    """Like `Announce`: the control topic has what every user is told before the handle goes on.

    Returns outputs as `Announce` does; there are no payloads.
    """

    def __init__(self, store: str, topic: str) -> None:
        super().__init__()
        self._store = store
        self._topic = topic

    def expand(self, announcements: beam.PCollection[Event]) -> Any:
        """Tell every user who has a row."""
        announce = beam.ParDo(_Announce(self._store, self._topic))
        return announcements | "Tell" >> announce.with_outputs(ACCOUNTED, main="payloads")


@with_output_types(tuple[bytes, str])
class _Announce(StoreDoFn):
    def __init__(self, store: str, topic: str) -> None:
        super().__init__(store)
        self._publisher = TopicPublisher(topic)

    def process(self, event: Event) -> Iterator[Any]:
        told = Announcement(msgspec.structs.replace(event, handle=""))
        rows = self._store.scan_users()
        while some := [*islice(rows, _TOLD_AT_ONCE)]:
            self._publisher.publish(encode_inputs_control(row.user, [told]) for row in some)
        if event.handle:
            yield beam.pvalue.TaggedOutput(ACCOUNTED, [event.handle])
