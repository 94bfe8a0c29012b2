"""`todoke backfill --write recommendations`: lists of an archive or of files, who is shown them, and what that did."""

import json
from pathlib import Path

import pytest
from commands import Todoke

from transforms.campaigns.load import check
from transforms.storage.open import open_store

SHOP = """
recommend: {event: Order Completed, product: "products[].id", within: 30d, at_least: 2, segments: [regulars]}
segments:
  regulars: {owner: growth, members: {event: Order Completed, count: {at_least: 2}}}
campaigns:
  next_order:
    owner: growth
    trigger: {event: Order Completed}
    reenter: always
    variants: {plain: 50, picks: 50}
    steps: [{id: hello, send: {plain: hello_plain, picks: hello_picks}}]
    goals: {again: {event: Ordered Again, within: 3d}}
    consent: news
messages:
  hello_plain: {channel: push, title: Thank you}
  hello_picks:
    channel: push
    title: "{% if recommendations.size > 0 %}Try {{ recommendations.first.id }}{% else %}Thank you{% endif %}"
policies: {settling: 0s}
"""
#: Whoever buys rice buys tea, but for who comes last.
BASKETS = [("rice", "tea"), ("rice", "tea"), ("soy", "nori"), ("soy", "nori"), ("rice",), ("soy",)]
FLAGS = ("--definitions", "shop.yaml", "--store", "sqlite:s.db")
WRITE = ("backfill", *FLAGS, "--write", "recommendations")


def event(user: int, name: str, day: int, **properties: object) -> str:
    at = f"2026-03-{day:02}T09:00:00Z"
    said = {"type": "track", "event": name, "userId": f"u{user}", "messageId": f"{name}{user}{at}", "timestamp": at}
    context = {"device": {"token": f"t{user}", "type": "ios"}}
    return json.dumps(said | {"properties": properties, "context": context})


def order(user: int, day: int, *ids: str) -> str:
    return event(user, "Order Completed", day, products=[{"id": each} for each in ids])


@pytest.fixture
def shop(tmp_path: Path, todoke: Todoke) -> Path:
    """A store with the orders of a week."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    lines = [order(user, 1 + user % 5, *ids) for user, ids in enumerate(BASKETS)]
    (tmp_path / "history.jsonl").write_text("\n".join([*lines, order(0, 6, "rice"), "", "{"]))
    done = todoke("run", *FLAGS, "--events", "history.jsonl", "--outbox", "out", "--as-of", "2026-03-08T00:00:00Z")
    assert done.returncode == 0, done.stderr
    return tmp_path


def lists(folder: Path) -> dict[str, list[str]]:
    store = open_store(f"sqlite:{folder / 's.db'}")
    run = store.read_recommendation_run()
    names = [*(f"p#{name}" for name in ("rice", "tea", "soy", "nori")), "s#", "s#regulars"]
    found = store.read_recommendations(run.made, names) if run is not None else {}
    store.close()
    return {name: [product for product, _, _ in row.products] for name, row in found.items()}


EXPECTED = {
    **{"p#rice": ["tea"], "p#tea": ["rice"], "p#soy": ["nori"], "p#nori": ["soy"]},
    "s#": ["rice", "soy", "nori", "tea"],
}


@pytest.mark.parametrize("more", [(), ("--runner=FnApiRunner",)])
def test_lists_are_made_of_the_archive(shop: Path, todoke: Todoke, more: tuple[str, ...]) -> None:
    done = todoke(*WRITE, "--as-of", "2026-03-08T00:00:00Z", "--report", "r.json", *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 lists as of 2026-03-08T00:00:00Z, in ")
    assert lists(shop) == EXPECTED  # one regular is too few
    report = json.loads((shop / "r.json").read_text())
    assert (report["write"], report["lists"], report["followed"]) == ("recommendations", 5, True)


def test_a_time_before_which_too_few_had_anything_is_said(shop: Path, todoke: Todoke) -> None:
    done = todoke(*WRITE, "--as-of", "2026-02-01T00:00:00Z")
    assert (done.returncode, lists(shop)) == (0, {})
    said = done.stdout.splitlines()
    assert said[0].startswith("0 lists as of 2026-02-01T00:00:00Z")
    assert said[2] == (
        "too few users had a product `within` that time: messages show their fallback. Of older events: --as-of"
    )


def test_lists_are_made_of_files(shop: Path, todoke: Todoke) -> None:
    done = todoke(*WRITE, "--as-of", "2026-03-04T00:00:00Z", "--events", "history.jsonl")
    assert done.returncode == 0, done.stderr
    assert "8 messages read: 4 applied" in done.stdout
    assert lists(shop) == {"p#rice": ["tea"], "p#tea": ["rice"], "s#": ["rice", "soy", "tea"]}  # of four users


@pytest.mark.all_in_ci
def test_a_variant_shows_them_and_is_measured_against_the_other(shop: Path, todoke: Todoke) -> None:
    """Thousand new users order rice: who is shown tea comes again more often."""
    assert todoke(*WRITE, "--as-of", "2026-03-08T00:00:00Z").returncode == 0
    (shop / "next.jsonl").write_text("\n".join(order(user, 9, "rice") for user in range(100, 1_100)))
    run = ("run", *FLAGS, "--continue", "--outbox", "next")
    done = todoke(*run, "--events", "next.jsonl", "--as-of", "2026-03-09T12:00:00Z")
    assert done.returncode == 0, done.stderr
    sent = [json.loads(line) for file in (shop / "next").rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert {(each["variant"], each["title"]) for each in sent} == {("plain", "Thank you"), ("picks", "Try tea")}
    again = [each["user"] for place, each in enumerate(sent) if place % 10 < (5 if each["variant"] == "picks" else 2)]
    (shop / "again.jsonl").write_text("\n".join(event(int(user[1:]), "Ordered Again", 10) for user in again))
    done = todoke(*run, "--events", "again.jsonl", "--as-of", "2026-03-20T00:00:00Z")
    assert done.returncode == 0, done.stderr
    [effect] = json.loads(todoke("report", "--store", "sqlite:s.db", "--json").stdout)["effects"][0]["effects"]
    assert {effect["arm"], effect["base"]} == {"plain", "picks"}
    assert effect["verdict"] == ("more" if effect["arm"] == "picks" else "less")


def test_the_definitions_of_the_guide_are_sound() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "recommend.md").read_text(encoding="utf-8")
    definitions, problems = check((("shop.yaml", guide.split("```yaml\n")[1].split("```")[0]),))
    assert definitions is not None, problems.errors
    assert definitions.recommend is not None


def test_what_cannot_be_asked_is_refused(shop: Path, todoke: Todoke) -> None:
    def refused(*flags: str) -> str:
        done = todoke("backfill", *flags)
        assert done.returncode == 2
        return done.stderr

    assert "--engine: recommendations are counted by columns alone" in refused(*WRITE[1:], "--engine", "rows")
    assert "--direct_num_workers: only with --runner" in refused(*WRITE[1:], "--direct_num_workers", "2")
    assert "--store: name the store" in refused("--definitions", "shop.yaml", "--write", "recommendations")
    (shop / "shop.yaml").write_text("segments: {s: {owner: o, members: {event: A}}}")
    assert "--definitions: a section `recommend` says what is counted" in refused(*WRITE[1:])
