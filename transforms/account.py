"""What may be said of credentials of Google that cannot be used: never what is in a key file."""

from google.auth.exceptions import GoogleAuthError

__all__ = ["UNREADABLE", "auth_fault", "google_fault"]

#: What Google's client raises of a file of credentials: its own errors, those of the file, and those of JSON that is
#: something else, such as a list.
UNREADABLE = (GoogleAuthError, OSError, ValueError, AttributeError, TypeError, KeyError)


def auth_fault(error: BaseException) -> str:
    """What is wrong, in one line. What caused it is left out: it may hold the bytes of a private key."""
    if isinstance(error, GoogleAuthError) and error.args:
        return " ".join(str(error.args[0]).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"the file of credentials cannot be read ({type(error).__name__})"


def google_fault(error: BaseException) -> str:
    """What a call of a client of Google raised, in one line: of credentials as `auth_fault` says it."""
    return auth_fault(error) if isinstance(error, GoogleAuthError) else " ".join(str(error).split())
