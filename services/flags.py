"""Flags that the commands of all services have."""

import argparse
from collections.abc import Callable

__all__ = ["OTLP_HELP", "add_address_flags", "add_otlp_flag", "add_workers_flag"]

OTLP_HELP = "send metrics to the collector of OpenTelemetry that OTEL_EXPORTER_OTLP_ENDPOINT names"


def add_workers_flag(add: Callable[..., argparse.Action]) -> None:
    """Add how many processes serve, by a parser's `add_argument`."""
    add("--workers", type=_upto(64), default=1, metavar="N", help="processes (default: 1)")


def add_otlp_flag(add: Callable[..., argparse.Action]) -> None:
    """Add whether counts are sent to a collector of OpenTelemetry."""
    add("--otlp", action="store_true", help=OTLP_HELP)


def add_address_flags(add: Callable[..., argparse.Action]) -> None:
    """Add what `services.addresses.Proxy` is made of."""
    add(
        "--address-header",
        default="",
        metavar="NAME",
        help="the header in which a proxy says the client's address; name it only if all requests pass that proxy",
    )
    add(
        "--address-hops",
        type=_upto(16),
        default=1,
        metavar="N",
        help="which address of that header, from its end: 1 (default) behind one proxy, 2 behind Google's balancer",
    )


def _upto(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"expected 1 to {most}")
        return int(text)

    return read
