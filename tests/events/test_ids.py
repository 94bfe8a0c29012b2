"""Ids that name nobody."""

import pytest

from transforms.events.ids import MAX_ID_BYTES, REFUSED_IDS, refused_id


@pytest.mark.parametrize("word", sorted(REFUSED_IDS))
def test_refused_words_in_any_dress(word: str) -> None:
    assert refused_id(word)
    assert refused_id(f" \t{word.upper()}\n")


@pytest.mark.parametrize("text", ["u1", "00", "1", "null@example.com", "guests", "a\x00b", "ナル", "[object]"])
def test_other_texts_are_ids(text: str) -> None:
    assert refused_id(text) is None


@pytest.mark.parametrize("letter", ["x", "é", "届", "😀"])
def test_length_is_counted_in_bytes_of_utf8(letter: str) -> None:
    fits = letter * (MAX_ID_BYTES // len(letter.encode()))
    assert refused_id(fits) is None
    assert "256 bytes" in (refused_id(fits + letter) or "")
    assert refused_id(" " * 300 + "u1")
