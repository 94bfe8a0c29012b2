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
from transforms.users.faults import Unreadable, open_user
from transforms.users.hydrate.transforms import Hydrate
from transforms.users.inputs.transforms import Keyed
from transforms.users.transforms import ACCOUNTED, OUTPUTS, ApplyInputs
from transforms.users.user import Announcement, Input, Merge, User, Wake
from transforms.users.write_batch import WriteBatch

__all__ = ["AdvanceAccounted", "AnnounceAccounted", "ApplyAccounted"]

#: Announcements that are published before the broker's answers are waited for.
_TOLD_AT_ONCE = 1_000


class AdvanceAccounted(beam.PTransform):
    """Like `AdvanceUnbounded`, and handles go one way (see `transforms.users.one_way`).

    What a bundle makes by itself goes to the control topic, and the broker has it before any handle goes on. Pasts of
    visitors go both ways: the topic is slow, and a user who does not know the past would decide without it.

    Args:
      texts: the definitions, or a release of them.
      store: the store's URL.
      topic: the control topic, `projects/P/topics/T`.
      job: whose step it is.
      anonymous: whether its keys are visitors.
    """

    def __init__(self, texts: Texts | Release, store: str, topic: str, job: Job, *, anonymous: bool = False) -> None:
        super().__init__()
        self._texts = texts
        self._store = store
        self._topic = topic
        self._job = job
        self._anonymous = anonymous

    def expand(self, keyed: beam.PCollection[Keyed]) -> Any:
        """Apply every input as it comes."""
        step = _ApplyAccounted(self._texts, self._store, self._topic, self._job, anonymous=self._anonymous)
        machine = beam.ParDo(step)
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
    def __init__(self, texts: Texts | Release, store: str, topic: str, job: Job, *, anonymous: bool = False) -> None:
        super().__init__(texts, store, job, may_go_back=True)
        self._publisher = TopicPublisher(topic)
        self._anonymous = anonymous

    def new_batch(self) -> WriteBatch:
        # Later than what any process wrote of a time that the engine has gone back from, which else would stand.
        self._version = int(time() * 1000)
        return WriteBatch(self._watcher.now(), self._store, handles_go_one_way=True)

    def open(
        self, key: str, inputs: list[Input], state: Any, hint: bytes | None = None
    ) -> tuple[User | Unreadable, list[Input]]:
        """The user as the state has it, or as the row does if that is newer, see `newest`.

        Then the engine has gone back, and nobody may have seen the sends that are open in the row.
        """
        data = state.read()
        if data is None:
            if hint:
                inputs = [Wake(0, again=True), *inputs]
            user, inputs = super().open(key, inputs, state, hint)
        elif (row := self.newer(key, data, hint)) is not None:
            user, inputs = open_user(key, row), [Wake(0, again=True), *inputs]
        else:
            user = open_user(key, data)
        if isinstance(user, User) and user.version < self._version:
            user = msgspec.structs.replace(user, version=self._version)
        return user, inputs

    def put_out(self, batch: WriteBatch) -> Iterator[Any]:
        results = list(batch.flush())
        bare = [each for each in results if isinstance(each, Forward) and not each.input.handle]
        if bare:
            self._publisher.publish(encode_inputs_control(each.user, [each.input]) for each in bare)
        if self._anonymous:
            yield from self.tagged(each for each in bare if isinstance(each.input, Merge))
        yield from self.tagged(each for each in results if not isinstance(each, Forward) or each.input.handle)


#: For tests. The names of classes stand in labels, which running jobs are updated by.
ApplyAccounted = _ApplyAccounted


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
