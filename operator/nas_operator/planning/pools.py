"""The NASPools of a search, and how many workers of what each of them should have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from nas_api.spec import NASSearch, NASSearchStatus, Pool
from nas_api.spec.base import parse_duration

from nas_operator.actions import Apply, Delete, SetOwners
from nas_operator.names import (
    DEFAULT_IMAGE_ANNOTATION,
    POOL_LABEL,
    REPLICAS_ANNOTATION,
    pool_certificate_name,
    pool_name,
)
from nas_operator.observed import Object, Observed
from nas_operator.planning.objects import annotations_of, is_deleting, labels_of, name_of
from nas_operator.planning.worker_jobs import WorkerJob
from nas_operator.resources.applied import is_applied
from nas_operator.resources.owner import pool_reference
from nas_operator.resources.pool import build_pool
from nas_operator.resources.worker import template_hash, worker_image
from nas_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool as it is and as it should be.

    Attributes:
        name: in `spec.pools`.
        spec: its entry there. None: it is not listed any more, and is to go.
        observed: its NASPool. None: not made yet.
        jobs: of its workers.
        replicas: workers that it should have while the search runs.
        default_image: of workers for which the manifest names none.
        image: of its workers.
        template: hash of what its workers are made of.
    """

    name: str
    spec: Pool | None
    observed: Object | None
    jobs: Sequence[WorkerJob]
    replicas: int = 0
    default_image: str = ""
    image: str = ""
    template: str = ""

    @property
    def drain_timeout(self) -> timedelta:
        """How long a worker that should go may go on with its architecture. Its Job knows it when the pool is gone."""
        if self.spec is not None:
            return parse_duration(self.spec.drain_timeout)
        known = [job.drain_timeout for job in self.jobs if job.drain_timeout is not None]
        return max(known, default=parse_duration(Pool.model_fields["drain_timeout"].default))


def pool_states(
    search: NASSearch,
    observed: Observed,
    previous: NASSearchStatus,
    jobs: Mapping[str, Sequence[WorkerJob]],
    settings: Settings,
) -> list[PoolState]:
    """Those of `spec.pools` in their order, then those that are not listed there any more."""
    listed = [
        _listed(search, spec, observed, previous, jobs.get(spec.name, ()), settings) for spec in search.spec.pools
    ]
    names = {pool.name for pool in listed}
    objects = {_pool_of(pool): pool for pool in observed.pools.values()}
    left_over = sorted((set(objects) | set(jobs)) - names)
    return [*listed, *(PoolState(name, None, objects.get(name), jobs.get(name, ())) for name in left_over)]


def _listed(
    search: NASSearch,
    spec: Pool,
    observed: Observed,
    previous: NASSearchStatus,
    jobs: Sequence[WorkerJob],
    settings: Settings,
) -> PoolState:
    pool = observed.pools.get(pool_name(search.metadata.name, spec.name))
    pinned = annotations_of(pool).get(DEFAULT_IMAGE_ANNOTATION) if pool and _has_worked(previous) else None
    default_image = pinned or settings.child_image
    image = worker_image(search, spec, default_image)
    # What was scaled stays so, until somebody edits the number in the search.
    scaled = pool is not None and annotations_of(pool).get(REPLICAS_ANNOTATION) == str(spec.replicas)
    replicas = pool["spec"].get("replicas", 1) if pool is not None and scaled else spec.replicas
    return PoolState(spec.name, spec, pool, jobs, replicas, default_image, image, template_hash(search, spec, image))


def _has_worked(status: NASSearchStatus) -> bool:
    """Whether a worker was ever seen. Before that their image may be wrong, and an upgrade of the operator corrects it.

    What could not be seen is a worker that came and went before its first architecture was trained.
    """
    return bool(status.trials.finished or status.trials.running or status.workers.alive)


def plan_pools(
    search: NASSearch, pools: Sequence[PoolState], secrets: Mapping[str, Object]
) -> Iterator[Apply | SetOwners | Delete]:
    """Makes and changes NASPools, and deletes those that are not listed any more when their workers have gone.

    Args:
        search: whose pools they are.
        pools: all of them.
        secrets: by name, those of the search. The certificate of a pool that is deleted goes with it.
    """
    for pool in pools:
        if pool.observed is not None and is_deleting(pool.observed):
            continue
        if pool.spec is not None:
            wanted = build_pool(search, pool.spec, pool.replicas, pool.default_image)
            if pool.observed is None:
                yield Apply(wanted)
            elif not is_applied(wanted, pool.observed):
                # Whoever scales it at this moment must not be overruled: the number is of what has been read.
                version = {"resourceVersion": pool.observed["metadata"].get("resourceVersion", "")}
                yield Apply(wanted | {"metadata": wanted["metadata"] | version})
        elif pool.observed is not None and not pool.jobs:
            certificate = secrets.get(pool_certificate_name(search.metadata.name, pool.name))
            if certificate is not None:
                # The operator may delete no Secrets. The garbage collector may, when their owner is gone.
                read = str(certificate["metadata"].get("resourceVersion") or "")
                yield SetOwners("Secret", name_of(certificate), read, (pool_reference(pool.observed),))
            yield Delete("NASPool", name_of(pool.observed), str(pool.observed["metadata"].get("uid") or ""))


def _pool_of(observed: Object) -> str:
    return str((observed.get("spec") or {}).get("pool") or labels_of(observed).get(POOL_LABEL) or "")
