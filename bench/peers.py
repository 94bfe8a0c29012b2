"""The same core without Beam: a plain loop, and bytewax. Each is one process, so that it can be measured whole.

python -m bench.peers loop|bytewax EVENTS
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from transforms.campaigns.load import Definitions, load
from transforms.events.decode import decode
from transforms.users.advance import apply
from transforms.users.editor import UserEditor
from transforms.users.user import Input, User, Wake

DEFINITIONS = Path(__file__).parent / "definitions.yaml"


def loop(events: Path, definitions: Definitions) -> dict[str, int]:
    """Read, decode, keep every user's editor open, apply each event as it comes, settle at the end."""
    editors: dict[str, UserEditor] = {}
    newest = 0
    with events.open("rb") as lines:
        for line in lines:
            event, _ = decode(line)
            key = str(event.user)
            editor = editors.get(key)
            if editor is None:
                editor = editors[key] = UserEditor(User(key), definitions)
            apply(editor, event)
            editor.effects.clear()  # a stream hands them on
            newest = max(newest, event.arrival)
    for editor in editors.values():
        apply(editor, Wake(newest))
    users = [editor.close() for editor in editors.values()]
    return _result(users)


def hosted(events: Path, definitions: Definitions) -> dict[str, int]:
    """The same as steps of a bytewax flow (bytewax 0.21.1, one worker)."""
    import bytewax.operators as op  # noqa: PLC0415 - a peer, imported where it is measured
    from bytewax.connectors.files import FileSource  # noqa: PLC0415
    from bytewax.dataflow import Dataflow  # noqa: PLC0415
    from bytewax.testing import TestingSink, run_main  # noqa: PLC0415

    class Logic(op.StatefulLogic):  # type: ignore[misc]
        def __init__(self, resumed: UserEditor | None) -> None:
            self.editor = resumed

        def on_item(self, value: tuple[str, Input]) -> tuple[Iterable[User], bool]:
            key, item = value
            if self.editor is None:
                self.editor = UserEditor(User(key), definitions)
            apply(self.editor, item)
            self.editor.effects.clear()
            return (), False

        def on_eof(self) -> tuple[Iterable[User], bool]:
            assert self.editor is not None
            apply(self.editor, Wake(_LAST[0]))
            return (self.editor.close(),), True

        def snapshot(self) -> None:
            return None

    users: list[tuple[str, User]] = []

    def keyed(line: str) -> tuple[str, tuple[str, Input]]:
        event, _ = decode(line.encode())
        key = str(event.user)
        _LAST[0] = max(_LAST[0], event.arrival)
        return key, (key, event)

    flow = Dataflow("bench")
    lines = op.input("lines", flow, FileSource(events, batch_size=1000))
    states = op.stateful("core", op.map("decode", lines, keyed), Logic)
    op.output("users", states, TestingSink(users))
    run_main(flow)
    return _result([user for _, user in users])


_LAST = [0]


def _result(users: list[User]) -> dict[str, int]:
    return {"users": len(users), "members": sum(len(user.members) for user in users)}


if __name__ == "__main__":
    run = {"loop": loop, "bytewax": hosted}[sys.argv[1]]
    print(json.dumps(run(Path(sys.argv[2]), load(DEFINITIONS))))
