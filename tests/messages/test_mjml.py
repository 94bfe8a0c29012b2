"""Mail made of MJML: its text, its language, and nothing that is fetched from elsewhere."""

import pytest

from transforms.channels.email.message import MailMessage, RenderedMail
from transforms.messages.definitions import Text
from transforms.messages.markup import compile_mjml
from transforms.messages.render import render

SECTION = "<mjml%s><mj-body><mj-section><mj-column>%s</mj-column></mj-section></mj-body></mjml>"
ALL_OF_MJML = (
    "<mj-text>Hello   <b>{{ user.first_name }}</b>,\n      you</mj-text><mj-spacer/><mj-divider/>"
    "<mj-button href='https://a.example'>Go</mj-button><mj-table><tr><td>a</td><td>b</td></tr></mj-table>"
    "<mj-image src='https://a.example/x.png' alt='x'/>"
    "<mj-social><mj-social-element name='x' href='https://a.example'>s</mj-social-element></mj-social>"
)


def mjml(**sources: str) -> MailMessage:
    compiled = {locale.strip("_"): compile_mjml(source) for locale, source in sources.items()}
    return MailMessage("m", Text({"": "S"}), mjml=Text(compiled))


def test_mjml_has_a_clean_text_and_fetches_no_font(scope):
    rendered = render(mjml(_=SECTION % ("", ALL_OF_MJML)), scope, None, "en")
    assert isinstance(rendered, RenderedMail)
    assert "googleapis" not in rendered.html
    assert "@import" not in rendered.html
    assert "<link" not in rendered.html
    assert rendered.text.startswith("Hello Ada, you\n")
    assert "[Go](https://a.example)" in rendered.text
    assert all(line == line.strip() for line in rendered.text.splitlines())
    assert rendered.text == rendered.text.strip() + "\n"
    assert "\n\n\n" not in rendered.text


@pytest.mark.parametrize(
    ("message", "locale", "language"),
    [
        (mjml(en=SECTION % ("", "<mj-text>x</mj-text>"), ja=SECTION % ("", "<mj-text>y</mj-text>")), "ja-JP", "ja"),
        (mjml(en=SECTION % ("", "<mj-text>x</mj-text>"), ja=SECTION % ("", "<mj-text>y</mj-text>")), "fr", "en"),
        (mjml(_=SECTION % ("", "<mj-text>x</mj-text>")), "ja", "en"),
        (mjml(_=SECTION % (' lang="de"', "<mj-text>x</mj-text>")), "ja", "de"),
    ],
)
def test_mjml_says_its_language(scope, message, locale, language):
    html = render(message, scope, locale, "en").html
    assert f'<html lang="{language}"' in html
    assert "und" not in html.partition("<body")[0].partition("<head")[0]
