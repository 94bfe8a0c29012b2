"""The API as OpenAPI 3.1; what a call has comes from the wire format."""

from functools import cache
from typing import Any

import msgspec

from services.collect.answers import BadCall
from services.collect.request import BATCHES, BEACON, KINDS, PIXEL_KINDS, PIXELS
from transforms.events.wire import AliasCall, GroupCall, IdentifyCall, PageCall, ScreenCall, TrackCall

__all__ = ["document"]

_CALLS = {
    "track": TrackCall,
    "identify": IdentifyCall,
    "page": PageCall,
    "screen": ScreenCall,
    "group": GroupCall,
    "alias": AliasCall,
}
#: What a call needs beside `userId` or `anonymousId`.
_REQUIRED: dict[type, tuple[str, ...]] = {
    TrackCall: ("event",),
    GroupCall: ("groupId",),
    AliasCall: ("userId", "previousId"),
}
_PROBLEMS = {
    "400": "The body cannot be read, or a call by itself is bad.",
    "401": "The write key is missing, or is none.",
    "403": "The key's source takes no calls from the browser's origin.",
    "408": "The body took too long to come.",
    "413": "The body is too large, after unzipping.",
    "415": "The body is in another encoding than gzip.",
    "429": "The source sends too much. Retry-After says when to come again.",
    "503": "Nothing can be made durable now. Retry-After says when to come again.",
}


@cache
def document() -> dict[str, Any]:
    """The document; it is one object, so do not change it."""
    _, schemas = msgspec.json.schema_components([*_CALLS.values(), BadCall], ref_template="#/components/schemas/{name}")
    for call in _CALLS.values():
        schemas[call.__name__]["required"] = list(_REQUIRED.get(call, ()))  # by its own path, a call needs no `type`
    calls = [_ref(call.__name__) for call in _CALLS.values()]
    schemas["Problem"] = _object(
        type={"type": "string"},
        title={"type": "string"},
        status={"type": "integer"},
        detail={"type": "string"},
        code={"type": "string"},
        message={"type": "string"},
    )
    schemas["Batch"] = _object("batch", batch={"type": "array", "items": {"anyOf": calls}})
    schemas["Taken"] = _object(
        "success", success={"const": True}, refused={"type": "array", "items": _ref(BadCall.__name__)}
    )
    one = {f"/v1/{word}": {"post": _post(f"One {kind} call", _CALLS[kind].__name__)} for word, kind in KINDS.items()}
    batches = {path: {"post": _post("A batch of calls", "Batch")} for path in BATCHES}
    beacon = _post("A batch of calls from a browser's beacon", "Batch")
    beacon["parameters"] = [_parameter("writeKey")]
    pixels = {f"{path}/{kind}": {"get": _pixel(kind)} for path in PIXELS for kind in PIXEL_KINDS}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Todoke: collect", "version": "1", "description": "Calls of the Segment spec."},
        "paths": one | batches | {BEACON: {"post": beacon}} | pixels | _health(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"writeKey": {"type": "http", "scheme": "basic", "description": "The key as user name"}},
        },
        "security": [{"writeKey": []}, {}],
    }


def _health() -> dict[str, Any]:
    def get(summary: str, says: str) -> dict[str, Any]:
        return {"get": {"summary": summary, "responses": {"200": {"description": says}}}}

    metrics = get(
        "What this process counted, for programs of this machine or with the token", "Prometheus' text format."
    )
    metrics["get"]["responses"]["404"] = _problem("It is not for whoever asks.")
    ready = get("Calls can be made durable", "They are taken.")
    ready["get"]["responses"]["503"] = _problem(_PROBLEMS["503"])
    return {
        "/live": get("The process lives", "It does."),
        "/ready": ready,
        "/metrics": metrics,
        "/openapi.json": get("This document", "As JSON."),
    }


def _post(summary: str, schema: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(schema)}}},
        "responses": {
            "200": {
                "description": "All that is not listed as refused is durable.",
                "content": {"application/json": {"schema": _ref("Taken")}},
            },
            **{status: _problem(says) for status, says in _PROBLEMS.items()},
        },
    }


def _pixel(kind: str) -> dict[str, Any]:
    return {
        "summary": f"One {kind} call as an image; any other parameter is a field of the call",
        "parameters": [_parameter("writeKey"), _parameter("data")],
        "responses": {
            "200": {"description": "The call is durable.", "content": {"image/gif": {}}},
            **{status: _problem(says) for status, says in _PROBLEMS.items() if status not in ("408", "415")},
        },
    }


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _problem(says: str) -> dict[str, Any]:
    return {"description": says, "content": {"application/problem+json": {"schema": _ref("Problem")}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required or properties)}
