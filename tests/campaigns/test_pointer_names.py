"""A pointer is others' work too: jobs read one that another version, or a script, has written."""

from pathlib import Path

from core import HOUR, START

from transforms.campaigns.release import Activation, Release, Revision, decode_pointer, encode_pointer

GOLDEN = Path(__file__).parent.parent / "golden" / "pointer.json"
ADVICE = "Pointers that are in use have the other name: keep it by `rename=`."

RELEASE = Release(
    3,
    (Revision("5f1c2d3e4f5a6b7c", (), START + HOUR), Revision("0123456789abcdef", (), START)),
    (Activation(2, START + 1, (1,)), Activation(3, START + HOUR, (0x9B0E << 48, 7))),
)
FILES = {"5f1c2d3e4f5a6b7c": "shop-5f1c.json", "0123456789abcdef": "shop-0123.json"}


def test_a_pointer_is_read_and_written_as_ever() -> None:
    assert encode_pointer(RELEASE, FILES) == GOLDEN.read_bytes(), ADVICE
    assert decode_pointer(GOLDEN.read_bytes()) == (RELEASE, FILES), ADVICE
