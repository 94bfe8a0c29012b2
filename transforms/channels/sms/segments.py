"""How many segments a text is sent in, and paid for: by its alphabet (3GPP TS 23.038) and length (TS 23.040)."""

from typing import NamedTuple

__all__ = ["Segments", "segments_of"]

#: The GSM 7-bit default alphabet without escape, and its extension table, whose characters take two septets: TS 23.038,
#: 6.2.1.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")

#: How much one message holds, and each of several, whose headers say how they belong together: septets of GSM-7, and
#: units of UTF-16.
_GSM, _UCS2 = (160, 153), (70, 67)


class Segments(NamedTuple):
    """The alphabet that a text needs, GSM-7 or UCS-2, and how many segments."""

    alphabet: str
    number: int


def segments_of(text: str) -> Segments:
    """The segments of a text. No character is split between two."""
    if all(character in _BASIC or character in _EXTENDED for character in text):
        return Segments("GSM-7", _packed([1 if character in _BASIC else 2 for character in text], *_GSM))
    return Segments("UCS-2", _packed([1 if ord(character) < 0x10000 else 2 for character in text], *_UCS2))


def _packed(widths: list[int], alone: int, each: int) -> int:
    if sum(widths) <= alone:
        return 1
    count, filled = 1, 0
    for width in widths:
        if filled + width > each:
            count, filled = count + 1, 0
        filled += width
    return count
