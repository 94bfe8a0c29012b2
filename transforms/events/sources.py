"""Where events are read from: the SRC of the command line."""

import re
from pathlib import Path
from typing import ClassVar

import msgspec

from transforms.events.plain import quoted

__all__ = [
    "AVRO",
    "PARQUET",
    "QUERY_LIMIT",
    "BigQuery",
    "Bounded",
    "EventQueue",
    "Files",
    "ReceivedMessage",
    "Source",
    "Subscription",
    "TableStreams",
    "parse_queue",
    "parse_source",
    "parse_subscription",
    "parse_topic",
]

#: What a source yields: the payload, the name of the file or subscription, the arrival in microseconds since the epoch,
#: UTC (None for files, whose lines have it), and a handle (see `live.inflight`; empty where Beam's own source
#: acknowledges). A plain tuple, because Beam encodes it as it stands.
ReceivedMessage = tuple[bytes, str, int | None, str]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!//)")
# Names as the service defines them: cloud.google.com/pubsub/docs/pubsub-basics#resource_names. Beam's own check of
# project ids wants six characters.
_SUBSCRIPTION = re.compile(
    r"projects/[a-z][-a-z0-9:.]{4,61}[a-z0-9]/subscriptions/(?!goog)[A-Za-z][-A-Za-z0-9_.~+%]{2,254}"
)
_TOPIC = re.compile(r"projects/[a-z][-a-z0-9:.]{4,61}[a-z0-9]/topics/(?!goog)[A-Za-z][-A-Za-z0-9_.~+%]{2,254}")
# cloud.google.com/bigquery/docs/datasets#dataset-naming and /tables#table_naming: letters of any language, and spaces.
_TABLE = re.compile(r"([a-z][-a-z0-9.]*:)?[a-z][-a-z0-9]{4,61}[a-z0-9]\.[A-Za-z0-9_]{1,1024}\.[\w\- ]{1,1024}")
_NAMES = "a project has 6 characters or more, a name 3 or more, which begin with a letter"
#: The suffixes of Parquet and Avro files; all other files are JSON Lines.
PARQUET = (".parquet", ".parquet.gz")
AVRO = (".avro", ".avro.gz")
#: How many gigabytes a query of BigQuery may read if nobody says more.
QUERY_LIMIT = 1_000


class Files(msgspec.Struct, frozen=True):
    """Files of JSON Lines, Parquet or Avro.

    `pattern` is a path or a glob pattern, on disk or, as `gs://...`, in a bucket. The name of each file
    tells its kind: see `files.messages_of_file`.
    """

    pattern: str
    bounded: ClassVar[bool] = True


class BigQuery(msgspec.Struct, frozen=True):
    """A table of BigQuery, as `PROJECT.DATASET.TABLE`, or a query in a file of SQL, on disk or `gs://...`.

    `most_gb` is how many gigabytes the query may read, which is what it costs.
    """

    table: str = ""
    query: str = ""
    most_gb: int = QUERY_LIMIT
    bounded: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """As it was asked for."""
        return f"bigquery:{self.table or self.query}"

    @property
    def parts(self) -> tuple[str, str, str]:
        """The project, the dataset and the table."""
        project, dataset, table = self.table.rsplit(".", 2)  # a project's domain has dots too
        return project, dataset, table


class TableStreams(msgspec.Struct, frozen=True):
    """What BigQuery reads for us: streams of rows of one schema, which Arrow has serialised, from about `size` bytes.

    All of them are the rows of the table as they were when it was opened.
    """

    name: str
    schema: bytes
    streams: tuple[str, ...]
    size: int
    bounded: ClassVar[bool] = True


class Subscription(msgspec.Struct, frozen=True):
    """A Pub/Sub subscription, as `projects/P/subscriptions/S`, which never ends."""

    path: str
    bounded: ClassVar[bool] = False


class EventQueue(msgspec.Struct, frozen=True):
    """An embedded queue in a file of this machine (see `queue`), which never ends."""

    path: str
    bounded: ClassVar[bool] = False


#: What a bounded source is when it is read.
Bounded = Files | TableStreams
Source = Bounded | BigQuery | Subscription | EventQueue


def parse_source(text: str) -> Source:
    """Read SRC: a path or pattern of files, `bigquery:...`, `pubsub:projects/P/subscriptions/S`, or `queue:PATH`.

    Raises:
      ValueError: it is no source; the text says what one looks like.
    """
    if not text.strip():
        raise ValueError(
            "a source is a path or pattern of files, bigquery:PROJECT.DATASET.TABLE, "
            "pubsub:projects/P/subscriptions/S, or queue:PATH; found nothing"
        )
    if text.startswith("pubsub:"):
        return Subscription(parse_subscription(text))
    if text.startswith("bigquery:"):
        return _bigquery(text.removeprefix("bigquery:"))
    if text.startswith("queue:"):
        return EventQueue(str(parse_queue(text)))
    if scheme := _SCHEME.match(text):
        raise ValueError(
            f"unknown kind of source {quoted(scheme[0])}; write pubsub:..., bigquery:... or queue:..., or ./{text} for "
            "a file of that name"
        )
    # Beam finds nothing for patterns without a folder, not even in the working directory.
    return Files(f"./{text}" if "/" not in text and any(sign in text for sign in "*?[") else text)


def _bigquery(place: str) -> BigQuery:
    if place.removesuffix(".sql").strip() and place.endswith(".sql"):
        return BigQuery(query=place)
    if not _TABLE.fullmatch(place):
        raise ValueError(
            f"expected bigquery:PROJECT.DATASET.TABLE, or bigquery:FILE.sql with a query; found {quoted(place)}"
        )
    return BigQuery(table=place)


def parse_subscription(text: str) -> str:
    """Read `pubsub:projects/P/subscriptions/S`; returns it without `pubsub:`.

    Raises:
      ValueError: it is no subscription; the text says what one looks like.
    """
    path = text.removeprefix("pubsub:")
    if not text.startswith("pubsub:") or not _SUBSCRIPTION.fullmatch(path):
        raise ValueError(f"expected pubsub:projects/PROJECT/subscriptions/NAME ({_NAMES}); found {quoted(text)}")
    return path


def parse_topic(text: str) -> str:
    """Read `pubsub:projects/P/topics/T`; returns it without `pubsub:`.

    Raises:
      ValueError: it is no topic; the text says what one looks like.
    """
    path = text.removeprefix("pubsub:")
    if not text.startswith("pubsub:") or not _TOPIC.fullmatch(path):
        raise ValueError(f"expected pubsub:projects/PROJECT/topics/NAME ({_NAMES}); found {quoted(text)}")
    return path


def parse_queue(text: str) -> Path:
    """Read `queue:PATH`.

    Raises:
      ValueError: it is no queue; the text says what one looks like.
    """
    path = text.removeprefix("queue:")
    if not text.startswith("queue:") or not path.strip() or path.endswith("/") or "\0" in path:
        raise ValueError(f"expected queue:PATH, a file of this machine; found {quoted(text)}")
    return Path(path)
