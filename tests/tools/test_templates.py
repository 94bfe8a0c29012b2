"""`python -m tools.templates`: it writes only where nothing else was asked."""

import pytest

from tools import templates


@pytest.mark.parametrize("words", [["--help"], ["realtime"], ["relatime", "image"], ["realtime", "image", "more"]])
def test_other_words_write_nothing(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(templates, "files", lambda: pytest.fail("it writes"))
    with pytest.raises(SystemExit) as ended:
        templates.main(words)
    assert ended.value.code == (0 if words == ["--help"] else 2)
    assert "usage: python -m tools.templates" in "".join(capsys.readouterr())


def test_a_spec_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    templates.main(["realtime", "an-image"])
    assert '"image": "an-image"' in capsys.readouterr().out
