"""What OpenAPI says of `/v1/webhooks/…`."""

from typing import Any

import msgspec

from services.engage.openapi import problem
from services.engage.webhooks.routes import PROVIDERS, Taken
from services.engage.webhooks.standard import TOLD_KINDS, StandardReceipt
from transforms.channels.sms.replies import TWILIO_REPLIES, TWILIO_STATUS

__all__ = ["WEBHOOK_PATHS", "WEBHOOK_SCHEMAS"]

_SIGNED = {
    "ses": ("Notifications of Amazon SES, by SNS", None),
    "sendgrid": ("The signed event webhook of SendGrid", "x-twilio-email-event-webhook-signature"),
    "standard": ("Receipts of any other system, signed as Standard Webhooks has it", "webhook-signature"),
    "line": ("Webhook events of LINE", "x-line-signature"),
}
_PROBLEMS = {
    "400": problem("The body cannot be read as a whole."),
    "403": problem("The signature is missing, not genuine, or too old."),
    "404": problem("This provider is not set up here."),
    "408": problem("The body took too long to come."),
    "413": problem("The body is too large."),
    "503": problem("Nothing can be made durable now. Retry-After says when to come again."),
}


def _schemas() -> dict[str, Any]:
    _, found = msgspec.json.schema_components([Taken, StandardReceipt], ref_template="#/components/schemas/{name}")
    found["StandardReceipt"]["properties"]["kind"] = {"enum": list(TOLD_KINDS)}
    found["StandardReceipt"]["properties"]["time"] = {"type": "string", "format": "date-time"}
    several = {"type": "array", "items": {"$ref": "#/components/schemas/StandardReceipt"}}
    found["StandardReceipts"] = {"type": "object", "properties": {"receipts": several}, "required": ["receipts"]}
    return found


WEBHOOK_SCHEMAS = _schemas()

_TAKEN = {
    "description": "What could be read is durable; `refused` lists what could not.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Taken"}}},
}


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}}


def _json_post(name: str) -> dict[str, Any]:
    summary, signature = _SIGNED[name]
    body: dict[str, Any] = {"type": "object"}
    if name == "sendgrid":
        body = {"type": "array", "items": {"type": "object"}}
    if name == "standard":
        body = {"anyOf": [{"$ref": f"#/components/schemas/{each}"} for each in ("StandardReceipt", "StandardReceipts")]}
    post = {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _TAKEN, **_PROBLEMS},
    }
    return {"post": post | ({"parameters": [_header(signature)]} if signature else {})}


def _form_post(summary: str, status: str, says: dict[str, Any]) -> dict[str, Any]:
    form = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        "post": {
            "summary": summary,
            "parameters": [_header("x-twilio-signature")],
            "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": form}}},
            "responses": {status: says, **_PROBLEMS},
        }
    }


WEBHOOK_PATHS: dict[str, Any] = {
    **{path: _json_post(name) for name, path in PROVIDERS.items()},
    TWILIO_STATUS: _form_post("What became of a text message, by Twilio", "204", {"description": "It is taken."}),
    TWILIO_REPLIES: _form_post(
        "What somebody replied to a text message, by Twilio",
        "200",
        {"description": "It is taken; nothing is to be said.", "content": {"text/xml": {}}},
    ),
}
