"""A gRPC server between a client and an emulator, that loses, refuses or alters answers as told."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.cloud.bigtable_v2.types import MutateRowsResponse

__all__ = ["Flaky", "alter", "lose", "refuse"]

#: What happens to a call: given its requests, the real server's method and the context, the answers.
Fault = Callable[[Iterable[bytes], Any, grpc.ServicerContext], Iterable[bytes]]


class Flaky:
    """Passes every call on, but for those that a fault was planned for.

    Args:
      port: of loopback where it listens; 0 takes a free one.
      socket: where it listens instead: a path, which is the same in every network namespace.
    """

    def __init__(self, host: str, port: int = 0, *, socket: Path | None = None) -> None:
        self._channel = grpc.insecure_channel(host)
        self._server = grpc.server(ThreadPoolExecutor(32))
        self._server.add_generic_rpc_handlers((_Handler(self._call),))
        self.host = f"127.0.0.1:{port}" if socket is None else f"unix:{socket}"
        port = self._server.add_insecure_port(self.host)
        if socket is None:
            self.host = f"127.0.0.1:{port}"
        self._server.start()
        self._lock = threading.Lock()
        self._faults: dict[str, deque[Fault]] = {}
        self._standing: dict[str, Fault] = {}
        #: How often each method was called, by its short name.
        self.calls: dict[str, int] = {}

    def plan(self, method: str, *faults: Fault) -> None:
        """Meet the next calls of a method (`MutateRows`) with these faults, one each."""
        with self._lock:
            self._faults.setdefault(method, deque()).extend(faults)

    def always(self, method: str, fault: Fault | None) -> None:
        """Meet every call of a method with this fault, from now on; None ends it."""
        with self._lock:
            if fault is None:
                self._standing.pop(method, None)
            else:
                self._standing[method] = fault

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop(None).wait()
        self._channel.close()

    def _call(self, method: str, requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        name = method.rpartition("/")[2]
        with self._lock:
            self.calls[name] = self.calls.get(name, 0) + 1
            planned = self._faults.get(name)
            fault = planned.popleft() if planned else self._standing.get(name, _pass)
        yield from fault(requests, self._channel.stream_stream(method), context)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, call: Callable[[str, Iterable[bytes], grpc.ServicerContext], Iterator[bytes]]) -> None:
        self._call = call

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def behave(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            try:
                yield from self._call(details.method, requests, context)
            except grpc.RpcError as error:  # the real server's own refusal
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(behave)


def _pass(requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterable[bytes]:
    return upstream(requests)


def refuse(code: grpc.StatusCode) -> Fault:
    """Refuse the call; the real server never sees it."""

    def fault(requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterable[bytes]:
        context.abort(code, "refused for the test")
        return ()

    return fault


def lose() -> Fault:
    """Let the real server do it, and lose its answer."""

    def fault(requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterable[bytes]:
        list(upstream(requests))
        context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost for the test")
        return ()

    return fault


def alter(statuses: dict[int, int]) -> Fault:
    """Say of some rows of a MutateRows call that they failed, by their place and code."""

    def fault(requests: Iterable[bytes], upstream: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
        for answer in upstream(requests):
            said = MutateRowsResponse.deserialize(answer)
            for entry in said.entries:
                entry.status.code = statuses.get(entry.index, entry.status.code)
            yield MutateRowsResponse.serialize(said)

    return fault
