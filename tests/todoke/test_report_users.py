"""`todoke report --quantiles --cuped`: the units of the report, read of users and of the archive."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Todoke

SHOP = """
segments:
  buyers: {owner: growth, members: {event: Order Completed}}
campaigns:
  thanks:
    owner: growth
    trigger: {event: Visited}
    reenter: always
    holdout: 50
    steps: [{id: hello, send: hello_push}]
    goals:
      again: {event: Order Completed, within: 3d, value: revenue, where: {"test": {exists: false}}}
      seen: {event: Visited, within: 1d, after: 1d}
    consent: news
messages:
  hello_push: {channel: push, title: Hello}
policies: {settling: 0s}
"""
FLAGS = ("--definitions", "shop.yaml", "--store", "sqlite:s.db")
Call = tuple[int, str, float, float | None]


def line(number: int, call: Call) -> str:
    user, name, day, revenue = call
    hours, minutes = divmod(round(day * 24 * 60), 60)
    at = f"2026-03-{1 + hours // 24:02}T{hours % 24:02}:{minutes:02}:00Z"
    said = {"type": "track", "event": name, "userId": f"u{user}", "messageId": f"m{number}", "timestamp": at}
    properties = {} if revenue is None else {"revenue": revenue}
    return json.dumps(said | {"properties": properties, "context": {"device": {"token": f"t{user}", "type": "ios"}}})


def calls() -> list[Call]:
    """1,200 users order for about as much each time: before they visit, and after it."""
    chance, found = random.Random(4), list[Call]()
    for user in range(1_200):
        worth = chance.choice([0, 0, 5, 20, 80])
        day = 4 + chance.randrange(3)
        found += [(user, "Visited", day, None), (user, "Visited", day + 1.5, None)]
        found += (
            [(user, "Order Completed", day - 1, worth), (user, "Order Completed", day - 3.5, 1_000)] if worth else []
        )
        found += [(user, "Order Completed", day + 1, worth + chance.randrange(5))] if worth else []
        found += [(user, "Order Completed", day + 2.9, 1)] if user % 3 else []
        found += [(user, "Order Completed", day + 3, 500)]  # a moment too late
        found += [(user, "Order Completed", day, 3)] if user % 9 == 0 else []  # with the visit
    return found


@pytest.fixture
def shop(tmp_path: Path, todoke: Todoke) -> Path:
    (tmp_path / "shop.yaml").write_text(SHOP)
    (tmp_path / "events.jsonl").write_text("\n".join(line(*each) for each in enumerate(calls())))
    flags = ("--events", "events.jsonl", "--outbox", "out", "--as-of", "2026-03-20T00:00:00Z")
    done = todoke("run", *FLAGS, *flags)
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.all_in_ci
def test_they_are_of_the_same_units_and_say_more(shop: Path, todoke: Todoke) -> None:
    done = todoke("report", *FLAGS, "--quantiles", "--cuped", "--json", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    said: dict[Any, Any] = {(each["goal"], each["measure"]): each for each in found["by_user"]}
    plain: dict[Any, Any] = {(each["goal"], each["measure"]): each for each in found["effects"]}
    assert said.keys() == plain.keys() == {("again", "rate"), ("again", "value"), ("seen", "rate")}
    arms = {each["arm"]: each for each in plain["again", "value"]["arms"]}
    for values in said["again", "value"]["values"]:
        arm = arms[values["arm"]]
        assert (values["units"], values["reached"]) == (arm["units"], arm["reached"])
        assert [each["level"] for each in values["quantiles"]] == [0.5, 0.75, 0.9, 0.95, 0.99]
    [effect] = said["again", "value"]["effects"]
    [compared] = plain["again", "value"]["effects"]
    low, high = effect["adjusted"]["found"]["between"]
    assert high - low < 0.2 * (compared["found"]["between"][1] - compared["found"]["between"][0])
    assert effect["adjusted"]["reduction"] > 0.95  # what users order hardly changes
    assert effect["adjusted"]["found"]["of"] == compared["found"]["of"] == 3
    [seen] = said["seen", "rate"]["effects"]
    assert (seen["verdict"], seen["adjusted"]) == ("not enough data", None)  # everyone comes again
    page = (shop / "page.html").read_text(encoding="utf-8")
    assert "quantiles of value a user, each with its interval at this look alone" in page

    text = " ".join(todoke("report", *FLAGS, "--quantiles", "--cuped").stdout.split())
    assert "again, value a user, less what the time before entry explains: treated against holdout:" in text
    assert "% less" in text


@pytest.mark.all_in_ci
def test_quantiles_are_those_of_what_each_was_worth(shop: Path, todoke: Todoke) -> None:
    found = json.loads(todoke("report", *FLAGS, "--quantiles", "--json").stdout)
    assert all(not each["effects"] for each in found["by_user"])
    worth = dict.fromkeys(range(1_200), 0.0)
    visited = {user: day for user, name, day, _ in reversed(calls()) if name == "Visited"}
    for user, name, day, revenue in calls():
        if name == "Order Completed" and visited[user] <= day < visited[user] + 3:
            worth[user] += revenue or 0
    sent = {json.loads(each)["user"] for file in (shop / "out").rglob("*.jsonl") for each in file.open()}
    [said] = [each["values"] for each in found["by_user"] if each["values"]]
    for arm in said:
        mine = [value for user, value in worth.items() if (f"u{user}" in sent) is (arm["arm"] != "holdout")]
        assert arm["units"] == len(mine)
        for each in arm["quantiles"]:
            assert each["value"] == np.quantile(mine, each["level"], method="inverted_cdf")


@pytest.mark.all_in_ci
def test_days_on_which_percentages_changed_are_left_out(shop: Path, todoke: Todoke) -> None:
    (shop / "shop.yaml").write_text(SHOP.replace("holdout: 50", "holdout: 20"))
    new = [(user, "Visited", 19 if user % 2 else 6, None) for user in range(2_000, 2_300)]
    (shop / "more.jsonl").write_text("\n".join(line(9**6 + number, each) for number, each in enumerate(new)))
    done = todoke(
        "run", *FLAGS, "--continue", "--outbox", "more", "--events", "more.jsonl", "--as-of", "2026-03-29T00:00:00Z"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(todoke("report", *FLAGS, "--quantiles", "--json").stdout)
    [said] = [each["values"] for each in found["by_user"] if each["goal"] == "again" and each["values"]]
    assert sum(arm["units"] for arm in said) == 150
    assert all(arm["quantiles"] == [] for arm in said)


def test_values_beyond_all_measure_are_kept_as_the_report_keeps_them(shop: Path, todoke: Todoke) -> None:
    new = [(user, "Order Completed", 3.9 + 0.2 * (user % 2), 1e300 - 2e300 * (user % 3)) for user in range(9, 12)]
    late = [(user, "Order Completed", 7.1, 1e300) for user in range(600)]
    (shop / "events.jsonl").write_text("\n".join(line(*each) for each in enumerate(calls() + new + late)))
    (shop / "s.db").unlink()
    run = ("--events", "events.jsonl", "--outbox", "anew", "--as-of", "2026-03-20T00:00:00Z")
    done = todoke("run", *FLAGS, *run)
    assert done.returncode == 0, done.stderr
    done = todoke("report", *FLAGS, "--quantiles", "--cuped", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    [said] = [each for each in found["by_user"] if (each["goal"], each["measure"]) == ("again", "value")]
    assert max(each["value"] for arm in said["values"] for each in arm["quantiles"]) == pytest.approx(2**63 / 1e6)
    [plain] = [each for each in found["effects"] if (each["goal"], each["measure"]) == ("again", "value")]
    assert {each["arm"]: each["reached"] for each in plain["arms"]} == {
        each["arm"]: each["reached"] for each in said["values"]
    }


def test_goals_are_asked_of_the_definitions(shop: Path, todoke: Todoke) -> None:
    done = todoke("report", "--store", "sqlite:s.db", "--cuped")
    assert done.returncode == 2
    assert "--quantiles, --cuped: name --definitions, which say what the goals are" in done.stderr
