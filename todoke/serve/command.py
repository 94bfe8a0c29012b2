"""`todoke serve`: the supervisor, or the part that it starts this command as."""

from collections.abc import Sequence

from todoke.extras import import_with
from todoke.serve.options import FRONT, JOB, parse

__all__ = ["serve"]


def serve(argv: Sequence[str], started: float) -> None:
    """Run it by the words of the command line. Each part imports what it needs, and no more.

    Args:
      argv: the words.
      started: when this process was, by `time.monotonic`.

    Raises:
      NotStarted: nothing was started; the text says why.
      RunFailed: a part failed too often.
    """
    options = parse(list(argv))
    if options.part == FRONT:
        import_with("serve", "todoke.serve.front").run_front(options)
    elif options.part == JOB:
        import_with("serve", "todoke.serve.job").run_job(options)
    else:
        import_with("serve", "todoke.serve.start").supervise_serve(options, argv, started)
