"""Which of a user's state and row is newer."""

from transforms.users.hydrate.hints import MISSING
from transforms.users.newest import LastWritten, version_of
from transforms.users.user import User, encode_user


def test_a_version_is_read_without_the_rest() -> None:
    assert version_of(encode_user(User("ada", 17, clock=5))) == 17


def test_what_cannot_be_read_is_older_than_all_else() -> None:
    assert version_of(MISSING) == version_of(b"\xc1") == -1


def test_the_users_written_first_are_forgotten_beyond_a_bound() -> None:
    written = LastWritten(most=2)
    for version, user in enumerate(("ada", "bea", "ada", "eve")):
        written.note(user, version)
    assert [written.is_last(*each) for each in (("ada", 2), ("ada", 0), ("bea", 1), ("eve", 3))] == [
        True,
        False,
        False,
        True,
    ]


def test_nothing_is_known_after_steps_were_set_up_anew() -> None:
    written = LastWritten()
    written.note("ada", 1)
    written.forget()
    assert not written.is_last("ada", 1)
