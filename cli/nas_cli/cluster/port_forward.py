"""`PortForward`: a port of a pod as a socket of this machine, through the API server, as kubectl forwards ports."""

import socket
import tempfile
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

_PIECE = 2**16
_PATIENCE = 5.0  # seconds, at the end, with an API server that does not answer


class PortForward:
    """Listens while it is open. Each connection is forwarded by a WebSocket of its own.

    It is a Unix socket in a directory that only the user can enter: a port would be open to all users of the machine.

    Attributes:
        target: what gRPC connects to.
        problem: why the last connection was not forwarded; empty: none failed.
        forbidden: whether that is for want of the right.
    """

    def __init__(self, configuration: Any, namespace: str, pod: str, port: int) -> None:
        """Listens.

        Args:
            configuration: a `kubernetes.client.Configuration`.
            namespace: of the pod.
            pod: its name.
            port: that it listens at.
        """
        self._configuration, self._pod, self._port = configuration, (pod, namespace), port
        self._directory = tempfile.TemporaryDirectory(prefix="kubenas-")
        path = Path(self._directory.name) / "pod"
        self.target = f"unix:{path}"
        self.problem = ""
        self.forbidden = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._forwarding: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # a thread that waits in accept does not notice a close
        self._listener.close()
        # gRPC connects anew after a failure. A thread that is in the midst of that would abort the program at its end:
        # the interpreter ends threads in a way that code in other languages, such as pydantic's core, does not bear.
        until = time.monotonic() + _PATIENCE
        self._accepting.join(_PATIENCE)
        for thread in self._forwarding:
            thread.join(max(0.0, until - time.monotonic()))
        self._directory.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:  # closed
                return
            thread = threading.Thread(target=self._forward, args=(ours,), daemon=True)
            self._forwarding = [*(each for each in self._forwarding if each.is_alive()), thread]
            thread.start()

    def _forward(self, ours: socket.socket) -> None:
        from kubernetes.client import ApiClient, CoreV1Api
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream import portforward

        with ours:
            try:
                # A client of its own: the call changes it while it lasts.
                client: Any = CoreV1Api(ApiClient(self._configuration))
                forwarded = portforward(
                    client.connect_get_namespaced_pod_portforward, *self._pod, ports=str(self._port)
                )
            except (ApiException, OSError) as error:
                # The client's exception has no status, but the one of the WebSocket that it was made of has.
                self.forbidden = getattr(error.__context__, "status_code", None) == HTTPStatus.FORBIDDEN
                self.problem = str(getattr(error, "reason", None) or error).partition("-+-+-")[0].strip()
                return
            theirs = forwarded.socket(self._port)
            back = threading.Thread(target=_copy, args=(theirs, ours), daemon=True)
            back.start()
            _copy(ours, theirs)
            back.join()
            theirs.close()
            if said := forwarded.error(self._port):
                self.forbidden, self.problem = False, said.strip()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copies what comes until one side ends, and then ends both."""
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
