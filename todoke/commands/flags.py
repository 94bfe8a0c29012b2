"""Flags that several commands take, in the same words."""

from typing import Annotated

import typer

__all__ = ["DefinitionsPath", "Json", "StoreUrl", "Topic", "Zone"]

StoreUrl = Annotated[str, typer.Option("--store", metavar="URL", help="sqlite:PATH or bigtable:PROJECT/INSTANCE")]
DefinitionsPath = Annotated[
    str, typer.Option("--definitions", metavar="PATH", help="a definitions file, a folder of them, or a pointer")
]
Topic = Annotated[
    str | None,
    typer.Option(metavar="TOPIC", help="the job's pubsub:projects/P/topics/T; default: the store's own control table"),
]
Zone = Annotated[
    str, typer.Option("--zone", metavar="ZONE", help="times by this zone: UTC, a name such as Europe/Berlin, or user")
]
Json = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]
