"""What is said of Google's credentials that cannot be used: one line, and nothing of a key file."""

import json
from pathlib import Path

import pytest
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
from google.cloud.pubsub_v1 import PublisherClient
from hypothesis import given
from hypothesis import strategies as st

from transforms.account import UNREADABLE, auth_fault, google_fault
from transforms.channels.secret_manager import read_secret
from transforms.storage.open import open_store
from transforms.storage.store import StoreError

SECRET = "MIIEvSECRET"
ERRORS = st.sampled_from([DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError])


@given(ERRORS, st.text(alphabet="abc \n", max_size=20))
def test_only_the_first_of_what_an_error_has_is_said_in_one_line(kind: type[GoogleAuthError], text: str) -> None:
    error = kind(text, {"assertion": SECRET}) if kind is not DefaultCredentialsError else kind(text, ValueError(SECRET))
    error.__cause__ = ValueError(SECRET)
    for said in (auth_fault(error), google_fault(error)):
        assert SECRET not in said
        assert said == " ".join(text.split())


KEYS = {
    "a list": b"[]",
    "an object": b"{}",
    "nothing": b"",
    "a key that is none": json.dumps(
        {
            "type": "service_account",
            "private_key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n",
            "client_email": "a@b.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    ).encode(),
}


@pytest.fixture(params=KEYS)
def key(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of credentials that cannot be used."""
    path = tmp_path / "key.json"
    path.write_bytes(KEYS[request.param])
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    for emulator in ("BIGTABLE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "SECRET_MANAGER_EMULATOR_HOST"):
        monkeypatch.delenv(emulator, raising=False)


@pytest.mark.usefixtures("key")
def test_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no credentials for Bigtable: ") as found:
        open_store("bigtable:a-project/instance")
    check(str(found.value))


@pytest.mark.usefixtures("key")
def test_a_secret() -> None:
    read_secret.cache_clear()
    with pytest.raises(ValueError, match="cannot be read: no credentials: ") as found:
        read_secret("projects/a-project/secrets/s/versions/1")
    check(str(found.value))


@pytest.mark.usefixtures("key")
def test_what_googles_clients_raise_is_known() -> None:
    with pytest.raises(UNREADABLE) as found:
        PublisherClient()
    check(auth_fault(found.value))


def check(said: str) -> None:
    assert SECRET not in said
    assert "\n" not in said
