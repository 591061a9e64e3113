"""Manifests as files: reading one with good errors, writing it, and comparing two."""

from nas_api.manifest.comparison import immutable_differences
from nas_api.manifest.loading import dump_manifest, load_manifest
from nas_api.manifest.problems import ManifestError, Problem

__all__ = ["load_manifest", "dump_manifest", "immutable_differences", "ManifestError", "Problem"]
