"""Flags that the commands of all services have, with values that cannot be."""

from collections.abc import Callable, Sequence

import pytest

from services.collect.__main__ import main as collect
from services.engage.__main__ import main as engage

NEEDED = {collect: ["--sink", "queue:q.db"], engage: ["--store", "sqlite:s.db", "--definitions", "d.yaml"]}


@pytest.mark.parametrize("main", [collect, engage], ids=["collect", "engage"])
@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--address-hops", "0", "expected 1 to 16"),  # it would be the address that anybody writes there
        ("--address-hops", "-1", "expected 1 to 16"),
        ("--workers", "x", "expected 1 to 64"),
        ("--workers", "65", "expected 1 to 64"),
    ],
)
def test_a_number_that_cannot_be_is_told(
    main: Callable[[Sequence[str]], None], flag: str, value: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*NEEDED[main], f"{flag}={value}"])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
