"""What OpenAPI says of `/v1/inbox`."""

from typing import Any

from services.engage.inbox.marking import MARKS
from services.engage.inbox.routes import DEFAULT_LIMIT, MOST
from services.engage.openapi import problem
from transforms.channels.inbox.message import PLACEMENT

__all__ = ["INBOX_PATHS", "INBOX_SCHEMAS"]

_TIME = {"type": "string", "format": "date-time"}
_SECURITY: list[dict[str, Any]] = [{"userToken": []}]
_MESSAGE = {
    "id": {"type": "string", "description": "Names the message where it is marked."},
    "at": {**_TIME, "description": "When it was decided."},
    "title": {"type": "string"},
    "body": {"type": "string"},
    "image": {"type": "string"},
    "deep_link": {"type": "string"},
    "data": {"type": "object"},
    "expires": {**_TIME, "description": "From then on it is no longer listed."},
    "placement": {"type": "string", "pattern": f"^{PLACEMENT}$"},
    "trigger": {
        "type": "object",
        "description": "When to show what has a placement; without one, at once.",
        "properties": {
            "event": {"type": "string"},
            "screen": {"type": "string"},
            "page": {"type": "string"},
            "after": {"type": "integer", "description": "So many seconds later."},
        },
    },
    "locale": {"type": "string", "description": "That of the text, where it has one."},
    "read": {**_TIME, "description": "When it was read."},
    "clicked": {**_TIME, "description": "When it was clicked."},
}
_PROBLEMS = {
    "401": problem("The token is missing, or is not taken; the text says why."),
    "404": problem("There is no such message in this inbox, or no inbox is set up."),
    "429": problem("This user asks too often. Retry-After says when to come again."),
    "503": problem("The store does not answer now. Retry-After says when to come again."),
}


def _object(required: tuple[str, ...], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(says: str, name: str) -> dict[str, Any]:
    return {"description": says, "content": {"application/json": {"schema": _ref(name)}}}


def _query(name: str, schema: dict[str, Any], says: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": says}


INBOX_SCHEMAS: dict[str, Any] = {
    "InboxMessage": _object(("id", "at", "title", "body", "data"), _MESSAGE),
    "Inbox": _object(
        ("messages", "unread", "next"),
        {
            "messages": {"type": "array", "items": _ref("InboxMessage")},
            "unread": {"type": "integer", "description": "Of the whole list."},
            "next": {"type": ["string", "null"], "description": "The cursor of the next page; null: this is the last."},
        },
    ),
    "MarkAll": _object((), {"until": _TIME, "placement": {"type": "string"}}) | {"additionalProperties": False},
    "Marked": _object(("marked",), {"marked": {"type": "integer", "description": "Messages that were marked anew."}}),
}

_SHOW = {
    "summary": "What the app shows of a user's messages, newest first",
    "security": _SECURITY,
    "parameters": [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT}, "Of a page."),
        _query("cursor", {"type": "string"}, "The `next` of the page before."),
        _query("placement", {"type": "string"}, "That of pop-ups and banners; without it the list; `*` for all."),
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}, "description": "An ETag of before."},
    ],
    "responses": {
        "200": _json("A page.", "Inbox"),
        "304": {"description": "Nothing has changed since the ETag."},
        "400": problem("The limit or the cursor cannot be."),
        **_PROBLEMS,
    },
}
_READ_ALL = {
    "summary": "All messages were read, or those of a placement until a time",
    "security": _SECURITY,
    "requestBody": {"required": False, "content": {"application/json": {"schema": _ref("MarkAll")}}},
    "responses": {
        "200": _json("They are marked.", "Marked"),
        "400": problem("The body cannot be read."),
        "408": problem("The body took too long to come."),
        "413": problem("The body is too large."),
        **_PROBLEMS,
    },
}


def _mark(said: str) -> dict[str, Any]:
    return {
        "summary": f"A message was {said}",
        "security": _SECURITY,
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": _json("It is marked.", "Marked"), **_PROBLEMS},
    }


INBOX_PATHS: dict[str, Any] = {
    "/v1/inbox": {"get": _SHOW},
    "/v1/inbox/read": {"post": _READ_ALL},
    **{f"/v1/inbox/{{id}}/{said}": {"post": _mark(said)} for said in MARKS},
}
