"""A NASSearch in a real cluster, as a user sees it with kubectl and the administrator's certificate."""

import base64
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import yaml
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc
from nas_operator import names

from tests.cluster.cluster import Cluster
from tests.e2e.pods import run_to_the_end

Object = dict[str, Any]
_T = TypeVar("_T")

PORT = 50051
PATIENCE = 600.0  # seconds; only a test that fails waits so long


def quick_search(
    name: str = "quick", *, trials: int = 10_000, epochs: int = 1, pools: dict[str, int] | None = None, **spec: Any
) -> Object:
    """A NASSearch of small networks that learn to read digits.

    Args:
        name: its name.
        trials: when it ends. By default not before its test has seen what it wants, see `Search.end_after`.
        epochs: of each network: about a tenth of a second of one core for each.
        pools: number of workers by name of the pool.
        spec: sections that replace those made here.
    """
    space = {"layers": {"initial": 2, "increment": 0, "max": 2}, "filterHeights": [1, 3], "filterWidths": [1, 3]}
    return {
        "apiVersion": "kubenas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": name},
        "spec": {
            "searchSpace": {"type": "ConvNet", "convNet": {**space, "filters": [4, 8]}},
            "controller": {
                "parallelism": {"batchSize": 4},
                "duplicates": "Train",  # there are so few networks that soon none would be left to train
                "lease": {"duration": "10s"},
                "resources": {"cpu": "500m", "memory": "1Gi"},  # two of them on two cores
            },
            "trainer": {"epochs": epochs, "batchSize": 128},
            "pools": [{"name": pool, "replicas": replicas} for pool, replicas in (pools or {"default": 1}).items()],
            "budget": {"maxTrials": trials},
            **spec,
        },
    }


# On a cluster of our own: a volume for the journal that can be filled, by another pod.
LIMITED_STORAGE: Object = {"size": "32Mi", "storageClassName": "limited", "accessMode": "ReadWriteOnce"}


