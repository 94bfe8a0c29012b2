"""Links and pictures: where they lead, what is published of them, what is never lost, and where nobody is sent."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engage_service import KEYS, NOW, OLD_KEYS, Service
from touched_shop import links, path, sent

from services.engage.app import engage
from services.engage.tracking import judge
from services.engage.tracking.feeds import FeedAway, QueuedTouches
from services.engage.tracking.judge import Judge
from services.engage.tracking.receipts import hand_off_of
from services.engage.tracking.touches import decode_touch
from services.sink import QueueSink
from transforms.channels.links import CLICK, OPEN, ClickLink, OpenLink
from transforms.channels.references import reference_of
from transforms.channels.tokens import SigningKeys
from transforms.events.queue.append import Queue
from transforms.events.queue.read import QueueReader
from transforms.storage.open import open_reader
from transforms.storage.rows import LedgerRow, LedgerState
from transforms.users.control import Receipt, encode_receipt

SECOND = 1_000_000
PERSON = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"}
TARGET = "https://shop.example/a?x=1&y=2#z"


class Tracked:
    """The service with a queue of touches, and a judge whose clock is the service's."""

    def __init__(self, service: Service, queue: Queue) -> None:
        self.service, self.queue = service, queue
        service.desk = msgspec.structs.replace(service.desk, touches=QueueSink(queue))
        service.app = engage(service.desk)
        self.feed, self.judge = self.judging()

    def judging(self) -> tuple[QueuedTouches, Judge]:
        feed = QueuedTouches(self.queue.path)
        reader = open_reader(f"sqlite:{self.service.path}")

        def publish(receipts: Any) -> None:
            self.service.store.publish_control([encode_receipt(each) for each in receipts], self.service.clock.now)

        def hand_off(user: str, send: str) -> int | None:
            return hand_off_of(reader, user, send)

        return feed, Judge(feed, publish, hand_off, self.service.clock)

    def get(self, url: str, method: str = "GET", **headers: str) -> Any:
        return self.service.ask(method, path(url), headers={**PERSON, **headers})

    def touches(self) -> list[Any]:
        with closing(QueueReader(self.queue.path)) as reader:
            return [decode_touch(message.payload) for page in reader.pages() for message in page]

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """Let time pass and the judge look; what was published."""
        self.service.clock.now += round(seconds * SECOND)
        self.judge.step()
        return self.service.receipts()


@pytest.fixture
def tracked(service: Service, tmp_path: Path) -> Iterator[Tracked]:
    with Queue(tmp_path / "touches.db", clock=service.clock) as queue:
        found = Tracked(service, queue)
        yield found
        found.feed.close()


def click(link: str = "hero", target: str = TARGET, of: int = 5) -> str:
    return links(KEYS).click(sent(), link, target, of)


