"""The API as OpenAPI 3.1: what all parts have, around what each says of its own paths."""

from collections.abc import Mapping
from typing import Any

__all__ = ["document", "problem"]


def document(paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The document of these paths and schemas."""
    texts = {name: {"type": "string"} for name in ("type", "title", "detail", "code", "message")}
    fields = {**texts, "status": {"type": "integer"}}
    shown = {"Problem": {"type": "object", "properties": fields, "required": sorted(fields)}, **schemas}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Todoke: engage", "version": "1", "description": "What customers touch."},
        "paths": {**paths, **_health()},
        "components": {"schemas": shown, "securitySchemes": _SECURITY},
    }


def problem(says: str) -> dict[str, Any]:
    """An answer that is a problem."""
    return {"description": says, "content": {"application/problem+json": {"schema": {"$ref": _PROBLEM}}}}


_SECURITY = {
    "userToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "Of one user of an app."},
    "writeKey": {"type": "http", "scheme": "basic", "description": "The key as user name."},
}
_PROBLEM = "#/components/schemas/Problem"


def _health() -> dict[str, Any]:
    def get(summary: str, says: str) -> dict[str, Any]:
        return {"get": {"summary": summary, "responses": {"200": {"description": says}}}}

    ready = get("Receipts can be made durable", "They are taken.")
    ready["get"]["responses"]["503"] = problem("Nothing can be made durable now. Retry-After says when to come again.")
    metrics = get("What was counted", "As text, for Prometheus.")
    metrics["get"]["responses"]["404"] = problem("It is not for whoever asks.")
    return {
        "/live": get("The process lives", "It does."),
        "/ready": ready,
        "/metrics": metrics,
        "/openapi.json": get("This document", "As JSON."),
    }
