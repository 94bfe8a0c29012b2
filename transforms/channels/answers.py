"""What can be read of a provider's answer in JSON.

An answer comes from outside: each field is judged by itself. One that is missing, of another type or misspelt hides no
other, and of a body that was cut all counts that stands before the cut.
"""

import json
import re
from typing import Any

__all__ = ["Said", "read_answer"]

#: A sign, a text, or a number or literal; a quote alone begins a text that was cut.
_TOKEN = re.compile(r'[{}\[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s{}\[\],:"]+|"', re.DOTALL)
_LITERALS = {"null", "true", "false"}
#: No code of a provider has more digits.
_DIGITS = 18


class Said:
    """The fields of an object that can be read; false where there are none.

    Args:
      fields: texts, numbers as they are written, objects, and lists.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __bool__(self) -> bool:
        return bool(self._fields)

    def text(self, name: str) -> str:
        """A text, or a number as it is written; else empty."""
        value = self._fields.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """A whole number, whether it stands as one or as a text; else 0."""
        text = self.text(name).strip()
        return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0

    def part(self, name: str) -> "Said":
        """The object in a field; else one without fields."""
        value = self._fields.get(name)
        return Said(value if isinstance(value, dict) else {})

    def parts(self, name: str) -> list["Said"]:
        """The objects of the list in a field."""
        value = self._fields.get(name)
        return [Said(each) for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def read_answer(body: bytes) -> Said:
    """The fields of the object that a body is; none where it is something else."""
    everything: list[Any] = []
    inside: list[list[Any] | dict[str, Any]] = [everything]  # no recursion: an answer may be nested as deep as it likes
    name: str | None = None
    last: Any = None
    text = body.decode("utf-8-sig", "replace")
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == '"' or (match.end() == len(text) and token[-1] not in '"{}[]:,'):  # cut within a text or a number
            break
        if token == ":":
            name = last if isinstance(last, str) else None
        elif token == ",":
            name = last = None
        elif token in ("}", "]"):
            if len(inside) > 1:
                inside.pop()
            name = last = None
        else:
            last = _value(token)
            _keep(inside[-1], name, last)
            if isinstance(last, dict | list):
                inside.append(last)
                name = last = None
    return Said(everything[0] if everything and isinstance(everything[0], dict) else {})


def _value(token: str) -> Any:
    """What a token stands for; None for what no field of ours can be."""
    match token[0]:
        case "{":
            return {}
        case "[":
            return []
        case '"':
            try:
                return json.loads(token, strict=False)
            except ValueError:  # an escape that is none
                return None
    return None if token in _LITERALS else token


def _keep(holder: list[Any] | dict[str, Any], name: str | None, value: Any) -> None:
    if value is None:
        return
    if isinstance(holder, list):
        holder.append(value)
    elif name is not None:
        holder[name] = value
