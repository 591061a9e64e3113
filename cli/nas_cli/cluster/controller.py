"""`Controller`: what the controller of a search answers, and the way to it from outside of the cluster."""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import grpc
from nas_api.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, KeyPair
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc.trials_pb2_grpc import SearchServiceStub
from nas_operator.names import admin_certificate_name, controller_name

from nas_cli.cluster.cluster import Cluster, Forbidden, NotFound
from nas_cli.cluster.port_forward import PortForward
from nas_cli.failure import Failure

T = TypeVar("T")

_ANSWER = 20.0  # seconds, with the connection through the API server
_PAGE = 1000
_PORT_NAME = "tls-grpc"
_MAX_MESSAGE = 64 * 2**20  # a page of trials with long series


class ControllerUnreachable(Failure):
    """The controller does not answer; the message says why. What there is of the search besides is left."""


class MayNotAsk(ControllerUnreachable):
    """The user has not the rights."""


class TooOld(Failure):
    """The controller is of an older version, and does not know the call."""


class Controller:
    """Calls one controller as its administrator.

    Attributes:
        answered: its summary, as given last.
    """

    def __init__(
        self, stub: SearchServiceStub, why_not: Callable[[], ControllerUnreachable | None] = lambda: None
    ) -> None:
        """Asks for the summary.

        Args:
            stub: of a channel with the administrator's certificate.
            why_not: what the way to the controller knows of a failure, if anything.

        Raises:
            ControllerUnreachable: it does not answer.
        """
        self._stub = stub
        self._why_not = why_not
        self.answered: pb.Summary = self.summary()

    def summary(self) -> pb.Summary:
        """How the search stands now.

        Raises:
            ControllerUnreachable: it does not answer.
        """
        self.answered = self._call(lambda: self._stub.GetSummary(pb.GetSummaryRequest(), timeout=_ANSWER))
        return self.answered

    def trials(self, *, after: int = 0, best_first: bool = False, limit: int | None = None) -> Iterator[pb.Trial]:
        """Trials with their measurements, in the order of their numbers or the best first.

        Args:
            after: this number, or with `best_first` after so many.
            best_first: those that succeeded, by reward.
            limit: at most so many.

        Raises:
            ControllerUnreachable: it does not answer.
        """
        left = limit
        while left is None or left > 0:
            request = pb.ListTrialsRequest(
                after_trial_id=after,
                best_first=best_first,
                measurements=True,
                limit=_PAGE if left is None else min(left, _PAGE),
            )
            page = self._list(request)
            yield from page
            if not page:
                return
            left = None if left is None else left - len(page)
            after = after + len(page) if best_first else page[-1].trial_id

    def trial(self, number: int) -> pb.Trial | None:
        """The trial of a number, with its measurements.

        Raises:
            ControllerUnreachable: it does not answer.
        """
        found = self._list(pb.ListTrialsRequest(trial_id=number, measurements=True)) if number else []
        return found[0] if found else None

    def updates(self, after: int) -> Iterator[pb.Update]:
        """The updates of the policy, those with a version greater than `after`.

        Raises:
            ControllerUnreachable: it does not answer.
            TooOld: it does not tell them.
        """
        return self._pages(
            lambda after: self._stub.ListUpdates(pb.ListUpdatesRequest(after_version=after), timeout=_ANSWER).updates,
            lambda update: update.version,
            after,
        )

    def leases(self) -> Iterator[pb.LeaseSpan]:
        """All leases, by trial, and of a trial in the order in which they were granted.

        Raises:
            ControllerUnreachable: it does not answer.
            TooOld: it does not tell them.
        """
        return self._pages(
            lambda after: self._stub.ListLeases(pb.ListLeasesRequest(after_trial_id=after), timeout=_ANSWER).leases,
            lambda span: span.trial_id,
        )

    def final_trainings(self) -> Iterator[pb.PlannedTraining]:
        """The trainings of the second stage, by number.

        Raises:
            ControllerUnreachable: it does not answer.
            TooOld: it does not tell them.
        """
        return self._pages(
            lambda after: (
                self._stub.ListFinalTrainings(
                    pb.ListFinalTrainingsRequest(after_training=after), timeout=_ANSWER
                ).trainings
            ),
            lambda training: training.training,
        )

    def finished(self, after: int) -> list[pb.Trial]:
        """The trials that have finished, in that order, those with a sequence greater than `after`.

        Raises:
            ControllerUnreachable: it does not answer.
        """
        last = self.summary().sequence
        return self._call(lambda: self._watch(after, last)) if last > after else []

    def _watch(self, after: int, last: int) -> list[pb.Trial]:
        stream = self._stub.WatchTrials(pb.WatchTrialsRequest(after_sequence=after), timeout=60 + (last - after) / 100)
        found = []
        for trial in stream:
            found.append(trial)
            if trial.sequence >= last:  # it would go on with those that are still to finish
                stream.cancel()
                break
        return found

    def _list(self, request: pb.ListTrialsRequest) -> list[pb.Trial]:
        return list(self._call(lambda: self._stub.ListTrials(request, timeout=_ANSWER)).trials)

    def _pages(
        self, page_after: Callable[[int], Iterable[T]], number_of: Callable[[T], int], after: int = 0
    ) -> Iterator[T]:
        """All that comes after a number, page by page, until one is empty."""
        while page := list(self._call(partial(page_after, after))):
            yield from page
            after = number_of(page[-1])

    def _call(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNIMPLEMENTED:
                # A search keeps the image of the controller that it began with.
                raise TooOld(
                    "the controller is older than this program, and does not tell all that this needs: "
                    "spec.controller.image can name a newer one, see Upgrade in docs/operations.md"
                ) from error
            words = (error.details() if isinstance(error, grpc.Call) else "") or str(error)
            raise self._why_not() or ControllerUnreachable(f"it does not answer: {words}") from error


@contextmanager
def open_controller(cluster: Cluster, name: str) -> Iterator[Controller]:
    """The controller of a search, by a port-forward to its pod.

    Raises:
        ControllerUnreachable: it is not there or does not answer; `MayNotAsk` when the user has not the rights.
        Failure: the cluster does not answer.
    """
    pod, port = _pod(cluster, name)
    pair = _certificate(cluster, name)
    credentials = grpc.ssl_channel_credentials(pair.ca, pair.private_key, pair.certificate)
    options = (
        # That is what its certificate is for; the socket has no name.
        ("grpc.ssl_target_name_override", f"{controller_name(name)}.{cluster.namespace}.svc"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", _MAX_MESSAGE),
    )
    with PortForward(cluster.access.configuration, cluster.namespace, pod, port) as forward:
        channel = grpc.secure_channel(forward.target, credentials, options=options)
        try:
            yield Controller(SearchServiceStub(channel), lambda: _why_not(forward, pod))
        finally:
            channel.close()


def _pod(cluster: Cluster, search: str) -> tuple[str, int]:
    """The controller's pod, and the port that it listens at."""
    name = f"{controller_name(search)}-0"
    try:
        pod = cluster.get(cluster.path("pods", name), f"pod {name}")
    except NotFound:
        raise ControllerUnreachable(f"there is no pod {name}") from None
    except Forbidden as error:
        raise MayNotAsk(str(error)) from error
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if not any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions):
        raise ControllerUnreachable(f"its pod {name} is not ready")
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return name, next(port["containerPort"] for port in ports if port.get("name") == _PORT_NAME)


def _certificate(cluster: Cluster, search: str) -> KeyPair:
    name = admin_certificate_name(search)
    try:
        data = cluster.get(cluster.path("secrets", name), f"secret {name}")["data"]
        return KeyPair(*(base64.b64decode(data[file]) for file in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)))
    except NotFound:
        raise ControllerUnreachable(f"there is no secret {name} with the administrator's certificate") from None
    except Forbidden as error:
        raise MayNotAsk(str(error)) from error
    except (KeyError, binascii.Error) as error:
        raise ControllerUnreachable(f"secret {name} holds no certificate") from error


def _why_not(forward: PortForward, pod: str) -> ControllerUnreachable | None:
    if forward.forbidden:
        return MayNotAsk(f"you may not forward ports to pod {pod}, which the role edit in its namespace allows")
    if forward.problem:
        return ControllerUnreachable(f"no connection to pod {pod} through the API server: {forward.problem}")
    return None
