"""The manifest as controller and workers read it: a ConfigMap with `search.yaml`."""

from nas_api.manifest.document import write_yaml
from nas_api.spec import NASSearch
from nas_api.spec.base import SpecModel

from nas_operator.names import manifest_name
from nas_operator.observed import Object
from nas_operator.resources.applied import stamped
from nas_operator.resources.owner import owned_metadata

MANIFEST_FILE = "search.yaml"


def build_manifest(search: NASSearch) -> Object:
    """The ConfigMap. What the cluster keeps beside the manifest (status, most of the metadata) is left out."""
    document = without_defaults(search, exclude={"metadata", "status"}) | {
        "metadata": {
            "name": search.metadata.name,
            "namespace": search.metadata.namespace,
            "uid": search.metadata.uid,
        }
    }
    order = ("apiVersion", "kind", "metadata", "spec")
    return stamped(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": owned_metadata(search, manifest_name(search.metadata.name), "manifest"),
            "data": {MANIFEST_FILE: write_yaml({key: document[key] for key in order if key in document})},
        }
    )


def without_defaults(model: SpecModel, include: set[str] | None = None, exclude: set[str] | None = None) -> Object:
    """`model` as JSON, without the fields that have their default.

    A field that a new version of the operator knows is then not there until somebody uses it: a controller of the
    version before can read the manifest, and digests stay as they are.

    Args:
        model: of the manifest or a part of it.
        include: names of the only fields to take.
        exclude: names of fields to leave out.
    """
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=include, exclude=exclude)
