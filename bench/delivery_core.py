"""Parts of a delivery: deciding and rendering on one core, and the fan-out of what was decided.

    python -m bench.delivery_core decide EVENTS SENDS
    python -m bench.delivery_core render EVENTS
    python -m bench.delivery_core fan_out SENDS URL STORE

`decide` writes what `fan_out` takes through the ledger and Deliver.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
import msgspec

from bench.delivery_peers import DEFINITIONS
from transforms.campaigns.effects import Send
from transforms.campaigns.load import load, read_texts
from transforms.channels.channel import Opening, transport_of
from transforms.channels.destinations import Channels
from transforms.channels.making import content_of
from transforms.channels.outcome import Delivery
from transforms.channels.settings import MailSettings
from transforms.channels.transforms import DeliverBounded
from transforms.events.decode import decode
from transforms.job import collect_seldom
from transforms.users.advance import apply
from transforms.users.editor import UserEditor
from transforms.users.user import User, Wake

#: Where nothing answers: what is rendered goes nowhere.
NOWHERE = {"push": "fcm:bench@http://127.0.0.1:9", "email": "smtp://127.0.0.1:9"}


def decided(events: Path) -> list[Send]:
    """Apply each event to its user, in this process and without a store."""
    definitions = load(DEFINITIONS)
    editors: dict[str, UserEditor] = {}
    sends: list[Send] = []
    newest = 0
    with events.open("rb") as lines:
        for line in lines:
            event, _ = decode(line)
            user = str(event.user)
            editor = editors.get(user) or editors.setdefault(user, UserEditor(User(user), definitions))
            apply(editor, event)
            newest = max(newest, event.arrival)
            sends += taken(editor)
    for editor in editors.values():
        apply(editor, Wake(newest))
        sends += taken(editor)
    return sends


def taken(editor: UserEditor) -> Iterable[Send]:
    """The sends among a user's new effects, which are taken away."""
    sends = [effect for effect in editor.effects if isinstance(effect, Send)]
    editor.effects.clear()
    return sends


def render(sends: list[Send]) -> None:
    """Make what each send hands over, and hand it to nobody."""
    messages, settings = load(DEFINITIONS).messages, MailSettings()
    told = {name: (url,) for name, url in NOWHERE.items()}
    senders = {name: transport_of(name).open(Opening(told, {}, settings)) for name in NOWHERE}
    now = time.time_ns() // 1000
    for send in sends:
        make = senders[send.channel].make
        made = content_of(send, messages[send.message], make, settings=settings, now_us=now, default_locale="en")
        assert not isinstance(made, Delivery), made


def fan_out(sends: Path, url: str, store: str) -> None:
    """Deliver sends as a run over files does."""
    decided = msgspec.msgpack.decode(sends.read_bytes(), type=list[Send])
    channels = Channels(str(sends.parent / "outbox"), {decided[0].channel: (url,)})
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(decided) | "Deliver" >> DeliverBounded(read_texts(DEFINITIONS), channels, store)


def main() -> None:
    """Do one part; `decide` and `render` print how many a second of the processor's time."""
    part, place, *more = sys.argv[1:]
    collect_seldom()  # as jobs do
    if part == "fan_out":
        fan_out(Path(place), *more)
        return
    started = time.process_time()
    sends = decided(Path(place))
    if part == "decide":
        print(round(len(sends) / (time.process_time() - started)))
        Path(more[0]).write_bytes(msgspec.msgpack.encode(sends))
        return
    started = time.process_time()
    render(sends)
    print(round(len(sends) / (time.process_time() - started)))


if __name__ == "__main__":
    main()
