"""Ids that name nobody."""

from transforms.events.plain import quoted

__all__ = ["MAX_ID_BYTES", "REFUSED_IDS", "refused_id"]

#: Longer ids are refused: they are part of row keys, which Bigtable limits to 4 KB.
MAX_ID_BYTES = 256

#: What programs send when they have no id. Case and blanks around it do not matter.
REFUSED_IDS = frozenset(
    {
        "",
        "null",
        "undefined",
        "none",
        "nil",
        "nan",
        "0",
        "-1",
        "true",
        "false",
        "guest",
        "anonymous",
        "[object object]",
    }
)

_LONGEST = max(map(len, REFUSED_IDS))


def refused_id(text: str) -> str | None:
    """Why an id cannot name a user, or None where it can.

    A refused id would make one user of many people. Any other text is an id, control characters and NUL included, and
    is taken literally.
    """
    word = text.strip()
    if len(word) <= _LONGEST and word.lower() in REFUSED_IDS:
        return f"{quoted(text)} names nobody" if word else "it is empty"
    if len(text) * 4 > MAX_ID_BYTES and len(text.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
        return f"it is longer than {MAX_ID_BYTES} bytes"
    return None