def test_a_click_leads_on_and_is_a_receipt_after_its_moment(tracked: Tracked) -> None:
    answer = tracked.get(click())
    assert (answer.status_code, answer.headers["Location"], answer.content) == (302, TARGET, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert tracked.wait(9) == []
    [receipt] = tracked.wait(1)
    said = {"userId": "ann", "kind": "clicked", "channel": "email", "link": "hero", "campaign": "hello", "step": "mail"}
    assert said.items() <= receipt.items()
    assert receipt["time"] == "2026-02-02T02:40:00Z"
    assert "machine" not in receipt
    assert tracked.wait(60) == [receipt]


@pytest.mark.parametrize("keys", [KEYS, OLD_KEYS])
def test_a_picture_is_an_open(tracked: Tracked, keys: SigningKeys) -> None:
    answer = tracked.get(links(keys).open(sent()))
    assert (answer.status_code, answer.headers["Content-Type"], answer.content[:3]) == (200, "image/gif", b"GIF")
    assert [receipt["kind"] for receipt in tracked.wait(10)] == ["opened"]


def test_the_picture_as_apples_proxy_fetches_it(tracked: Tracked) -> None:
    tracked.get(links(KEYS).open(sent()), **{"User-Agent": "Mozilla/5.0"})
    [receipt] = tracked.wait(10)
    assert (receipt["machine"], receipt["reason"]) == (True, "apple")


def test_a_head_leads_on_and_is_a_machines(tracked: Tracked) -> None:
    assert tracked.get(click(), "HEAD").headers["Location"] == TARGET
    [receipt] = tracked.wait(10)
    assert (receipt["machine"], receipt["reason"]) == (True, "head")


def test_a_scanner_that_follows_every_link_and_leaves_nothing(tracked: Tracked) -> None:
    for link in ("1", "2", "3"):
        tracked.get(click(link, of=3))
    assert tracked.service.ask("GET", path(links(KEYS).unsubscribe(sent())), headers=PERSON).status_code == 200
    found = tracked.wait(10)
    assert [(each["kind"], each["link"], each["machine"]) for each in found] == [
        ("clicked", link, True) for link in ("1", "2", "3")
    ]


def test_what_comes_seconds_after_the_hand_off_is_a_machines(tracked: Tracked) -> None:
    send = sent()
    row = LedgerRow("ann", send.id, LedgerState.HANDED_OFF, "hello", "mail", "email", NOW - SECOND, NOW - SECOND)
    tracked.service.store.claim([row])
    tracked.get(click("1"))
    tracked.service.clock.now += 5 * SECOND
    tracked.get(click("2"))
    assert [each.get("reason") for each in tracked.wait(10)] == ["early", ""]


def test_the_scanner_and_the_reader_at_one_time_are_two(tracked: Tracked) -> None:
    tracked.get(click(), **{"User-Agent": "Barracuda Sentinel (EE)"})
    for _ in range(3):
        tracked.get(click())
    assert [each.get("machine", False) for each in tracked.wait(10)] == [True, False]


def test_a_click_later_is_another_one(tracked: Tracked) -> None:
    tracked.get(click())
    tracked.wait(10)
    tracked.service.clock.now += 30 * SECOND
    tracked.get(click())
    found = tracked.wait(10)
    assert len({receipt["id"] for receipt in found}) == len(found) == 2


def test_what_is_noted_holds_no_address_and_no_agent(tracked: Tracked) -> None:
    tracked.get(click(), **{"X-Forwarded-For": "203.0.113.9"})
    [touch] = tracked.touches()
    said = json.dumps(msgspec.to_builtins(touch))
    assert "Firefox" not in said
    assert "203.0.113.9" not in said
    assert "127.0.0.1" not in said


@contextmanager
def broken(queue: Queue) -> Iterator[None]:
    queue.close()
    yield


def test_a_reader_arrives_though_the_note_cannot_be_written(tracked: Tracked) -> None:
    with broken(tracked.queue):
        assert tracked.get(click()).headers["Location"] == TARGET
    metrics = tracked.service.ask("GET", "/metrics").text
    assert 'todoke_engage_touches_total{kind="clicked",outcome="lost"} 1' in metrics


def test_a_link_that_is_called_without_end_is_noted_now_and_then(tracked: Tracked) -> None:
    assert {tracked.get(click()).status_code for _ in range(50)} == {302}
    assert len(tracked.touches()) == 20
    assert len(tracked.wait(10)) == 1


def test_whoever_judges_next_finds_what_the_last_one_left(tracked: Tracked) -> None:
    """The judge dies after it took a touch, or after it published: nothing is lost, and nothing counts twice."""
    tracked.get(click("1"))
    tracked.judge.step()
    with pytest.raises(FeedAway):
        QueuedTouches(tracked.queue.path).take()  # one judges
    os_takes_the_lock(tracked.feed)
    tracked.feed, tracked.judge = tracked.judging()
    [first] = tracked.wait(10)
    os_takes_the_lock(tracked.feed)  # before the mark was written
    tracked.feed, tracked.judge = tracked.judging()
    assert {receipt["id"] for receipt in tracked.wait(10)} == {first["id"]}
    tracked.feed.close()
    tracked.feed, tracked.judge = tracked.judging()
    tracked.service.store.delete_control([row.id for row in tracked.service.store.read_control(9)])
    assert tracked.wait(10) == []


def test_what_was_judged_before_others_of_earlier_is_not_judged_again(tracked: Tracked) -> None:
    """Two clicks of ann's are one; bob's came between them, and waits when the judge's process ends."""
    bob = links(KEYS).click(msgspec.structs.replace(sent(user="bob"), id="bobs"), "hero", TARGET, 5)
    for url in (click(), bob, click()):
        tracked.get(url)
        tracked.service.clock.now += 4 * SECOND
    [first] = tracked.wait(0)
    tracked.feed.close()
    tracked.feed, tracked.judge = tracked.judging()
    found = tracked.wait(10)
    assert found[0] == first
    assert [each["userId"] for each in found] == ["ann", "bob"]


def test_a_fault_that_nobody_foresaw_does_not_end_the_judge(
    tracked: Tracked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(judge, "AWAY_SECONDS", 0.01)
    faults = ["ann@shop.example"]

    @contextmanager
    def opened() -> Iterator[tuple[Judge, QueuedTouches]]:
        feed, found = tracked.judging()
        publish = found._publish

        def failing(receipts: Any) -> None:
            if faults:
                raise KeyError(faults.pop())
            publish(receipts)

        found._publish = failing
        yield found, feed

    tracked.get(click())
    tracked.service.clock.now += 10 * SECOND
    with judge.judging(opened):
        until = time.monotonic() + 30
        while not tracked.service.receipts() and time.monotonic() < until:
            time.sleep(0.01)
    assert [each["kind"] for each in tracked.service.receipts()] == ["clicked"]
    assert "the judge failed, and begins anew: KeyError" in caplog.text
    assert "ann@shop.example" not in caplog.text


def os_takes_the_lock(feed: QueuedTouches) -> None:
    """As when the process is killed: nothing is said any more."""
    assert feed._held is not None
    feed._held.close()


def test_the_judge_waits_for_a_sink_that_is_away(tracked: Tracked) -> None:
    from services.problems import HttpProblem, away

    tracked.get(click())
    refused: list[Receipt] = []

    def refuse(receipts: Any) -> None:
        refused.extend(receipts)
        raise away("the broker")

    publish, tracked.judge._publish = tracked.judge._publish, refuse
    with pytest.raises(HttpProblem):
        tracked.wait(10)
    tracked.judge._publish = publish
    assert [receipt["id"] for receipt in tracked.wait(0)] == [refused[0].id]


def test_without_a_journal_each_is_judged_at_once(service: Service) -> None:
    row = LedgerRow("ann", sent().id, LedgerState.HANDED_OFF, "hello", "mail", "email", NOW - SECOND, NOW - SECOND)
    service.store.claim([row])
    assert service.ask("GET", path(click("1", of=2)), headers=PERSON).headers["Location"] == TARGET
    service.clock.now += 5 * SECOND
    service.ask("GET", path(click("2", of=2)), headers=PERSON)
    service.ask("GET", path(links(KEYS).open(sent())), headers={"User-Agent": "Mozilla/5.0"})
    service.ask("GET", path(links(KEYS).unsubscribe(sent())), headers=PERSON)
    found = [(each["kind"], each.get("machine", False), each["reason"]) for each in service.receipts()]
    assert found == [("clicked", True, "early"), ("clicked", False, ""), ("opened", True, "apple")]


def test_forged_links_lead_nowhere(tracked: Tracked) -> None:
    reference = reference_of(sent())
    token = path(click()).removeprefix("/c/")
    forged = [
        SigningKeys({"b": "x" * 40}).seal(CLICK, ClickLink(reference, "a", TARGET, 1)),
        KEYS.seal(OPEN, ClickLink(reference, "a", TARGET, 1)),
        KEYS.sign(CLICK, ["https://evil.example"]),
        token[:-1],
        token + "A",
        token.swapcase(),
        f"{token}?url=https://evil.example",
        *("x", "https://evil.example", "//evil.example", "%2f%2fevil.example", "a" * 9_000, "%0d%0aLocation:%20x"),
    ]
    for each in forged:
        for method in ("GET", "HEAD", "POST"):
            answer = tracked.get(f"/c/{each}", method)
            if each.startswith(f"{token}?") and method != "POST":
                assert answer.headers["Location"] == TARGET  # what stands behind is nobody's business
                continue
            assert answer.status_code in (404, 405), each
            assert "location" not in answer.headers
            assert "evil" not in answer.text
    assert tracked.get(f"/o/{token}").status_code == 404


@pytest.mark.parametrize(
    "target",
    [
        *("javascript:alert(1)", "data:text/html,x", "//evil.example", "/x", "ftp://x", "https://", "gone://x", ""),
        *("https://a.example/\r\nSet-Cookie: x=1", "https://a.example/ x", "https://a.example\\@evil.example"),
    ],
)
def test_what_was_signed_leads_to_the_web_or_to_apps_that_are_declared(tracked: Tracked, target: str) -> None:
    answer = tracked.get(click(target=target))
    assert (answer.status_code, "location" in answer.headers) == (404, False)
    assert tracked.touches() == []


def test_a_link_to_an_app_that_is_declared(tracked: Tracked) -> None:
    assert tracked.get(click(target="shop://cart?id=1")).headers["Location"] == "shop://cart?id=1"


def test_a_picture_is_no_link(tracked: Tracked) -> None:
    token = KEYS.seal(OPEN, OpenLink(reference_of(sent())))
    assert tracked.get(f"/c/{token}").status_code == 404


def test_clicks_move_people_and_machines_apart(tracked: Tracked) -> None:
    tracked.service.know({"type": "identify", "traits": {"email": "ann@shop.example"}})
    tracked.get(click(), **{"User-Agent": "Barracuda Sentinel (EE)"})
    tracked.get(click())
    tracked.wait(10)
    tracked.service.settle()
    events = [each.properties for each in tracked.service._inputs["ann"] if each.name == "Email Clicked"]
    assert [each.get("machine") for each in events] == [True, None]
