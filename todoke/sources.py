"""Bounded sources before they are read: files that are there, tables and queries of BigQuery that are opened."""

import re

from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from transforms.account import UNREADABLE, auth_fault, google_fault
from transforms.errors import RunFailed, WrongUse
from transforms.events.bigquery import QueryRefused
from transforms.events.sources import BigQuery, Bounded, Files, Source, TableStreams
from transforms.events.transforms import found_files, open_bigquery

__all__ = ["opened"]

_ADVICE = "run `gcloud auth application-default login`"


def opened(source: Source, flag: str = "--events") -> Bounded:
    """A bounded source as it is read: a query is run, once for all that is made of it.

    Raises:
      WrongUse: no file matches, or the table or the query may not be read.
      RunFailed: BigQuery does not answer.
    """
    match source:
        case TableStreams():
            return source
        case Files():
            _check_files(source, flag)
            return source
        case BigQuery():
            return _open(source, flag)
    raise WrongUse(f"{flag}: files and tables are read, which end; a subscription does not")


def _said(error: GoogleAPIError) -> str:
    """The text of an error in one line, without the request that the client puts before it."""
    text = " ".join(str(error.message if isinstance(error, GoogleAPICallError) else error).split())
    return re.sub(r"^[A-Z]+ https?://\S+: ", "", text)


def _check_files(files: Files, flag: str) -> None:
    try:
        found = found_files(files.pattern, 1)
    except (OSError, ValueError, GoogleAPIError, GoogleAuthError) as error:
        raise WrongUse(f"{flag}: {files.pattern} cannot be read: {google_fault(error)}") from error
    if not found:
        raise WrongUse(f"{flag}: there is no file {files.pattern}")


def _open(source: BigQuery, flag: str) -> TableStreams:
    begin = f"{flag}: {source.name}"
    try:
        return open_bigquery(source)
    except QueryRefused as error:
        raise WrongUse(f"{begin}: {error}") from error
    except GoogleAPIError as error:
        said = _said(error)
        if isinstance(error, GoogleAPICallError) and error.code is not None and 400 <= int(error.code) < 500:
            raise WrongUse(f"{begin}: BigQuery refuses it: {said}") from error
        raise RunFailed(f"{begin}: BigQuery does not answer: {said}") from error
    except UNREADABLE as error:
        raise WrongUse(f"{begin}: no credentials for BigQuery: {auth_fault(error)}; {_ADVICE}") from error
