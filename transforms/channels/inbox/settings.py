"""The inbox is told nothing: it is in the store."""

from transforms.channels.channel import ChannelSettings

__all__ = ["SETTINGS"]

SETTINGS = ChannelSettings(stored=True)
