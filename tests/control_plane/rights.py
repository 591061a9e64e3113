"""The RBAC objects of an installation."""

import yaml

from tests.cluster.cluster import Cluster
from tests.control_plane.custom_resources import ROOT, Object

CHART = ROOT / "helm" / "nas-operator"
RELEASE = "nas-operator"


def rendered(cluster: Cluster, namespace: str, *values: str) -> list[Object]:
    """The objects of an installation in `namespace`, without its CRDs."""
    settings = [word for value in ("crds.install=false", *values) for word in ("--set", value)]
    return [
        document
        for document in yaml.safe_load_all(cluster.helm("template", RELEASE, CHART, "-n", namespace, *settings))
        if document
    ]


def install_rights(cluster: Cluster, namespace: str, *values: str) -> None:
    """Applies the service account and the RBAC objects of an installation, under names of its own."""
    objects = rendered(cluster, namespace, f"fullnameOverride={namespace}", *values)
    wanted = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    cluster.apply(*(object_ for object_ in objects if object_["kind"] in wanted))
