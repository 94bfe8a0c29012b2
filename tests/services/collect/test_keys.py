"""Write keys from a file or the environment, and their change while the service runs."""

import json
from pathlib import Path

import pytest

from services.collect.keys import BadKeys, KeyFile, Keys, KeySource, keys_of_text, read_keys

A, B, C = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"


def test_the_environment_names_sources_and_two_keys_of_one_are_valid() -> None:
    keys = Keys(keys_of_text(f"shop={A}, app={B},shop={C}"))
    assert [source and source.name for source in map(keys.find, (A, B, C, "x"))] == ["shop", "app", "shop", None]


@pytest.mark.parametrize("text", ["", "shop", f"={A}", "shop=", "shop=short", f"shop={A},app={A}"])
def test_keys_that_cannot_be_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadKeys) as caught:
        Keys(keys_of_text(text))
    assert A not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        "{",
        "[]",
        "{}",
        '{"shop": {}}',
        '{"shop": {"keys": []}}',
        '{"shop": {"keys": ["short"]}}',
        f'{{"shop": {{"keys": ["{A}"], "rate": 0}}}}',
        f'{{"shop": {{"keys": ["{A}"], "origin": []}}}}',
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused(tmp_path: Path, said: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(said)
    with pytest.raises(BadKeys, match=r"keys\.json"):
        read_keys(path)


def test_a_changed_file_counts_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.json", [0.0]

    def write(text: str) -> None:
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)
        clock[0] += 2
        keys.refresh()

    path.write_text(json.dumps({"shop": {"keys": [A]}}))
    keys = KeyFile(path, lambda: clock[0])
    write(json.dumps({"shop": {"keys": [B, A], "origins": ["https://a.example"]}}))
    assert keys.find(A) == keys.find(B) is not None
    assert not keys.allows("https://b.example")
    write("{")
    assert keys.find(B) is not None
    write(json.dumps({"shop": {"keys": [B]}}))
    assert keys.find(A) is None


def test_origins_are_any_unless_they_are_named() -> None:
    assert KeySource((A,)).allows("https://x.example")
    assert not KeySource((A,), origins=frozenset()).allows("https://x.example")


def test_a_rate_fills_again_with_time() -> None:
    clock = [0.0]
    [source] = [KeySource((A,), "shop", rate=10.0)]
    keys = Keys([source], lambda: clock[0])
    assert [keys.wait(source, 1) for _ in range(10)] == [0] * 10
    assert keys.wait(source, 1) == 1
    clock[0] = 0.5
    assert keys.wait(source, 1) == 0
