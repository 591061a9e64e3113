"""A small Kubernetes with the controller of one search, as far as plans can tell: what actions do, what goes wrong.

Time passes when a test says so. What the cluster does by itself is `work`, what the operator does `reconcile`.
"""

import copy
import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from nas_api.certificates import CertificateAuthority
from nas_api.rpc import trials_pb2 as pb
from nas_api.spec import NASPoolStatus, NASSearch, NASSearchStatus
from nas_operator.actions import (
    Action,
    Annotate,
    Apply,
    Create,
    CreateAuthority,
    Delete,
    DrainWorkers,
    Emit,
    IssueCertificate,
    Plan,
    SetOwners,
    SetState,
    WriteStatus,
)
from nas_operator.names import DRAINING_ANNOTATION, POOL_LABEL, SLOT_LABEL, TEMPLATE_LABEL
from nas_operator.observed import Object, Observed, Refusal
from nas_operator.planning.objects import format_time
from nas_operator.planning.plan import plan
from nas_operator.resources.certificates import build_authority, build_certificate, load_authority
from nas_operator.settings import Settings

SETTINGS = Settings(controller_image="kubenas/controller:1", child_image="kubenas/child:1")


class SimulatedCluster:
    """One search named `digits` in the namespace `research`, its objects, its controller and its workers."""

    def __init__(self, settings: Settings = SETTINGS, **spec: Any) -> None:
        self.settings = settings
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.search: Object = {
            "apiVersion": "kubenas.dev/v1alpha1",
            "kind": "NASSearch",
            "metadata": {"name": "digits", "namespace": "research", "uid": "search-uid", "generation": 1},
            "spec": spec,
        }
        self.pools: dict[str, Object] = {}
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.stateful_set: Object | None = None
        self.service: Object | None = None
        self.journal_claim: Object | None = None
        self.secrets: dict[str, Object] = {}
        self.config_maps: dict[str, Object] = {}
        self.network_policies: dict[str, Object] = {}
        self.warnings: list[Object] = []
        self.refusals: list[Refusal] = []
        self.statuses_written: dict[str, datetime] = {}
        self.events: list[Emit] = []

        # The controller. What it keeps in its journal outlives it, idle workers that it knows do not.
        self.controller_up = False
        self.epoch = 0
        self.epoch_began = self.now
        self.workers: dict[str, pb.Worker] = {}
        self.asked_to_go: set[str] = set()
        self.state = pb.Summary.RUNNING
        self.reason = self.message = self.journal_problem = ""
        self.final_trainings = (0, 0)  # finished, and in all
        self.finished = 0
        self.best: list[pb.Trial] = []
        self.final_best: pb.Trial | None = None

        # What goes wrong. The pods of workers are named by their template; "" means all.
        self.unusable: set[str] = set()
        self.waiting: dict[str, tuple[str, str]] = {}
        self.room: int | None = None
        self.most_jobs: int | None = None
        # Of StatefulSets, Jobs, kubelets and workers, those that do nothing.
        self.halted: set[str] = set()
        # When the workers whose training was cut short had been asked to go.
        self.cut_leases: list[str] = []

        self._numbers = itertools.count(1)
        self._pods_wanted = False

    # The operator. --------------------------------------------------------------------------------------------------

    def observe(self, *, pods: bool = True) -> Observed:
        """What the operator sees now."""
        summary = self.summary()
        return Observed(
            search=copy.deepcopy(self.search),
            pools=copy.deepcopy(self.pools),
            jobs=copy.deepcopy(self.jobs),
            pods=copy.deepcopy(self.pods) if pods else {},
            pods_listed=pods,
            stateful_set=copy.deepcopy(self.stateful_set),
            service=self.service,
            journal_claim=copy.deepcopy(self.journal_claim),
            secrets={
                name: secret
                for name, secret in self.secrets.items()
                if any(owner["uid"] == "search-uid" for owner in secret["metadata"].get("ownerReferences") or ())
            },
            config_maps=dict(self.config_maps),
            network_policies=dict(self.network_policies),
            warnings=tuple(self.warnings) if pods else (),
            summary=summary,
            summary_problem="" if summary else "connection refused",
            refusals=tuple(self.refusals),
            statuses_written=dict(self.statuses_written),
        )

    def plan(self, *, pods: bool = True) -> Plan:
        """The plan for the cluster as it is."""
        return plan(self.observe(pods=pods), self.settings, self.now)

    def reconcile(self) -> Plan:
        """Plans and applies. Pods are listed if the plan before has asked for that."""
        made = self.plan(pods=self._pods_wanted)
        self._pods_wanted = made.look_closer
        self.apply(made.actions)
        return made

    def apply(self, actions: Iterable[Action]) -> None:
        """Does what a plan asks for, each action twice: the second time must change nothing."""
        self.refusals.clear()
        for action in actions:
            self.do(copy.deepcopy(action))
            once = self._everything()
            refused = list(self.refusals)
            self.do(copy.deepcopy(action))
            self.refusals = refused
            assert self._everything() == once, f"{action} did something else when it was repeated"

    def settle(self, rounds: int = 80, seconds: float = 1.0) -> None:
        """Lets cluster and operator go on until there is nothing left to do but training and waiting."""
        quiet = 0
        for _ in range(rounds):
            made = self.reconcile()
            self.work()
            self.tick(seconds)
            quiet = 0 if made.actions else quiet + 1
            # More than the time between two writes of numbers.
            if quiet * seconds > 12:
                return
        raise AssertionError(f"still not settled: {self.plan().actions}")

    # What a user does. ----------------------------------------------------------------------------------------------

    def edit(self, **spec: Any) -> None:
        """`kubectl apply` with these sections of `spec` changed."""
        if self.search["spec"] | spec != self.search["spec"]:
            self.search["spec"] = self.search["spec"] | spec
            self.search["metadata"]["generation"] += 1

    def scale(self, pool: str, replicas: int) -> None:
        """`kubectl scale naspool`."""
        found = self.pools[f"digits-{pool}"]
        if found["spec"]["replicas"] != replicas:
            found["spec"] = found["spec"] | {"replicas": replicas}
            self._changed(found)

    # What the cluster does. -----------------------------------------------------------------------------------------

    def tick(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)
        for worker in self.workers.values():
            worker.seconds_in_state += seconds

    def work(self) -> None:
        """Kubernetes' controllers, the kubelets and the workers do what they have to do. Training goes on."""
        if "StatefulSets" not in self.halted:
            self.run_stateful_set()
        for name in list(self.jobs) if "Jobs" not in self.halted else ():
            self.make_pod(name)
        for name in list(self.pods) if "kubelets" not in self.halted else ():
            self.start_pod(name)
        for name in list(self.pods) if "workers" not in self.halted else ():
            self.register(name)
        for name in list(self.workers):
            self.ask(name)

    def run_stateful_set(self) -> None:
        """The controller's pod is started, started anew when its template has changed, or ended."""
        there = self.stateful_set
        if there is None or not there["spec"]["replicas"]:
            self.stop_controller()
            return
        if self.journal_claim is None:
            self.journal_claim = self._new({"metadata": {"name": "journal-digits-controller-0"}})
        revision = str(there["spec"]["template"])
        if not self.controller_up or there["status"].get("updateRevision") != revision:
            self.start_controller()
        there["status"] = {
            "observedGeneration": there["metadata"]["generation"],
            "readyReplicas": 1,
            "currentRevision": revision,
            "updateRevision": revision,
        }

    def start_controller(self) -> None:
        """It starts, or starts anew: it knows the workers that train, and has read the manifest as it is now."""
        self.controller_up = True
        self.epoch += 1
        self.epoch_began = self.now
        self.workers = {name: worker for name, worker in self.workers.items() if worker.trial_id}
        for worker in self.workers.values():
            worker.draining = False
        self.asked_to_go.clear()
        if self.ended and self.finished < self.max_trials:
            self.state = pb.Summary.RUNNING
        if not self.ended:
            self.state = pb.Summary.SUSPENDED if self.model.spec.suspend else pb.Summary.RUNNING

    def stop_controller(self) -> None:
        """It is killed, or not wanted any more."""
        self.controller_up = False
        if self.stateful_set is not None:
            self.stateful_set["status"] = self.stateful_set["status"] | {"readyReplicas": 0}

    def make_pod(self, job_name: str) -> None:
        """The Job controller makes the pod of a Job that has none."""
        job = self.jobs[job_name]
        if is_finished(job) or job["spec"].get("suspend"):
            return
        if any(pod["status"]["phase"] in ("Pending", "Running") for pod in self.pods_of(job_name)):
            return
        name = f"{job_name}-{next(self._numbers):05d}"
        self.pods[name] = {
            "metadata": {
                "name": name,
                "labels": job["spec"]["template"]["metadata"]["labels"],
                "creationTimestamp": format_time(self.now),
            },
            "status": {"phase": "Pending"},
        }

    def start_pod(self, name: str) -> None:
        """The scheduler finds a node, if there is room, and the kubelet starts the container, if it can."""
        pod = self.pods[name]
        if pod["status"]["phase"] != "Pending":
            return
        if self.room is not None and sum(p["status"]["phase"] == "Running" for p in self.pods.values()) >= self.room:
            message = "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."
            unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            pod["status"] = {"phase": "Pending", "conditions": [unscheduled]}
            return
        waits = self.waiting.get(pod["metadata"]["labels"][TEMPLATE_LABEL]) or self.waiting.get("")
        if waits:
            state = {"waiting": {"reason": waits[0], "message": waits[1]}}
        else:
            state = {"running": {"startedAt": format_time(self.now)}}
        job = self.jobs[job_of(name)]
        pod["status"] = {
            "phase": "Pending" if waits else "Running",
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [
                {"name": "worker", "image": job["spec"]["template"]["spec"]["containers"][0]["image"], "state": state}
            ],
        }
        self.count_running(name)

    def register(self, name: str) -> None:
        """A worker has started and makes itself known, or ends since it cannot work."""
        pod = self.pods[name]
        if pod["status"]["phase"] != "Running" or name in self.workers:
            return
        if self.unusable & {pod["metadata"]["labels"][TEMPLATE_LABEL], ""}:
            self.end_pod(name, 78, '{"level": "error", "message": "no data at /data/mnist.npz"}')
        elif self.controller_up:
            pool = pod["metadata"]["labels"][POOL_LABEL]
            self.workers[name] = pb.Worker(worker_id=name, pool=pool, alive=True, draining=name in self.asked_to_go)

    def ask(self, name: str) -> None:
        """An idle worker asks for an architecture: it gets one, or is told to go."""
        worker = self.workers.get(name)
        if worker is None or worker.trial_id or not self.controller_up:
            return
        if worker.draining or self.state != pb.Summary.RUNNING:
            self.end_pod(name, 0)
        else:
            worker.trial_id, worker.seconds_in_state = next(self._numbers), 0

    def finish_trials(self) -> None:
        """All workers have finished what they train."""
        for name in list(self.workers):
            self.finish_trial(name)

    def finish_trial(self, name: str) -> None:
        """A worker has finished what it trains, and asks for the next."""
        worker = self.workers[name]
        if worker.trial_id and self.controller_up:
            worker.trial_id, worker.seconds_in_state = 0, 0
            self.finished += 1
            if self.finished >= self.max_trials and not self.ended:
                self.state, self.reason = pb.Summary.SUCCEEDED, "BudgetSpent"
            self.ask(name)

    def end_pod(self, name: str, code: int, message: str = "", reason: str = "") -> None:
        """A worker's process ends, and its Job with it unless that is to try again."""
        pod, job = self.pods[name], self.jobs[job_of(name)]
        self.workers.pop(name, None)
        pod["status"]["phase"] = "Failed" if code else "Succeeded"
        pod["status"]["containerStatuses"][0]["state"] = {
            "terminated": {"exitCode": code, "reason": reason or ("Error" if code else "Completed"), "message": message}
        }
        self.count_running(name)
        if code in (0, 78):
            condition = {"type": "Failed" if code else "Complete", "status": "True"}
            condition |= {"lastTransitionTime": format_time(self.now), "message": f"{name} ended with exit code {code}"}
            job["status"]["conditions"] = [condition]

    def lose_pod(self, name: str) -> None:
        """Its node is gone: a spot instance, say. The Job will make another."""
        self.workers.pop(name, None)
        del self.pods[name]
        self.count_running(name)

    # What a test asks. ----------------------------------------------------------------------------------------------

    @property
    def model(self) -> NASSearch:
        """The manifest."""
        return NASSearch.model_validate(self.search)

    @property
    def max_trials(self) -> int:
        """Trials that end the search."""
        return int(self.search["spec"].get("budget", {}).get("maxTrials", 12_800))

    @property
    def ended(self) -> bool:
        """Whether the search has."""
        return self.state in (pb.Summary.SUCCEEDED, pb.Summary.FAILED)

    def summary(self) -> pb.Summary | None:
        """What the controller answers."""
        if not self.controller_up:
            return None
        return pb.Summary(
            search="research/digits",
            state=self.state,
            reason=self.reason,
            message=self.message,
            epoch=self.epoch,
            uptime_seconds=(self.now - self.epoch_began).total_seconds(),
            trials_finished=self.finished,
            trials_succeeded=self.finished,
            max_trials=self.max_trials,
            final_trainings_finished=self.final_trainings[0],
            final_trainings=self.final_trainings[1],
            workers=list(self.workers.values()),
            best=self.best,
            final_best=self.final_best,
            journal_problem=self.journal_problem,
        )

    def live_jobs(self, pool: str) -> list[Object]:
        """Jobs that have not finished, by slot."""
        jobs = [job for job in self.jobs.values() if not is_finished(job)]
        return sorted((job for job in jobs if job["metadata"]["labels"][POOL_LABEL] == pool), key=slot_of)

    def slots(self, pool: str) -> list[int]:
        """Slots of the Jobs that have not finished and whose workers are not asked to go."""
        return [slot_of(job) for job in self.live_jobs(pool) if not is_draining(job)]

    def draining(self, pool: str) -> list[int]:
        """Slots of the Jobs that have not finished and whose workers are asked to go."""
        return [slot_of(job) for job in self.live_jobs(pool) if is_draining(job)]

    def images(self, pool: str) -> list[str]:
        """Images of the Jobs that have not finished, by slot."""
        return [job["spec"]["template"]["spec"]["containers"][0]["image"] for job in self.live_jobs(pool)]

    def pods_of(self, job_name: str) -> list[Object]:
        """Pods of a Job."""
        return [pod for name, pod in self.pods.items() if job_of(name) == job_name]

    def worker(self, pool: str, slot: int) -> pb.Worker:
        """The worker of a slot, as the controller knows it."""
        [name] = [job["metadata"]["name"] for job in self.live_jobs(pool) if slot_of(job) == slot]
        [worker] = [worker for id_, worker in self.workers.items() if job_of(id_) == name]
        return worker

    def condition(self, type_: str, pool: str | None = None) -> dict[str, Any]:
        """A condition of the search, or of the NASPool of a pool."""
        of = self.search if pool is None else self.pools[f"digits-{pool}"]
        return next(condition for condition in of["status"]["conditions"] if condition["type"] == type_)

    def said(self) -> list[str]:
        """Reasons of the events since the last time that this was asked."""
        reasons = [event.reason for event in self.events]
        self.events.clear()
        return reasons

    # The inside. ----------------------------------------------------------------------------------------------------

    def do(self, action: Action) -> None:
        """Does what one action asks for."""
        match action:
            case Apply(manifest=wanted):
                self._apply(wanted)
            case Create(manifest=wanted):
                self._create(wanted)
            case Annotate(kind="Job", name=name, annotations=annotations):
                if name in self.jobs:
                    there = self.jobs[name]["metadata"]["annotations"] | annotations
                    self.jobs[name]["metadata"]["annotations"] = {k: v for k, v in there.items() if v is not None}
            case Delete(kind="Job", name=name, uid=uid):
                if name in self.jobs and self.jobs[name]["metadata"]["uid"] == uid:
                    self._delete_job(name)
            case Delete(kind="NASPool", name=name, uid=uid):
                if name in self.pools and self.pools[name]["metadata"]["uid"] == uid:
                    del self.pools[name]
                    self._collect(uid)
            case SetOwners(kind="PersistentVolumeClaim", resource_version=version, owners=owners):
                if self.journal_claim is not None and self.journal_claim["metadata"]["resourceVersion"] == version:
                    self.journal_claim["metadata"]["ownerReferences"] = list(owners)
                    self._changed(self.journal_claim)
            case SetOwners(kind="Secret", name=name, owners=owners):
                if name in self.secrets:
                    metadata = self.secrets[name]["metadata"] | {"ownerReferences": list(owners)}
                    self.secrets[name] = self.secrets[name] | {"metadata": metadata}
            case CreateAuthority(secret=name):
                authority = CertificateAuthority.create("research/digits", timedelta(days=3650))
                self.secrets[name] = build_authority(self.model, authority)
            case IssueCertificate(secret=name, identity=identity, dns_names=dns_names, lifetime=lifetime):
                if "digits-ca" in self.secrets:
                    authority = load_authority(self.model, self.secrets["digits-ca"])
                    pair = authority.issue(identity, dns_names, lifetime=lifetime)
                    self.secrets[name] = build_certificate(self.model, name, pair)
            case DrainWorkers(workers=workers):
                assert workers, "to name nobody would mean everybody"
                if self.controller_up:
                    self.asked_to_go |= set(workers)
                    for name in set(workers) & set(self.workers):
                        self.workers[name].draining = True
            case SetState(state=state):
                if self.controller_up:
                    self.state = state
            case WriteStatus(kind=kind, name=name, status=status):
                (NASSearchStatus if kind == "NASSearch" else NASPoolStatus).model_validate(status)
                of = self.search if kind == "NASSearch" else self.pools.get(name)
                if of is not None:
                    of["status"] = status
                    self.statuses_written[f"{kind}/{name}"] = self.now
            case Emit():
                if not self.events or self.events[-1] != action:
                    self.events.append(action)
            case _:
                raise AssertionError(f"nobody should ask for {action}")

    def _apply(self, wanted: Object) -> None:
        name = wanted["metadata"]["name"]
        match wanted["kind"]:
            case "NASPool":
                there = self.pools.get(name)
                version = wanted["metadata"].pop("resourceVersion", None)
                if version is None or (there is not None and there["metadata"]["resourceVersion"] == version):
                    self.pools[name] = self._merged(wanted, there)
            case "StatefulSet":
                self.stateful_set = self._merged(wanted, self.stateful_set)
            case "Service":
                self.service = wanted
            case "ConfigMap":
                self.config_maps[name] = wanted
            case "NetworkPolicy":
                self.network_policies[name] = wanted
            case kind:
                raise AssertionError(f"nobody should apply a {kind}")

    def _merged(self, wanted: Object, there: Object | None) -> Object:
        if there is None:
            return self._new(wanted)
        kept = {key: there["metadata"][key] for key in ("uid", "generation", "resourceVersion", "creationTimestamp")}
        merged = wanted | {"metadata": wanted["metadata"] | kept, "status": there["status"]}
        if merged["spec"] != there["spec"]:
            self._changed(merged)
        return merged

    def _create(self, wanted: Object) -> None:
        name = wanted["metadata"]["name"]
        if name in self.jobs:
            return
        if self.most_jobs is not None and len(self.jobs) >= self.most_jobs:
            message = f"exceeded quota: gpus, requested: count/jobs.batch=1, limited: count/jobs.batch={self.most_jobs}"
            self.refusals.append(Refusal("Job", name, wanted["metadata"]["labels"], message))
            return
        self.jobs[name] = self._new(wanted) | {"status": {"ready": 0}}

    def _new(self, wanted: Object) -> Object:
        number = next(self._numbers)
        given = {"uid": f"uid-{number}", "generation": 1, "resourceVersion": str(number)}
        metadata = wanted["metadata"] | given | {"creationTimestamp": format_time(self.now)}
        return wanted | {"metadata": metadata, "status": {}}

    def _collect(self, uid: str) -> None:
        """The garbage collector deletes the Secrets that only the object of this uid owned."""
        for name, secret in list(self.secrets.items()):
            if {owner["uid"] for owner in secret["metadata"]["ownerReferences"]} == {uid}:
                del self.secrets[name]

    def _changed(self, there: Object) -> None:
        there["metadata"]["generation"] += 1
        there["metadata"]["resourceVersion"] = str(next(self._numbers))

    def _delete_job(self, name: str) -> None:
        job = self.jobs.pop(name)
        for pod in self.pods_of(name):
            id_ = pod["metadata"]["name"]
            worker = self.workers.pop(id_, None)
            if worker is not None and worker.trial_id:
                self.cut_leases.append(job["metadata"]["annotations"].get(DRAINING_ANNOTATION, "never"))
            del self.pods[id_]

    def count_running(self, pod_name: str) -> None:
        job = self.jobs.get(job_of(pod_name))
        if job is not None:
            phases = [pod["status"]["phase"] for pod in self.pods_of(job["metadata"]["name"])]
            job["status"]["ready"] = phases.count("Running")

    def _everything(self) -> object:
        return copy.deepcopy(
            (
                *(self.search, self.pools, self.jobs, self.pods, self.stateful_set, self.service, set(self.secrets)),
                *(
                    self.journal_claim,
                    self.config_maps,
                    self.network_policies,
                    self.events,
                    self.asked_to_go,
                    self.state,
                ),
            )
        )


def job_of(pod: str) -> str:
    """Name of the Job of a pod."""
    return pod.rpartition("-")[0]


def slot_of(job: Object) -> int:
    """Slot of a Job."""
    return int(job["metadata"]["labels"][SLOT_LABEL])


def is_finished(job: Object) -> bool:
    """Whether a Job has ended well or badly."""
    return bool(job["status"].get("conditions"))


def is_draining(job: Object) -> bool:
    """Whether the worker of a Job is asked to go."""
    return DRAINING_ANNOTATION in job["metadata"]["annotations"]
