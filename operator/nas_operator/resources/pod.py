"""What all pods of a search have in common: the 'restricted' Pod Security Standard, volumes, placement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas_api.spec import Controller, NASSearch, Pool

from nas_operator.names import manifest_name
from nas_operator.observed import Object
from nas_operator.settings import Settings

MANIFEST_DIRECTORY = "/etc/kubenas/manifest"
CERTIFICATES_DIRECTORY = "/etc/kubenas/tls"

# Group of the user that the images run as.
_GROUP = 65532


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume at a path of the container.

    Attributes:
        volume: its name in the pod.
        source: core/v1 Volume without the name. None: the volume is a claim of a StatefulSet.
        path: where it is mounted.
        read_only: whether it is mounted so.
        sub_path: what of it is mounted; empty: its root.
    """

    volume: str
    source: Object | None
    path: str
    read_only: bool = False
    sub_path: str = ""


def build_pod_spec(
    search: NASSearch,
    container: Object,
    mounts: Sequence[Mount],
    placement: Controller | Pool,
    certificate: str,
    settings: Settings,
) -> Object:
    """core/v1 PodSpec of one container that reads the manifest and a certificate.

    Args:
        search: whose pod it is.
        container: core/v1 Container: its name, image, command and whatever is its own.
        mounts: volumes beside those of the manifest, the certificate and `/tmp`.
        placement: the part of the manifest that says what the pod takes and which nodes it may run on.
        certificate: name of the Secret.
        settings: of the operator.
    """
    mounts = (
        Mount("manifest", {"configMap": {"name": manifest_name(search.metadata.name)}}, MANIFEST_DIRECTORY, True),
        Mount("certificates", {"secret": {"secretName": certificate}}, CERTIFICATES_DIRECTORY, True),
        Mount("tmp", {"emptyDir": {}}, "/tmp"),  # noqa: S108 - a volume of the pod's own
        *mounts,
    )
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": _GROUP,
            # A data set of a million files is not looked through at every start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "imagePullPolicy": settings.image_pull_policy,
                # The last line of standard error says why: without this it would be read by nobody.
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "volumeMounts": [_volume_mount(mount) for mount in mounts],
            }
            | _resources(placement.resources)
            | container
        ],
        # A volume can be mounted at several paths.
        "volumes": list(
            {
                mount.volume: {"name": mount.volume} | mount.source for mount in mounts if mount.source is not None
            }.values()
        ),
    } | _placement(placement)


def _volume_mount(mount: Mount) -> Object:
    return (
        {"name": mount.volume, "mountPath": mount.path}
        | ({"readOnly": True} if mount.read_only else {})
        | ({"subPath": mount.sub_path} if mount.sub_path else {})
    )


def _resources(resources: dict[str, str]) -> Object:
    # Kubernetes wants it so for extended resources. Of memory it saves a worker from its neighbours.
    return {"resources": {"requests": resources, "limits": resources}} if resources else {}


def _placement(placement: Controller | Pool) -> Object:
    fields: dict[str, Any] = {
        "nodeSelector": placement.node_selector,
        "tolerations": [
            toleration.model_dump(mode="json", by_alias=True, exclude_none=True) for toleration in placement.tolerations
        ],
        "priorityClassName": placement.priority_class_name,
        "runtimeClassName": placement.runtime_class_name if isinstance(placement, Pool) else None,
    }
    return {name: value for name, value in fields.items() if value}