def claim(name: str) -> Object:
    """A small PersistentVolumeClaim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
    }


@dataclass(frozen=True)
class Search:
    """A NASSearch of this name in the namespace.

    Attributes:
        cluster: where.
        namespace: of the search.
        name: of the search.
    """

    cluster: Cluster
    namespace: str
    name: str = "quick"

    # What a user does. ----------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 600) -> str:
        """Runs kubectl in the search's namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, input=input, timeout=timeout)

    def apply(self, manifest: Object) -> None:
        """Applies the search."""
        self.kubectl("apply", "-f", "-", input=yaml.safe_dump(manifest))

    def patch(self, patch: Object) -> None:
        """Changes a part of the search (JSON merge patch)."""
        self.kubectl("patch", "nassearch", self.name, "--type=merge", "-p", yaml.safe_dump(patch))

    def scale(self, pool: str, replicas: int) -> None:
        """Scales a pool, as soon as it is there."""
        name = names.pool_name(self.name, pool)
        self.wait(lambda: self.get("naspool", name), f"pool {pool}")
        self.kubectl("scale", "naspool", name, f"--replicas={replicas}")

    def run_on_claim(self, claim: str, code: str, *, name: str, image: str = "") -> None:
        """Runs Python code in a pod that has a PersistentVolumeClaim at /claim.

        Args:
            claim: name of the claim.
            code: what to run.
            name: of the pod.
            image: that of the workers, where it is not said.
        """
        image = image or self.owned("jobs", "worker")[0]["spec"]["template"]["spec"]["containers"][0]["image"]
        container = {
            "name": "python",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-c", code],
            "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
            "securityContext": {"runAsUser": 0},
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "containers": [container],
                "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}],
            },
        }
        run_to_the_end(self.cluster, self.namespace, pod, PATIENCE)

    def fill_journal(self) -> None:
        """Leaves no room on the volume of the journal, which has to be of the storage class `limited`."""
        fill = """
import errno
with open("/claim/ballast", "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
"""
        self.run_on_claim(names.journal_claim_name(self.name), fill, name=f"fill-{self.name}")

    def make_room_for_journal(self) -> None:
        """Takes away what `fill_journal` has left there."""
        self.run_on_claim(
            names.journal_claim_name(self.name), "import os; os.remove('/claim/ballast')", name=f"make-room-{self.name}"
        )

    def end_after(self, more: int) -> int:
        """Edits the budget, so that the search ends when so many more trials have finished. Returns its trials then.

        More of them, if they have finished before the controller, which is started anew, reads it.
        """
        trials = self.summary().trials_finished + more
        self.patch({"spec": {"budget": {"maxTrials": trials}}})
        return trials

    # What a user sees. ----------------------------------------------------------------------------------------------

    def status(self) -> Object:
        """Its status."""
        status: Object = self.get("nassearch", self.name).get("status", {})
        return status

    def condition(self, kind: str) -> Object | None:
        """A condition of it, if there is one of this type."""
        return next((c for c in self.status().get("conditions", ()) if c["type"] == kind), None)

    def get(self, kind: str, name: str) -> Object:
        """One object of its namespace."""
        found: Object = self.cluster.kubectl_json("--namespace", self.namespace, "get", kind, name)
        return found

    def owned(self, kinds: str, component: str | None = None) -> list[Object]:
        """Objects that the operator made for it."""
        labels = f"{names.SEARCH_LABEL}={self.name}" + (f",{names.COMPONENT_LABEL}={component}" if component else "")
        found = self.cluster.kubectl_json("--namespace", self.namespace, "get", kinds, "-l", labels)
        items: list[Object] = found["items"]
        return items

    def workers(self, pool: str | None = None) -> dict[str, str]:
        """Its workers' pods that run: uid by name."""
        return {
            pod["metadata"]["name"]: pod["metadata"]["uid"]
            for pod in self.owned("pods", "worker")
            if pod["status"]["phase"] == "Running"
            and "deletionTimestamp" not in pod["metadata"]
            and pool in (None, pod["metadata"]["labels"][names.POOL_LABEL])
        }

    def wait_for_condition(
        self, kind: str, status: str = "True", *, reason: str = "", timeout: float = PATIENCE
    ) -> Object:
        """Waits until a condition has a status, and a reason if one is given."""

        def there() -> Object | None:
            condition = self.condition(kind)
            if condition and condition["status"] == status and condition["reason"] == (reason or condition["reason"]):
                return condition
            # With what is there instead, a time-out explains itself.
            raise NotYetError(yaml.safe_dump(self.status().get("conditions")))

        return self.wait(there, f"{kind}={status} {reason}", timeout)

    def wait_for_workers(self, number: int, pool: str | None = None) -> dict[str, str]:
        """Waits until so many workers run and their controller knows them all."""

        def there() -> dict[str, str] | None:
            running = self.workers(pool)
            known = {worker.worker_id for worker in self.summary().workers if worker.alive and not worker.draining}
            return running if len(running) == number and running.keys() <= known else None

        return self.wait(there, f"{number} workers of {pool or 'all pools'}")

    def wait_for_trials(self, finished: int) -> int:
        """Waits until so many trials have finished. Returns how many have."""

        def there() -> int:
            now = self.status().get("trials", {}).get("finished", 0)
            return now if now >= finished else 0

        return self.wait(there, f"{finished} finished trials")

    def wait_until_gone(self) -> None:
        """Waits until nothing that the operator made for it is there any more."""
        kinds = "nassearches,naspools,statefulsets,services,jobs,pods,configmaps,secrets,networkpolicies"
        self.wait(lambda: not self.owned(kinds), "nothing left")

    # What its controller says. --------------------------------------------------------------------------------------

    def summary(self) -> pb.Summary:
        """The controller's own account."""
        with self.controller() as service:
            return service.GetSummary(pb.GetSummaryRequest(), timeout=20)

    def trials(self) -> list[pb.Trial]:
        """All trials in the order of their ids."""
        found: list[pb.Trial] = []
        with self.controller() as service:
            while True:
                after = found[-1].trial_id if found else 0
                page = service.ListTrials(pb.ListTrialsRequest(after_trial_id=after), timeout=20).trials
                if not page:
                    return found
                found.extend(page)

    @contextmanager
    def controller(self, certificate: str | None = None) -> Iterator[rpc.SearchServiceStub]:
        """A connection to the controller, with the certificate in a secret: the administrator's by default."""
        with self.channel(self.certificate(certificate or names.admin_certificate_name(self.name))) as channel:
            yield rpc.SearchServiceStub(channel)  # type: ignore[no-untyped-call,unused-ignore]

    def certificate(self, secret: str) -> dict[str, bytes]:
        """The files of a TLS secret."""
        return {name: base64.b64decode(text) for name, text in self.get("secret", secret)["data"].items()}

    @contextmanager
    def channel(self, certificate: dict[str, bytes]) -> Iterator[grpc.Channel]:
        """A gRPC channel to the controller through `kubectl port-forward`."""
        service = names.controller_name(self.name)
        credentials = grpc.ssl_channel_credentials(
            certificate["ca.crt"], certificate["tls.key"], certificate["tls.crt"]
        )
        target = ("grpc.ssl_target_name_override", f"{service}.{self.namespace}.svc")
        with (
            self._port_forward(f"service/{service}") as port,
            grpc.secure_channel(f"127.0.0.1:{port}", credentials, options=[target]) as channel,
        ):
            yield channel

    @contextmanager
    def _port_forward(self, target: str) -> Iterator[int]:
        kubectl = str(self.cluster.programs.path("kubectl"))
        command = [kubectl, "--namespace", self.namespace, "port-forward", target, f":{PORT}"]
        process = subprocess.Popen(
            command, env=self.cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            match = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            if match is None:
                raise NotYetError(process.communicate(timeout=20)[1])
            yield int(match[1])
        finally:
            process.kill()
            process.communicate()

    def wait(self, condition: Callable[[], _T | None], what: str, timeout: float = PATIENCE) -> _T:
        """Waits until a condition gives something true. A controller that cannot be reached is worth waiting for."""
        last: Exception | None = None

        def there() -> _T | None:
            nonlocal last
            try:
                return condition()
            except (NotYetError, grpc.RpcError) as error:
                last = error
                return None

        try:
            return self.cluster.wait_for(there, f"{what} of {self.namespace}/{self.name}", timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {last}") from last


class NotYetError(Exception):
    """The search is not as it should be, yet."""


def assert_counted_once(search: Search, budget: int) -> None:
    """Every trial of a search that has ended has one result, and every result was counted once.

    Its workers are gone: what one of them trained when the budget was spent counts as well, if it was done.
    """
    search.wait(lambda: not search.workers(), "no worker")
    summary, finished = search.summary(), [trial for trial in search.trials() if trial.sequence]
    trials = summary.trials_finished
    assert trials >= budget, f"{trials} trials, and a budget of {budget}"
    assert sorted(trial.sequence for trial in finished) == list(range(1, trials + 1))
    assert len({trial.trial_id for trial in finished}) == trials
    assert summary.trials_succeeded + summary.trials_failed + summary.trials_stopped_early == trials
    search.wait(lambda: search.status()["trials"]["finished"] == trials, "the number of trials in the status")
