"""Phone numbers, written as networks know them."""

from functools import lru_cache

import phonenumbers

__all__ = ["e164"]


#: No number is written in more characters, whatever stands between its digits.
_LONGEST = 100


def e164(text: str, region: str) -> str:
    """A number in E.164, such as +819012345678; empty for what cannot be one.

    One without a country code is of `region` (ISO 3166), and none where that is empty. That a number is as long as
    those of its country is all that is asked: which are given out, their providers know better than any table. A number
    that only neighbours can dial is none, nor is one with an extension, which no text message reaches, or one among
    letters, which may be anything else. One that begins with a nought after its country code is none unless the tables
    know it: mostly it was dialled from elsewhere, as 0081… is, which Japan, where 010 leads abroad, reads as its own.
    """
    return "" if len(text) > _LONGEST or any(map(str.isalpha, text)) else _e164(text, region)


@lru_cache(maxsize=4096)
def _e164(text: str, region: str) -> str:
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return ""
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if number.extension or not possible or (number.italian_leading_zero and not phonenumbers.is_valid_number(number)):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
