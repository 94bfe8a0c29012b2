"""What Google's APIs take, by their discovery documents, and nothing else: an unknown field is an error."""

import json
from pathlib import Path
from typing import Any

import jsonschema

__all__ = ["check"]

DATA = Path(__file__).parent / "data" / "discovery"


def check(api: str, schema: str, content: Any) -> None:
    """Hold JSON against a schema of an API; raises where it does not fit."""
    schemas = json.loads((DATA / f"{api}.json").read_text("utf-8"))["schemas"]
    jsonschema.validate(content, {"$ref": f"#/schemas/{schema}", "schemas": _strict(schemas)})


def _strict(found: Any) -> Any:
    """The same schemas in the words of JSON Schema, closed."""
    if not isinstance(found, dict):
        return found
    closed = {name: _strict(inner) for name, inner in found.items() if name != "id"}
    if isinstance(found.get("$ref"), str):
        closed["$ref"] = f"#/schemas/{found['$ref']}"
    if isinstance(found.get("properties"), dict) and "type" in found:
        closed["properties"] = {name: _strict(inner) for name, inner in found["properties"].items()}
        closed["additionalProperties"] = False
    return closed
