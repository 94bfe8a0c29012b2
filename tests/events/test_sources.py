"""The SRC of the command line."""

import pytest

from transforms.events.sources import Files, Subscription, parse_source


@pytest.mark.parametrize("text", ["events.jsonl", "/data/day-*.jsonl.gz", "gs://bucket/*.parquet", "./odd:name"])
def test_files(text: str) -> None:
    source = parse_source(text)
    assert source == Files(text)
    assert source.bounded


def test_subscription() -> None:
    source = parse_source("pubsub:projects/proj-x/subscriptions/events")
    assert source == Subscription("projects/proj-x/subscriptions/events")
    assert not source.bounded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "pubsub:",
        "pubsub:events",
        "pubsub://projects/proj-x/subscriptions/events",
        "pubsub:projects/proj-x/topics/events",
        "pubsub:projects/p/subscriptions/events",
        "pubsub:projects/proj-x/subscriptions/ev",
        "pubsub:projects/proj-x/subscriptions/events\n",
        "kafka:events",
    ],
)
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(ValueError, match=r"source|expected"):
        parse_source(text)
