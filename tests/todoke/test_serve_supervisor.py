"""The supervisor of parts: a disk on which it cannot say how they are ends none of them."""

import threading
import time
from pathlib import Path

from services.status.parts import read_parts
from todoke.serve.supervisor import ServedPart, keep


def test_parts_go_on_where_nobody_can_be_told_of_them(tmp_path: Path) -> None:
    told, stopped = tmp_path / "gone" / "parts.json", threading.Event()
    part = ServedPart("sleeper", ["/bin/sleep", "60"], 0)
    keeping = threading.Thread(target=keep, args=([part], told, stopped))
    keeping.start()
    try:
        until = time.monotonic() + 30
        while not part.state.running and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.3)
        assert keeping.is_alive()
        told.parent.mkdir()
        while not read_parts(told) and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        stopped.set()
        keeping.join(30)
    assert [(each.name, each.running) for each in read_parts(told)] == [("sleeper", True)]
