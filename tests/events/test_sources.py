"""The SRC of the command line."""

import pytest

from transforms.events.sources import BigQuery, Files, Subscription, parse_source


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
    ("text", "source"),
    [
        ("bigquery:proj-x.crm.events", BigQuery("proj-x.crm.events")),
        ("bigquery:example.com:proj-x.crm.Käufe 2026-01", BigQuery("example.com:proj-x.crm.Käufe 2026-01")),
        ("bigquery:orders.sql", BigQuery(query="orders.sql")),
        ("bigquery:gs://bucket/a/orders.sql", BigQuery(query="gs://bucket/a/orders.sql")),
    ],
)
def test_bigquery(text: str, source: BigQuery) -> None:
    assert parse_source(text) == source
    assert source.bounded
    assert source.name == text


def test_parts_of_a_table() -> None:
    assert BigQuery("example.com:proj-x.crm.events").parts == ("example.com:proj-x", "crm", "events")


@pytest.mark.parametrize(
    "text",
    [
        "bigquery:",
        "bigquery:.sql",
        "bigquery:crm.events",
        "bigquery:proj-x:crm.events",
        "bigquery:proj-x.crm.events.more",
        "bigquery:proj-x.crm.a`b",
        "bigquery:SELECT 1",
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
