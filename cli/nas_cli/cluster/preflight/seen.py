"""`Seen`: all that is read of a cluster before anything is checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas_operator.settings import Settings

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.admission import Tried
from nas_cli.cluster.preflight.check import Unread
from nas_cli.cluster.preflight.demand import Demand
from nas_cli.cluster.preflight.references import Listed
from nas_cli.cluster.preflight.rights import Right
from nas_cli.cluster.preflight.room import Nodes
from nas_cli.cluster.preflight.storage import Storage


@dataclass(frozen=True, slots=True)
class Seen:
    """A cluster, as a search in one of its namespaces would find it.

    Attributes:
        demand: of the search.
        settings: of the operator that would look after it, as far as they can be read.
        definition: OpenAPI schema of NASSearch. None: there is none.
        operators: pods of operators.
        prometheus: whether PodMonitors are served.
        rights: which the user has.
        namespace: of the search. None: there is none.
        manifest: what came of a dry run of it.
        pods: what came of dry runs of a pod of each part, by the name of the part.
        own: pods that the search has already.
        quotas: of the namespace.
        limit_ranges: of the namespace.
        nodes: and what is on them.
        storage: classes, volumes and claims.
        account: the ServiceAccount `default`. None: there is none.
        secrets: by name, those that are asked for. None: there is none.
        priority_classes: of the cluster.
        runtime_classes: of the cluster.
        queues: LocalQueues of the namespace. None: there is no Kueue.
    """

    demand: Demand
    settings: Settings
    definition: Object | Unread | None
    operators: Listed
    prometheus: bool
    rights: Mapping[Right, bool]
    namespace: Object | Unread | None
    manifest: Tried
    pods: Mapping[str, Tried]
    own: Sequence[Object]
    quotas: Listed
    limit_ranges: Listed
    nodes: Nodes
    storage: Storage
    account: Object | Unread | None
    secrets: Mapping[str, Object | Unread | None]
    priority_classes: Listed
    runtime_classes: Listed
    queues: Listed | None
