"""`Observed`: what is in the cluster for one search, and how its controller says that the search stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nas_api.rpc import trials_pb2 as pb

# A Kubernetes object as JSON.
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server refused to do when the last plan was applied: not allowed, over quota, invalid.

    Attributes:
        kind: of the object.
        name: of the object.
        labels: of the object, as it should have been.
        message: the API server's words.
    """

    kind: str
    name: str
    labels: Mapping[str, str]
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Objects that bear the search's label, by name, and the answer of its controller.

    Attributes:
        search: the NASSearch itself.
        pools: NASPools.
        jobs: Jobs, one a worker, without `spec.template`.
        pods: of controller and workers. Empty in the reconciliations that do not need them, see `pods_listed`.
        pods_listed: whether `pods` and `warnings` were asked for. `Plan.look_closer` asks for them.
        pods_listed_at: when pods were last asked for before, UTC. None: not since the operator has started.
        stateful_set: the controller's, or None.
        service: the controller's, or None.
        journal_claim: the PersistentVolumeClaim of the journal, whoever made it, or None.
        secrets: by name, with their data (base64, as Kubernetes has them).
        config_maps: by name.
        network_policies: by name.
        warnings: Events (core/v1) of type Warning about these objects, the newest last. Listed together with pods.
        summary: the controller's answer to GetSummary, or None.
        summary_problem: why there is no summary, for a person; empty when there is one.
        refusals: of actions of the last plan, those of status writes and events left out.
        statuses_written: when the status of `NASSearch/NAME` or `NASPool/NAME` was last written, UTC. Not in it: not
            since the operator has started.
    """

    search: Object
    pools: Mapping[str, Object] = field(default_factory=dict)
    jobs: Mapping[str, Object] = field(default_factory=dict)
    pods: Mapping[str, Object] = field(default_factory=dict)
    pods_listed: bool = False
    pods_listed_at: datetime | None = None
    stateful_set: Object | None = None
    service: Object | None = None
    journal_claim: Object | None = None
    secrets: Mapping[str, Object] = field(default_factory=dict)
    config_maps: Mapping[str, Object] = field(default_factory=dict)
    network_policies: Mapping[str, Object] = field(default_factory=dict)
    warnings: tuple[Object, ...] = ()
    summary: pb.Summary | None = None
    summary_problem: str = ""
    refusals: tuple[Refusal, ...] = ()
    statuses_written: Mapping[str, datetime] = field(default_factory=dict)
