"""The controller: a StatefulSet of one pod with the journal's volume, and the Service that workers find it by."""

from nas_api.logs import LOG_FORMAT_VARIABLE
from nas_api.spec import NASSearch

from nas_operator.names import (
    COMPONENT_LABEL,
    DEFAULT_IMAGE_ANNOTATION,
    JOURNAL,
    MANIFEST_ANNOTATION,
    SEARCH_LABEL,
    controller_certificate_name,
    controller_name,
    labels,
)
from nas_operator.observed import Object
from nas_operator.resources.applied import digest, stamped
from nas_operator.resources.manifest import MANIFEST_FILE, without_defaults
from nas_operator.resources.owner import owned_metadata
from nas_operator.resources.pod import CERTIFICATES_DIRECTORY, MANIFEST_DIRECTORY, Mount, build_pod_spec
from nas_operator.resources.tracing import tracing_environment
from nas_operator.settings import Settings

CONTROLLER_PORT = 50051
METRICS_PORT = 9464
CONTAINER = "controller"

_STATE_DIRECTORY = "/var/lib/kubenas"
# To answer the calls under way and to close the journal takes a second or two.
_GRACE_SECONDS = 30

_PLACEMENT = {"resources", "node_selector", "tolerations", "priority_class_name"}
# What the process of the controller does not read of `spec` and of `spec.controller`, which is looked at by itself.
_NOT_READ = {"controller", "trainer", "pools", "suspend", "deletion_policy"}
_NOT_READ_OF_CONTROLLER = {*_PLACEMENT, "storage", "image", "ttl_after_finished"}


def controller_host(search: NASSearch) -> str:
    """DNS name of the controller's Service, for every pod of the cluster."""
    return f"{controller_name(search.metadata.name)}.{search.metadata.namespace}.svc"


def controller_selector(search: NASSearch) -> dict[str, str]:
    """Labels that only the controller's pod has, in the search's namespace."""
    return {SEARCH_LABEL: search.metadata.name, COMPONENT_LABEL: "controller"}


def build_service(search: NASSearch) -> Object:
    """The Service. It has an address of its own, which an operator that runs outside of the cluster's DNS can use."""
    return stamped(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": owned_metadata(search, controller_name(search.metadata.name), "controller"),
            "spec": {
                "type": "ClusterIP",
                "selector": controller_selector(search),
                # Service meshes read the protocol from the name: this is TLS that is not theirs to end.
                "ports": [
                    {"name": "tls-grpc", "port": CONTROLLER_PORT, "targetPort": CONTROLLER_PORT, "protocol": "TCP"}
                ],
            },
        }
    )


def build_stateful_set(
    search: NASSearch, settings: Settings, default_image: str, replicas: int, observed: Object | None = None
) -> Object:
    """The StatefulSet.

    It counts as applied as long as the manifest's part in it, the image and `replicas` are the same, whatever a new
    version of the operator would make of them: an upgrade restarts no controller.

    Args:
        search: whose controller it is.
        settings: of the operator.
        default_image: of the controller, when the manifest names none.
        replicas: 1, or 0 when the search has ended long ago.
        observed: the StatefulSet as it is, if it is there. Its claim for the journal's volume is kept, since nothing
            may change that in its life.
    """
    spec = search.spec.controller
    image = spec.image or default_image
    reads = digest(
        [
            without_defaults(search.spec, exclude=_NOT_READ),
            without_defaults(spec, exclude=_NOT_READ_OF_CONTROLLER),
        ]
    )
    container = {
        "name": CONTAINER,
        "image": image,
        "command": ["python", "-m", "nas_controller"],
        "args": [
            f"--manifest={MANIFEST_DIRECTORY}/{MANIFEST_FILE}",
            f"--state={_STATE_DIRECTORY}",
            f"--certificates={CERTIFICATES_DIRECTORY}",
            f"--listen=0.0.0.0:{CONTROLLER_PORT}",
        ],
        # No argument: an older controller's image would not know it.
        "env": [
            {"name": "KUBENAS_METRICS_LISTEN", "value": f":{METRICS_PORT}"},
            {"name": LOG_FORMAT_VARIABLE, "value": "json"},
            *({"name": name} | source for name, source in tracing_environment(search, settings).items()),
        ],
        "ports": [
            {"name": "tls-grpc", "containerPort": CONTROLLER_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        # A long journal takes a while to read. Afterwards a controller that accepts no calls for a minute is stuck.
        "startupProbe": _probe(period_seconds=1, failure_threshold=600),
        "readinessProbe": _probe(period_seconds=5, failure_threshold=2),
        "livenessProbe": _probe(period_seconds=10, failure_threshold=6),
    }
    pod = build_pod_spec(
        search,
        container,
        [Mount(JOURNAL, None, _STATE_DIRECTORY)],
        spec,
        controller_certificate_name(search.metadata.name),
        settings,
    ) | {"terminationGracePeriodSeconds": _GRACE_SECONDS}
    name = controller_name(search.metadata.name)
    inputs = {
        "image": image,
        "defaultImage": default_image,
        "replicas": replicas,
        "reads": reads,
        "placement": without_defaults(spec, include=_PLACEMENT),
    }
    return stamped(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": owned_metadata(search, name, "controller")
            | {"annotations": {DEFAULT_IMAGE_ANNOTATION: default_image}},
            "spec": {
                "replicas": replicas,
                "serviceName": name,
                "selector": {"matchLabels": controller_selector(search)},
                # One pod has no order. With OrderedReady a pod that never gets ready would block its own replacement.
                "podManagementPolicy": "Parallel",
                # The journal outlives the StatefulSet, which may be deleted by mistake and is then made again. Where it
                # should not outlive the search it belongs to that, see `planning.controller`.
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "template": {
                    "metadata": {
                        "labels": labels(search.metadata.name, "controller"),
                        "annotations": {MANIFEST_ANNOTATION: reads},
                    },
                    "spec": pod,
                },
                "volumeClaimTemplates": (
                    observed["spec"]["volumeClaimTemplates"] if observed else [_journal_claim(search, settings)]
                ),
            },
        },
        inputs,
    )


def _journal_claim(search: NASSearch, settings: Settings) -> Object:
    storage = search.spec.controller.storage
    claim: Object = {
        "accessModes": [storage.access_mode or settings.storage_access_mode],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.storage_class_name is not None:
        claim["storageClassName"] = storage.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": JOURNAL, "labels": labels(search.metadata.name, "controller")},
        "spec": claim,
    }


def _probe(period_seconds: int, failure_threshold: int) -> Object:
    # gRPC's health service would want a client certificate, which the kubelet has not.
    return {
        "tcpSocket": {"port": CONTROLLER_PORT},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 5,
        "failureThreshold": failure_threshold,
    }
