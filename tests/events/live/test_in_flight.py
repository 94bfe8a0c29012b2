"""The registry of messages in flight: each is acknowledged once, when the last of what it became is accounted for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.events.live.inflight import InFlight


def test_messages_settled_together_are_acknowledged_in_one_call_for_each_source() -> None:
    registry = InFlight()
    events: list[list[str]] = []
    control: list[list[str]] = []
    handles = [registry.add(events.append, "a"), registry.add(control.append, "b"), registry.add(events.append, "c")]
    registry.settle(handles)
    registry.settle(handles)
    assert (events, control, len(registry)) == ([["a", "c"]], [["b"]], 0)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.randoms())
def test_a_message_that_became_many_waits_for_all_of_them(parts: list[int], random) -> None:
    registry = InFlight()
    done: list[int] = []
    handles = [registry.add(done.extend, number) for number in range(len(parts))]
    for handle, part in zip(handles, parts, strict=True):
        registry.retain(handle, part - 1)
    outcomes = [number for number, part in enumerate(parts) for _ in range(part)]
    random.shuffle(outcomes)
    left = list(parts)
    for number in outcomes:
        left[number] -= 1
        registry.settle([handles[number]])
        assert sorted(done) == [number for number, count in enumerate(left) if not count]


def test_handles_of_another_process_are_refused_with_the_flag_that_helps() -> None:
    registry = InFlight()
    for refused in (registry.settle, lambda handles: registry.retain(handles[0])):
        with pytest.raises(RuntimeError, match="environment_type=LOOPBACK"):
            refused(["1:0"])


def test_what_cannot_be_acknowledged_raises() -> None:
    registry = InFlight()

    def broken(messages: list[str]) -> None:
        raise OSError("no connection")

    with pytest.raises(OSError, match="no connection"):
        registry.settle([registry.add(broken, "a")])


def test_the_age_of_the_oldest() -> None:
    clock = iter([10.0, 12.0, 15.0, 16.0])
    registry = InFlight(lambda: next(clock))
    first, _ = registry.add(list, "a"), registry.add(list, "b")
    assert registry.oldest() == 5.0
    registry.settle([first])
    assert registry.oldest() == 4.0
    assert InFlight().oldest() == 0.0
