"""The recorded orders of the demo's shop, sent over HTTP as a shop would send them.

The first days are history: they are sent at once, with the times that they would have if they had ended now, so that
segments and windows have a past. The calls that follow come as they were recorded, so many times as fast, each at the
time at which it is sent. A feed that is started again goes on where it was.
"""

import http.client
import json
import logging
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from todoke.demo.orders import RecordedCall, recorded_calls
from transforms.events.plain import counted
from transforms.events.times import read_time

__all__ = ["HISTORY_DAYS", "FeedState", "RecordedFeed"]

_log = logging.getLogger(__name__)

#: How many days of the recording are history.
HISTORY_DAYS = 30
#: Calls of a request, and the pause after one that was not answered, in seconds.
AT_ONCE, PAUSE = 200, 0.5
#: Calls that fall due within so many seconds go together.
TOGETHER = 0.2


class FeedState(msgspec.Struct):
    """How many calls were answered, and when the feed was begun (seconds since the epoch)."""

    began: float
    done: int = 0


class RecordedFeed:
    """A feed.

    Args:
      url: where collect answers.
      key: a write key.
      speed: how many times as fast as recorded.
      place: the file that says how far it is.
      customers: how many of them; None for all.
    """

    def __init__(self, url: str, key: str, speed: float, place: Path, customers: int | None = None) -> None:
        self._netloc = urlsplit(url).netloc
        self._headers = {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}
        self._speed = speed
        self._place = place
        self._customers = customers

    def run(self, stopped: Callable[[], bool]) -> None:
        """Send until all is sent, or `stopped` says so."""
        calls = recorded_calls(customers=self._customers)
        until = _moment(calls[0]) + timedelta(days=HISTORY_DAYS)
        history = sum(_moment(call) < until for call in calls)
        state = self._state()
        begun = datetime.fromtimestamp(state.began, UTC)
        if state.done < history:
            _log.info("feeding %s of history", counted(history - state.done, "call"))
        while state.done < history and not stopped():
            some = calls[state.done : min(history, state.done + AT_ONCE)]
            self._send([_shifted(call, _moment(call) + (begun - until)) for call in some], state, stopped)
        if state.done < len(calls) and not stopped():
            left = counted(len(calls) - state.done, "call")
            _log.info("feeding %s more, %g times as fast as they came", left, self._speed)
            self._live(calls, state, stopped)

    def _live(self, calls: list[RecordedCall], state: FeedState, stopped: Callable[[], bool]) -> None:
        first, began = _moment(calls[state.done]), time.monotonic()
        while state.done < len(calls) and not stopped():
            passed = timedelta(seconds=(time.monotonic() - began + TOGETHER) * self._speed)
            due = [call for call in calls[state.done : state.done + AT_ONCE] if _moment(call) - first <= passed]
            if due:
                now = datetime.now(UTC)
                self._send([_shifted(call, now) for call in due], state, stopped)
            else:
                time.sleep(TOGETHER / 2)

    def _send(self, batch: list[dict[str, Any]], state: FeedState, stopped: Callable[[], bool]) -> None:
        """Send until it is answered; what was not is sent again."""
        body = json.dumps({"batch": batch}).encode()
        while not stopped():
            connection = http.client.HTTPConnection(self._netloc, timeout=30)
            try:
                connection.request("POST", "/v1/batch", body, self._headers)
                if connection.getresponse().status == http.HTTPStatus.OK:
                    self._note(state, len(batch))
                    return
            except (OSError, http.client.HTTPException):
                pass  # it is being started, or started again
            finally:
                connection.close()
            time.sleep(PAUSE)

    def _note(self, state: FeedState, answered: int) -> None:
        """Note that calls were answered; where that cannot be written, the next note says it too."""
        state.done += answered
        part = self._place.with_name(f".{self._place.name}.part")
        with suppress(OSError):
            part.write_bytes(msgspec.json.encode(state))
            part.replace(self._place)

    def _state(self) -> FeedState:
        try:
            return msgspec.json.decode(self._place.read_bytes(), type=FeedState)
        except (OSError, msgspec.MsgspecError):
            return FeedState(time.time())


def _moment(call: RecordedCall) -> datetime:
    return datetime.fromtimestamp(read_time(call.time) / 1_000_000, UTC)


def _shifted(call: RecordedCall, to: datetime) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(call.line)
    return found | {"timestamp": to.isoformat()}
