"""Flags that several commands take, in the same words."""

from typing import Annotated

import typer

__all__ = ["MOST", "DefinitionsPath", "Json", "Limit", "OneZone", "StoreUrl", "StoredZone", "Topic", "UserZone"]

StoreUrl = Annotated[str, typer.Option("--store", metavar="URL", help="sqlite:PATH or bigtable:PROJECT/INSTANCE")]
DefinitionsPath = Annotated[
    str, typer.Option("--definitions", metavar="PATH", help="a definitions file, a folder of them, or a pointer")
]
Topic = Annotated[
    str | None,
    typer.Option(metavar="TOPIC", help="the job's pubsub:projects/P/topics/T; default: the store's own control table"),
]
OneZone = Annotated[
    str, typer.Option("--zone", metavar="UTC|NAME", help="show times in this zone, such as Europe/Berlin")
]
UserZone = Annotated[
    str,
    typer.Option(
        "--zone", metavar="user|UTC|NAME", help="show times in the user's own zone, or in one such as Europe/Berlin"
    ),
]
StoredZone = Annotated[
    str,
    typer.Option(
        "--zone",
        metavar="user|UTC|NAME",
        help="show times in the user's own zone, or in one such as Europe/Berlin; user: UTC where none is known, for a "
        "store does not know policies.default_zone",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON, for programs")]
#: No number of rows or messages is greater: what is not meant as a number of them is a slip.
MOST = 1_000_000_000
Limit = Annotated[int | None, typer.Option("--limit", min=1, max=MOST, metavar="N", help="show at most so many")]
