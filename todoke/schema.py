"""`todoke schema`: what definition files look like, for editors."""

import msgspec

from transforms.campaigns.schema import definitions_schema

__all__ = ["print_schema"]


def print_schema() -> None:
    """Print the JSON Schema of definition files."""
    print(msgspec.json.format(msgspec.json.encode(definitions_schema()), indent=2).decode())
