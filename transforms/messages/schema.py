"""Messages as JSON Schema (draft 2020-12), made from the forms that read them."""

from transforms.identity.channels import channels
from transforms.messages.definitions import LOCALE_FORM
from transforms.messages.form import form_of
from transforms.segments.schema import TEXT, Schema, has, mapping, ref

__all__ = ["message_schemas"]


def message_schemas() -> dict[str, Schema]:
    """The schemas of messages and their texts, by name."""
    return {
        "message": {
            "type": "object",
            "properties": {"channel": {"enum": list(channels())}},
            "required": ["channel"],
            "allOf": [
                {
                    "if": {"properties": {"channel": {"const": channel}}, **has("channel")},
                    "then": ref(f"{channel}_message"),
                }
                for channel in channels()
            ],
        },
        **{f"{channel}_message": form_of(channel).schema() for channel in channels()},
        "source": {
            "description": "a template in Liquid, or the file beside the definitions that holds one",
            "anyOf": [TEXT, mapping({"file": TEXT}, ["file"])],
        },
        "text": {
            "description": "a template in Liquid, a file that holds one, or such by locale: {en: …, ja: …}",
            "anyOf": [
                ref("source"),
                {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": f"^{LOCALE_FORM}$"},
                    "additionalProperties": ref("source"),
                },
            ],
        },
    }
