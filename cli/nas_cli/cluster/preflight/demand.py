"""`Demand`: what the operator would make for a search, as far as a cluster has to have room for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from nas_api.spec import NASSearch, Pool
from nas_operator.names import SEARCH_LABEL, journal_claim_name
from nas_operator.resources.controller import build_stateful_set
from nas_operator.resources.worker import build_job, worker_image
from nas_operator.settings import Settings

from nas_cli.cluster.cluster import Object

UNKNOWN_IMAGE = "image-of-the-operator"
"""In the place of the operator's own images, when its settings cannot be read."""

# The authority, and the certificates of the controller and of the administrator; each pool has one more.
_SECRETS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of the search that runs as pods.

    Attributes:
        name: `controller`, or `pool NAME`.
        field: of the manifest.
        pod: v1 Pod without a name, as it would be made.
        count: of such pods.
        pool: its entry in `spec.pools`. None: the controller.
    """

    name: str
    field: str
    pod: Object
    count: int
    pool: Pool | None = None

    @property
    def image(self) -> str:
        """Of its container. Empty: not known, since the operator's is not."""
        image = str(self.pod["spec"]["containers"][0]["image"])
        return "" if image == UNKNOWN_IMAGE else image

    @property
    def image_field(self) -> str:
        """Fields of the manifest that name its image."""
        return f"{self.field}.image" if self.pool is None else f"{self.field}.image or spec.trainer.image"


@dataclass(frozen=True, slots=True)
class Demand:
    """Of a search.

    Attributes:
        search: whose it is.
        parts: the controller, and the pools in their order.
        claim: v1 PersistentVolumeClaim of the journal.
        exists: the search is there already, and with it all that is not pods.
    """

    search: NASSearch
    parts: tuple[Part, ...]
    claim: Object
    exists: bool

    @property
    def pools(self) -> tuple[Part, ...]:
        """All parts but the controller."""
        return self.parts[1:]

    def objects(self, parts: Iterable[tuple[Part, int]]) -> dict[str, int]:
        """How many objects of each resource are new with so many pods of these parts, as object quotas name them.

        Pods are not counted: they are weighed one by one.
        """
        if self.exists:
            return {}
        workers = sum(count for part, count in parts if part.pool is not None)
        pools = len(self.pools)
        return {
            "persistentvolumeclaims": 1,
            "secrets": _SECRETS + pools,
            "configmaps": 1,
            "services": 1,
            "statefulsets.apps": 1,
            "jobs.batch": workers,
            "networkpolicies.networking.k8s.io": 2,
            "nassearches.kubenas.dev": 1,
            "naspools.kubenas.dev": pools,
        }


def demand_of(search: NASSearch, settings: Settings, *, exists: bool = False) -> Demand:
    """What the operator would make.

    Args:
        search: in the namespace where it would be.
        settings: of the operator.
        exists: whether the search is there already.
    """
    stateful_set = build_stateful_set(search, settings, settings.controller_image, 1)
    template, claim = stateful_set["spec"]["template"], stateful_set["spec"]["volumeClaimTemplates"][0]
    name = journal_claim_name(search.metadata.name)
    volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}}
    spec = template["spec"] | {"volumes": [*template["spec"]["volumes"], volume]}
    parts = [Part("controller", "spec.controller", _pod(template | {"spec": spec}), 1)]
    for index, pool in enumerate(search.spec.pools):
        job = build_job(search, pool, 0, worker_image(search, pool, settings.child_image), settings)
        parts.append(
            Part(f"pool {pool.name}", f"spec.pools[{index}]", _pod(job["spec"]["template"]), pool.replicas, pool)
        )
    return Demand(search, tuple(parts), claim | {"metadata": claim["metadata"] | {"name": name}}, exists)


def is_of(search: NASSearch, pod: Object) -> bool:
    """Whether a pod is one of those that the search, which is there already, has now."""
    metadata = pod["metadata"]
    named = (metadata.get("labels") or {}).get(SEARCH_LABEL)
    return (metadata.get("namespace"), named) == (search.metadata.namespace, search.metadata.name)


def _pod(template: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", **template}
