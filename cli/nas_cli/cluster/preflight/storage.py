"""Volumes: that of the journal, which the cluster has to make, and those with data, which have to be there."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.amounts import amounts
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown, warning
from nas_cli.cluster.preflight.demand import Demand

_JOURNAL = "journal volume"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_BY_HAND = "kubernetes.io/no-provisioner"
_FIELD = "spec.controller.storage"
_TRY = "Apply and see, or ask somebody who may list storage classes."


@dataclass(frozen=True, slots=True)
class Storage:
    """What is known of volumes.

    Attributes:
        classes: storage.k8s.io/v1 StorageClass.
        drivers: storage.k8s.io/v1 CSIDriver.
        volumes: v1 PersistentVolume.
        claims: v1 PersistentVolumeClaim, those of the namespace.
    """

    classes: Sequence[Object] | Unread
    drivers: Sequence[Object] | Unread
    volumes: Sequence[Object] | Unread
    claims: Sequence[Object] | Unread


def storage_class(demand: Demand, known: Storage) -> str:
    """Of the journal's volume. Empty: there is none, or it cannot be told."""
    named = demand.claim["spec"].get("storageClassName")
    if named is not None:
        return str(named)
    classes = () if isinstance(known.classes, Unread) else known.classes
    return next((each["metadata"]["name"] for each in classes if _is_default(each)), "")


def check_journal(demand: Demand, known: Storage) -> Check:
    """Whether there is a volume for the journal, or something that makes one."""
    claim = demand.claim
    there = _claim(known, claim["metadata"]["name"])
    if there is not None:
        phase = (there.get("status") or {}).get("phase")
        name = f"the claim {claim['metadata']['name']}"
        if phase == "Bound":
            return ok(_JOURNAL, f"{name} is there, and bound: a search of that name goes on with the journal in it")
        return warning(_JOURNAL, f"{name} is there, and {str(phase).lower()}", "See `kubectl describe pvc`.")
    if isinstance(known.classes, Unread):
        return unknown(_JOURNAL, known.classes, _TRY)
    name = storage_class(demand, known)
    found = next((each for each in known.classes if each["metadata"]["name"] == name), None)
    if found is not None and found["provisioner"] != _BY_HAND:
        return _made_by(found, claim, known)
    volumes = [] if isinstance(known.volumes, Unread) else [v for v in known.volumes if _takes(v, claim, name, demand)]
    if volumes:
        return ok(_JOURNAL, f"the volume {volumes[0]['metadata']['name']} is free for it")
    if name and found is None:
        names = ", ".join(each["metadata"]["name"] for each in known.classes) or "none"
        return failed(
            _JOURNAL, f"there is no storage class {name}; there are {names}", f"Correct {_FIELD}.storageClassName."
        )
    if isinstance(known.volumes, Unread):
        return unknown(_JOURNAL, known.volumes)
    return failed(
        _JOURNAL,
        f"the storage class {name} makes no volumes, and none is free that fits"
        if name
        else "there is no default storage class, and no volume is free that fits",
        f"Name a class in {_FIELD}.storageClassName, or make a volume.",
    )


def check_data(demand: Demand, known: Storage) -> list[Check]:
    """Whether the claims with data are there, and can be mounted by all workers."""
    workers = sum(part.count for part in demand.pools)
    checks = []
    for volume in {volume.claim_name: volume for volume in demand.search.spec.trainer.volumes}.values():
        writes = any(
            not other.read_only for other in demand.search.spec.trainer.volumes if other.claim_name == volume.claim_name
        )
        checks.append(_data(f"data volume {volume.claim_name}", volume.claim_name, known, workers, writes=writes))
    return checks


def _data(name: str, claim_name: str, known: Storage, workers: int, *, writes: bool) -> Check:
    if isinstance(known.claims, Unread):
        return unknown(name, known.claims)
    claim = _claim(known, claim_name)
    if claim is None:
        return failed(
            name,
            f"there is no PersistentVolumeClaim {claim_name}",
            "Make it, or correct spec.trainer.volumes[].claimName.",
        )
    status = claim.get("status") or {}
    modes = set(status.get("accessModes") or claim["spec"].get("accessModes") or ())
    if status.get("phase") == "Lost":
        return failed(name, "its volume is lost", "Make the claim anew.")
    if modes == {"ReadOnlyMany"} and writes:
        return failed(name, "it can only be read (ReadOnlyMany)", "Say readOnly: true in spec.trainer.volumes[].")
    if modes == {"ReadWriteOncePod"} and workers > 1:
        return failed(
            name,
            f"one pod at a time can mount it (ReadWriteOncePod), and there are {workers} workers",
            "Use a claim that several can.",
        )
    if not modes & ({"ReadWriteMany"} if writes else {"ReadWriteMany", "ReadOnlyMany"}) and workers > 1:
        return warning(
            name,
            f"one node at a time can mount it ({', '.join(sorted(modes))}): all {workers} workers have to be there",
            "Give it an access mode that several nodes can use.",
        )
    if status.get("phase") != "Bound":
        return warning(name, f"it is {str(status.get('phase') or 'new').lower()}: nothing is in it yet", "")
    return ok(name, f"bound, {', '.join(sorted(modes))}")


def _made_by(found: Object, claim: Object, known: Storage) -> Check:
    name, provisioner = found["metadata"]["name"], found["provisioner"]
    message = f"{name} ({provisioner}) makes it, {claim['spec']['resources']['requests']['storage']}"
    mode = claim["spec"]["accessModes"][0]
    if mode == "ReadWriteOncePod" and not isinstance(known.drivers, Unread):
        drivers = {driver["metadata"]["name"] for driver in known.drivers}
        if provisioner not in drivers:
            return warning(
                _JOURNAL,
                f"{message}, with {mode}; but {provisioner} is no CSI driver of this cluster, and may not know that",
                f"If it does not, set {_FIELD}.accessMode: ReadWriteOnce.",
            )
    return ok(_JOURNAL, f"{message}, {mode}")


def _claim(known: Storage, name: str) -> Object | None:
    claims = () if isinstance(known.claims, Unread) else known.claims
    return next((claim for claim in claims if claim["metadata"]["name"] == name), None)


def _is_default(storage_class: Object) -> bool:
    return (storage_class["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"


def _takes(volume: Object, claim: Object, class_name: str, demand: Demand) -> bool:
    """Whether a volume that somebody has made is free for the journal."""
    spec = volume["spec"]
    reserved = spec.get("claimRef") or {}
    wanted = (demand.search.metadata.namespace, claim["metadata"]["name"])
    return (
        (not reserved or (reserved.get("namespace"), reserved.get("name")) == wanted)
        and (volume.get("status") or {}).get("phase") in ("Available", "Pending", None)
        and (spec.get("storageClassName") or "") == class_name
        and claim["spec"]["accessModes"][0] in spec["accessModes"]
        and amounts(spec["capacity"])["storage"] >= amounts(claim["spec"]["resources"]["requests"])["storage"]
    )
