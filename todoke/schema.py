"""`todoke schema`: the form of definition files, for editors."""

from todoke.terminal import json_text
from transforms.campaigns.schema import definitions_schema

__all__ = ["print_schema"]


def print_schema() -> None:
    """Print the JSON Schema of definition files."""
    print(json_text(definitions_schema(), indent=2))
