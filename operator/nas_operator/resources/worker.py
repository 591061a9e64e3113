"""The workers: one Job of one pod for each worker slot of a pool."""

import math
from collections.abc import Iterator

from nas_api.spec import NASSearch, Pool
from nas_api.spec.base import parse_quantity

from nas_operator.names import (
    DRAIN_TIMEOUT_ANNOTATION,
    POOL_LABEL,
    SLOT_LABEL,
    TEMPLATE_LABEL,
    job_name,
    labels,
    pool_certificate_name,
)
from nas_operator.observed import Object
from nas_operator.resources.applied import digest, stamped
from nas_operator.resources.controller import CONTROLLER_PORT, controller_host
from nas_operator.resources.manifest import MANIFEST_FILE, without_defaults
from nas_operator.resources.owner import owned_metadata
from nas_operator.resources.pod import CERTIFICATES_DIRECTORY, MANIFEST_DIRECTORY, Mount, build_pod_spec
from nas_operator.resources.tracing import tracing_environment
from nas_operator.settings import Settings

CONTAINER = "worker"
# EX_CONFIG of sysexits.h: the worker says that its configuration cannot work, so that another pod would not, either.
UNUSABLE_EXIT_CODE = 78
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

_CACHE_DIRECTORY = "/var/cache/kubenas"
# To end a trial and to give its architecture back; the pod is killed somewhat later.
_RELEASE_SECONDS = 20
_GRACE_SECONDS = _RELEASE_SECONDS + 10
# The operator deletes finished Jobs long before; this is for one that is gone.
_TTL_SECONDS = 24 * 3600
# A pod that is lost without notice is replaced, by its Job. One that is evicted has the time to end well, and so its
# Job: the operator makes another for its slot. What cannot work fails the Job by its exit code.
_BACKOFF_LIMIT = 2**31 - 1

# Parts of a pool and of the trainer that no pod is made of. The images come in as one, resolved.
_POOL_ONLY = {"replicas", "drain_timeout", "image"}
_TRAINER_ONLY = {"egress", "image"}


def template_hash(search: NASSearch, pool: Pool, image: str) -> str:
    """Eight hexadecimal digits that are others when running workers of the pool must be replaced.

    They are of what the worker is made of and not of the Job, so that a new version of the operator restarts none.

    Args:
        search: whose worker it is.
        pool: its pool, an entry of `spec.pools`.
        image: of the container.
    """
    inputs = {
        "search": search.metadata.uid,
        "image": image,
        "pool": without_defaults(pool, exclude=_POOL_ONLY),
        "trainer": without_defaults(search.spec.trainer, exclude=_TRAINER_ONLY),
        "reward": without_defaults(search.spec.reward),
        "seed": search.spec.seed,
    }
    # Only where there is one: the others have the hash that they had in versions that did not know of it.
    if low_fidelity := without_defaults(search.spec.controller.low_fidelity):
        inputs["lowFidelity"] = low_fidelity
    return digest(inputs)[:8]


def worker_image(search: NASSearch, pool: Pool, default: str) -> str:
    """Image of the workers of a pool: what the manifest names, else `default`."""
    return pool.image or search.spec.trainer.image or default


def build_job(search: NASSearch, pool: Pool, slot: int, image: str, settings: Settings) -> Object:
    """The Job of one worker.

    Args:
        search: whose worker it is.
        pool: its pool, an entry of `spec.pools`.
        slot: number of the worker in the pool, from 0.
        image: of the container.
        settings: of the operator.
    """
    name = search.metadata.name
    template = template_hash(search, pool, image)
    worker_labels = {POOL_LABEL: pool.name, SLOT_LABEL: str(slot), TEMPLATE_LABEL: template}
    pod = build_pod_spec(
        search,
        _container(search, pool, image, settings),
        list(_mounts(search)),
        pool,
        pool_certificate_name(name, pool.name),
        settings,
    ) | {"restartPolicy": "Never", "terminationGracePeriodSeconds": _GRACE_SECONDS}
    queue = {QUEUE_LABEL: pool.queue} if pool.queue else {}
    return stamped(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": owned_metadata(
                search, job_name(name, pool.name, slot, template), "worker", worker_labels | queue
            )
            | {"annotations": {DRAIN_TIMEOUT_ANNOTATION: pool.drain_timeout}},
            "spec": {
                "parallelism": 1,
                "completions": 1,
                "backoffLimit": _BACKOFF_LIMIT,
                # A worker that is on its way out may still hold the GPU, and finish what it trains.
                "podReplacementPolicy": "Failed",
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onExitCodes": {
                                "containerName": CONTAINER,
                                "operator": "In",
                                "values": [UNUSABLE_EXIT_CODE],
                            },
                        },
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    ]
                },
                "ttlSecondsAfterFinished": _TTL_SECONDS,
                "template": {"metadata": {"labels": labels(name, "worker") | worker_labels}, "spec": pod},
            },
        }
    )


def _container(search: NASSearch, pool: Pool, image: str, settings: Settings) -> Object:
    trainer = search.spec.trainer
    # The root file system is read-only, so that a home there would be of no use.
    variables = {"HOME": "/tmp"} | trainer.environment  # noqa: S108
    environment = {
        **tracing_environment(search, settings),
        **{name: {"value": value} for name, value in variables.items()},
    }
    environment["POD_NAME"] = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    container: Object = {
        "name": CONTAINER,
        "image": image,
        "command": ["python", "-m", "nas_child"],
        "args": [
            f"--manifest={MANIFEST_DIRECTORY}/{MANIFEST_FILE}",
            f"--controller={controller_host(search)}:{CONTROLLER_PORT}",
            f"--certificates={CERTIFICATES_DIRECTORY}",
            f"--pool={pool.name}",
            "--worker-id=$(POD_NAME)",
            "--device=auto",
            f"--threads={threads(pool)}",
            f"--cache={_CACHE_DIRECTORY}",
            f"--grace-seconds={_RELEASE_SECONDS}",
            "--log-format=json",
        ],
        "env": [{"name": name} | source for name, source in environment.items()],
    }
    if trainer.environment_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": trainer.environment_secret}}]
    return container


def threads(pool: Pool) -> int:
    """Threads of PyTorch in a trial: one for each whole CPU that the worker has, and one when it asks for none."""
    return max(1, math.floor(parse_quantity(pool.resources.get("cpu", "1"))))


def _mounts(search: NASSearch) -> Iterator[Mount]:
    yield Mount("cache", {"emptyDir": {}}, _CACHE_DIRECTORY)
    # Loaders of data pass batches through it. The 64 MiB that containers have otherwise are soon full.
    yield Mount("shm", {"emptyDir": {"medium": "Memory"}}, "/dev/shm")  # noqa: S108
    volumes = search.spec.trainer.volumes
    claims = list(dict.fromkeys(volume.claim_name for volume in volumes))
    for volume in volumes:
        claim: Object = {"claimName": volume.claim_name}
        if all(other.read_only for other in volumes if other.claim_name == volume.claim_name):
            claim["readOnly"] = True
        yield Mount(
            f"data-{claims.index(volume.claim_name)}",
            {"persistentVolumeClaim": claim},
            volume.mount_path,
            volume.read_only,
            volume.sub_path or "",
        )
