"""Definitions that change between two runs over files: nothing is lost, and nothing is sent again."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Todoke

BEFORE = """\
segments:
  regulars: {owner: crm, members: {event: Order Completed, count: {at_least: 3}}}
messages:
  thanks: {channel: push, title: Thank you}
  again: {channel: push, title: Come again}
campaigns:
  greet:
    owner: crm
    trigger: {enters: regulars}
    steps: [{send: thanks}, {wait: 30d}, {send: again}]
    consent: offers
    reenter: never
"""
#: One threshold less, a sum, and a template that remembers what nobody asked for before.
AFTER = BEFORE.replace("at_least: 3", "at_least: 2").replace(
    "segments:\n",
    "segments:\n  spenders: {owner: crm, members: {event: Order Completed, sum: {of: total, at_least: 25}}}\n",
)
REMEMBERS = AFTER.replace("title: Come again", 'title: "{{ cart.sku }} waits"').replace(
    "reenter: never", "reenter: never\n    with: {cart: {last: Product Added}}"
)


def call(type_: str, day: int, **fields: Any) -> str:
    time = f"2026-03-{day:02}T12:00:00Z"
    return json.dumps({"type": type_, "messageId": f"m{day}{fields.get('userId')}", "timestamp": time, **fields})


def order(day: int, user: str, **fields: Any) -> str:
    return call("track", day, event="Order Completed", userId=user, properties={"total": 10}, **fields)


def known(user: str) -> str:
    return call("identify", 1, userId=user, context={"device": {"token": f"phone {user}", "type": "ios"}})


FIRST = [known("ann"), known("bob"), known("cat"), *(order(day, "ann") for day in (2, 3, 4))]
FIRST += [call("track", 2, userId="ann", messageId="cart", event="Product Added", properties={"sku": "tea"})]
FIRST += [order(5, "bob"), order(6, "bob"), call("track", 7, event="Order Completed", anonymousId="v", messageId="v1")]
#: Ann's wait ends, cat orders for the second time, and the visitor is bob.
MORE = [order(8, "cat"), order(9, "cat"), call("identify", 10, userId="bob", anonymousId="v", messageId="is")]


class Shop:
    def __init__(self, folder: Path, todoke: Todoke) -> None:
        self.folder, self.todoke = folder, todoke

    def run(self, definitions: str, events: list[str], as_of: str, *more: str) -> dict[str, Any]:
        (self.folder / "d.yaml").write_text(definitions, encoding="utf-8")
        (self.folder / "events.jsonl").write_text("\n".join(events), encoding="utf-8")
        flags = ["--definitions", "d.yaml", "--events", "events.jsonl", "--store", "sqlite:users.db"]
        done = self.todoke("run", *flags, "--as-of", as_of, "--report", "report.json", *more)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_bytes())
        return found

    def members(self, segment: str) -> dict[str, str]:
        lines = self.todoke("members", segment, "--store", "sqlite:users.db", "--json").stdout.splitlines()
        return {each["user"]: each["since"] for each in map(json.loads, lines)}

    @property
    def pushes(self) -> list[tuple[str, str]]:
        found = (line for file in self.folder.glob("outbox/push-*.jsonl") for line in file.read_text().splitlines())
        return sorted((each["user"], each["title"]) for each in map(json.loads, found))


@pytest.fixture
def shop(tmp_path: Path, todoke: Todoke) -> Shop:
    made = Shop(tmp_path, todoke)
    made.run(BEFORE, FIRST, "2026-03-07T12:00:00Z")
    assert (made.pushes, made.members("regulars").keys()) == ([("ann", "Thank you")], {"ann"})
    return made


def test_a_threshold_is_lowered(shop: Shop) -> None:
    report = shop.run(AFTER, [*FIRST, *MORE], "2026-03-12T00:00:00Z", "--continue")
    assert report["rebuilt"] == {"whole": 4}, "everybody of the store, the visitor too"
    assert (report["applied"], report["duplicates"]) == (3, len(FIRST))
    assert shop.members("regulars") == {
        "ann": "2026-03-04T12:00:00Z",
        "bob": "2026-03-07T12:00:00Z",  # by the change, at the user's clock
        "cat": "2026-03-09T12:00:00Z",
    }
    assert shop.members("spenders") == {"ann": "2026-03-07T12:00:00Z"}, "and bob's visit had no total"
    assert shop.pushes == [("ann", "Thank you"), ("cat", "Thank you")], "bob became one by no act of his own"
    later = shop.run(AFTER, [order(20, "bob")], "2026-04-20T00:00:00Z", "--continue")
    assert later["rebuilt"] == {}
    assert ("ann", "Come again") in shop.pushes, "her journey went on"
    assert set(shop.members("spenders")) == {"ann", "bob"}


@pytest.mark.all_in_ci
def test_what_templates_remember_is_made_of_the_archive(shop: Shop) -> None:
    shop.run(REMEMBERS, [order(8, "cat")], "2026-04-20T00:00:00Z", "--continue")
    assert shop.pushes == [("ann", "Thank you"), ("ann", "tea waits")]


def test_explain_asks_the_definitions_by_which_a_user_was_judged(shop: Shop) -> None:
    asked = ("explain", "bob", "regulars", "--store", "sqlite:users.db", "--definitions", "d.yaml")
    (shop.folder / "d.yaml").write_text(AFTER, encoding="utf-8")
    early = shop.todoke(*asked)
    assert (early.returncode, "`todoke run --continue` with these" in early.stderr) == (2, True), early.stderr
    shop.run(AFTER, [order(8, "cat")], "2026-03-12T00:00:00Z", "--continue")
    assert shop.todoke(*asked).stdout.splitlines()[1].startswith("yes segment regulars")


CART = """\
messages: {cart: {channel: push, title: Your cart waits}}
campaigns:
  carts:
    owner: crm
    trigger: {event: Product Added}
    steps: [{send: cart}]
    exit: {event: Order Completed}
    consent: offers
    reenter: always
    max_event_age: 30d
"""


@pytest.mark.all_in_ci
def test_an_exit_that_came_before_the_campaign_was_written_is_known(shop: Shop) -> None:
    added = [call("track", 6, event="Product Added", userId=name, messageId=f"late {name}") for name in ("bob", "cat")]
    late = [json.dumps(json.loads(each) | {"arrival": "2026-03-08T12:00:00Z"}) for each in added]
    shop.run(CART, late, "2026-03-09T00:00:00Z", "--continue")
    # Bob ordered at the same instant, by a message with a greater id.
    assert [name for name, title in shop.pushes if title == "Your cart waits"] == ["cat"]
    report = json.loads((shop.folder / "report.json").read_bytes())
    assert (report["entries"], report["suppressed"].get("exit")) == (2, 1)
