"""What was answered 200 is applied once and sent once, whoever is killed or stopped while calls come."""

import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from served import SHOP, Served, until

from todoke.prism import installed_prism
from transforms.storage.open import open_reader
from transforms.storage.rows import LedgerState

pytestmark = pytest.mark.skipif(installed_prism() is None, reason="no Prism on this machine")

#: Who would have bought for 20 has an order that was applied twice.
DOUBLED = "  doubled: {owner: growth, members: {event: Order Completed, sum: {of: revenue, at_least: 15}}}\ncampaigns:"


class Senders:
    """Users who come one after another, each with a request that is sent until it is answered 200."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._lock = threading.Lock()
        self._next = 0
        self._over = threading.Event()
        self.answered: list[str] = []
        self.refused: Counter[int | str] = Counter()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._over.is_set():
            with self._lock:
                self._next += 1
                user = f"user-{self._next:05}"
            token = {"device": {"token": f"phone-{user}", "type": "ios"}}
            calls = [
                {"type": "identify", "userId": user, "messageId": f"identify {user}", "context": token},
                {"type": "track", "userId": user, "messageId": f"order {user}", "event": "Order Completed"},
            ]
            calls[1]["properties"] = {"revenue": 10}
            while not self._posted(calls):
                time.sleep(0.1)
            self.answered.append(user)

    def _posted(self, calls: list[dict[str, object]]) -> bool:
        try:
            answer = httpx.post(f"{self._url}/v1/batch", json={"batch": calls}, auth=(self._key, ""), timeout=10)
        except httpx.TransportError as error:
            self.refused[type(error).__name__] += 1
            return False
        if answer.status_code != 200:
            self.refused[answer.status_code] += 1
        return answer.status_code == 200

    def more(self, count: int) -> None:
        """Wait until so many more were answered."""
        enough = len(self.answered) + count
        until(lambda: len(self.answered) >= enough, f"{count} answers")

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.all_in_ci
def test_kills_and_ctrl_c_under_load_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP.replace("campaigns:", DOUBLED))
    served = Served(tmp_path).ready()
    port = served.url.rpartition(":")[2]

    def again() -> Served:
        return Served(tmp_path, "--listen", f"127.0.0.1:{port}")

    senders = Senders(served.url, served.key)
    try:
        senders.more(50)
        served.part("job").kill()
        senders.more(50)
        served.part("front").kill()
        senders.more(50)
        served.kill()
        served = again()
        senders.more(50)
        assert served.interrupt() < 5
        served = again()
        senders.more(50)
        senders.end()
        served.ready()
        until(lambda: served.get("/status.json").json()["queue"]["waiting"] == 0, "an empty queue")
        until(lambda: len(settled(served)) >= len(set(senders.answered)), "all sends")
        assert served.interrupt() < 5
    finally:
        served.kill()
    pushes, states = Counter(push["user"] for push in served.pushes()), settled(served)
    assert set(pushes.values()) == {1}
    lost = {user for user in senders.answered if user not in pushes}
    assert {states.get(user) for user in lost} <= {LedgerState.CLAIMED, LedgerState.UNKNOWN}  # killed at the hand-off
    with closing(open_reader(f"sqlite:{served.data / 'store.db'}")) as reader:
        assert reader.count_members("doubled") == 0
        assert reader.count_members("buyers") == len(set(senders.answered))
        assert [letter.cause for letter in reader.page_dead_letters(10).rows] == []


def settled(served: Served) -> dict[str, str]:
    """The state of each user's send that is in the ledger."""
    with closing(open_reader(f"sqlite:{served.data / 'store.db'}")) as reader:
        states = {}
        for user in (f"user-{number:05}" for number in range(1, 5_000)):
            for row in reader.page_decisions(user, 5).rows:
                states[user] = row.state
            if user not in states and not reader.read_users([user]):
                break
        return states
