"""How far this process has come, for a progress line and nothing else: the accounts are elements of the pipeline."""

__all__ = ["Progress", "progress"]


class Progress:
    """Counts of messages read, users folded and sends delivered since `reset`. Threads may lose a few."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start a run."""
        self.read = self.users = self.sends = 0


progress = Progress()
