"""Runs over files on one store, pass by pass as `todoke run` makes them: the bounded step without a runner."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from transforms.campaigns.effects import Send
from transforms.campaigns.load import Texts
from transforms.channels.outcome import Delivery
from transforms.channels.receipts import receipt_of
from transforms.events.event import Event
from transforms.metrics.report import Summary
from transforms.storage.open import open_store
from transforms.storage.rows import LedgerRow
from transforms.users.control import decode_control, encode_inputs_control, encode_receipt
from transforms.users.transforms import AdvanceBounded
from transforms.users.user import ANONYMOUS, Input, decode_inputs, encode_inputs, route

__all__ = ["Files"]

#: Beyond so many passes messages go round for ever.
MOST_PASSES = 50

_Waiting = dict[str, list[Input]]


class Files:
    """A store, and what runs on it gave out: the names of sends, each as often as a channel got it."""

    def __init__(self, texts: Texts, url: str) -> None:
        self.texts = texts
        self.url = url
        self.store = open_store(url)
        self.sent: Counter[str] = Counter()
        self._tallies: list[Any] = []

    def run(self, events: Iterable[Event], as_of: int) -> Summary:
        """A run that continues, and what it leaves itself in control; returns its sums."""
        self._tallies = []
        waiting: _Waiting = {row.user: [] for row in self.store.scan_users()}
        for event in events:
            waiting.setdefault(route(event), []).append(event)
        control = self._pass(waiting, as_of, amend=False)
        for _ in range(MOST_PASSES):
            if not control:
                return Summary.of(as_of, self._tallies)
            waiting = {}
            for payload in control:
                key, inputs = decode_control(payload, None)
                waiting.setdefault(key, []).extend(inputs)
            control = self._pass(waiting, as_of, amend=True)
        raise AssertionError("messages go back and forth for ever")

    def _pass(self, waiting: _Waiting, as_of: int, *, amend: bool) -> list[bytes]:
        back: list[bytes] = []
        for anonymous in (True, False):
            step = AdvanceBounded(self.texts, None, self.url, continued=True, amend=amend).step()
            step.setup()
            step.start_bundle()
            results: list[Any] = []
            for key in [key for key in waiting if key.startswith(ANONYMOUS) is anonymous]:
                results += step.process((key, [encode_inputs(waiting[key])]), as_of, None) or ()
            results += step.finish_bundle() or ()
            for tag, value in map(_opened, results):
                if tag in ("forwarded", "taken") and (tag == "taken" or not anonymous):
                    back += [encode_inputs_control(value[0], [item]) for item in decode_inputs(value[1])]
                elif tag == "forwarded":
                    waiting.setdefault(value[0], []).extend(decode_inputs(value[1]))
                elif tag == "tallies":
                    self._tallies.append(value)
                elif tag == "":
                    back += self._deliver(value)
        return back

    def _deliver(self, send: Send) -> list[bytes]:
        row = LedgerRow(send.user, send.id, "handed_off", send.campaign, send.step, send.channel, send.decided_at, 0)
        if (before := self.store.claim([row])[send.id]) is None:
            self.sent[send.id] += 1
            delivery = Delivery(send, "handed_off", at=send.decided_at)
        else:
            delivery = Delivery(send, "duplicate", detail=before.state, at=send.decided_at)
        receipt = receipt_of(delivery, bounded=True)
        return [encode_receipt(receipt)] if receipt else []


def _opened(result: Any) -> tuple[str, Any]:
    tag = ""
    if isinstance(result, beam.pvalue.TaggedOutput):
        tag, result = result.tag, result.value
    return tag, result.value if isinstance(result, WindowedValue) else result
