"""`todoke wake`: after a launch that is not an update, wake every user who waits for something.

A new job knows no user until it hears of them: a silent user has no timer, so nobody would notice that they lapsed, or
that a send is still owed to them. A wake makes the job read the user's row, set the timer, and hand out every open send
again. The ledger lets each send go out once, so waking somebody twice, or for nothing, changes nothing.
"""

import time
from collections.abc import Callable, Iterator

from beam_pipelines.options import CONTROL_RATE
from todoke.control import Publisher, open_control, publish_evenly
from todoke.store import open_asked
from transforms.storage.users import Users
from transforms.users.control import encode_inputs_control
from transforms.users.user import Wake

__all__ = ["wake", "wake_all"]


def wake(url: str, topic: str | None, rate: float) -> None:
    """Wake the users of a store, and print how many there were.

    Raises:
      WrongUse: a URL is wrong.
      StoreError: the store cannot be read, or does not accept the messages.
      ControlFailed: the topic does not.
    """
    store = open_asked(url)
    with open_control(store, topic) as publish:
        print(f"users woken: {wake_all(store, publish, rate)}")
    store.close()


def wake_all(
    store: Users,
    publish: Publisher,
    rate: float = CONTROL_RATE,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Publish a wake for each user, anonymous ones too, with a deadline or an open send; returns how many.

    It ends after the last row, and may be repeated after it was stopped.

    Args:
      store: whose users are read, in one pass.
      publish: where the wakes go.
      rate: wakes a second, evenly; lost time is not made up for.
      clock: in seconds.
      sleep: waits for a number of seconds.
      stopped: called before each batch; once it is true, no more are published.

    Raises:
      StoreError: the rows cannot be read.
    """
    return publish_evenly(_wakes(store), publish, rate, clock=clock, sleep=sleep, stopped=stopped)


def _wakes(store: Users) -> Iterator[bytes]:
    for row in store.scan_users():
        if row.deadline is not None or row.open_sends:
            yield encode_inputs_control(row.user, [Wake(0, again=True)])
