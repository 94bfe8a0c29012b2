"""The examples of the how-to make tokens that are taken: in Python, Node and Go."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest
from test_user_tokens import SECRET, base64url, keys, oct_key

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "inbox.md").read_text("utf-8")
KEY = base64url(SECRET)
GO = """package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

%s

func main() {
	token, err := inboxToken("ann 届け", os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Print(token)
}
"""


def example(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def in_python(_: Path) -> str:
    names: dict[str, Callable[[str, str], str]] = {}
    exec(example("python"), names)
    return names["inbox_token"]("ann 届け", KEY)


def in_node(_: Path) -> str:
    if which("node") is None:
        pytest.skip("there is no Node")
    return output("node", "-e", f"{example('javascript')}\nprocess.stdout.write(inboxToken('ann 届け', '{KEY}'))")


def in_go(folder: Path) -> str:
    if which("go") is None:
        pytest.skip("there is no Go")
    (folder / "main.go").write_text(GO % example("go"), encoding="utf-8")
    return output("go", "run", str(folder / "main.go"), KEY)


@pytest.mark.parametrize("make", [in_python, in_node, in_go])
def test_a_token_of_the_example_is_taken(make: Callable[[Path], str], tmp_path: Path) -> None:
    found = keys(oct_key("2026-11", SECRET)).user_of(make(tmp_path), time.time_ns() // 1_000)
    assert found == "ann 届け"
