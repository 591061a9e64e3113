"""What is generated from the chart and for it.

python tools/chart.py [--check] [--helm PROGRAM]

From the models: the CRDs as templates. From values.yaml: the table of values in the README. From the whole chart, by
`helm template`: manifests/install.yaml, the installation for those who do not use Helm.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from nas_api.manifest.document import write_yaml
from nas_operator.crd import naspool_crd, nassearch_crd

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "nas-operator"
INSTALL = ROOT / "manifests" / "install.yaml"
NAMESPACE = "kubenas-system"

_BEGIN = "<!-- values: generated from values.yaml by `make manifests` -->"
_END = "<!-- end of values -->"
_CRD_HEADER = """\
{{- /* Generated from the models in nas_api.spec by `make manifests`. Do not edit. */}}
{{- if .Values.crds.install }}
"""
_CRD_METADATA = """\
metadata:
  name: %s
  labels: {{- include "nas-operator.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""
_INSTALL_HEADER = f"""\
# The operator of KubeNAS in the namespace {NAMESPACE}, with its CRDs:
#
#   kubectl apply --server-side -f manifests/install.yaml
#
# Generated from helm/nas-operator by `make manifests`. Do not edit.
"""


def crd_templates() -> dict[Path, str]:
    """The CRDs as templates of the chart."""
    return {
        CHART / "templates" / "crds" / f"{crd['spec']['names']['plural']}.yaml": _crd_template(crd)
        for crd in (nassearch_crd(), naspool_crd())
    }


def _crd_template(crd: dict[str, Any]) -> str:
    text = write_yaml({key: value for key, value in crd.items() if key != "metadata"})
    if "{{" in text:
        raise ValueError("a description has {{ in it, which Helm would take for an action")
    first, second, rest = text.split("\n", 2)
    metadata = _CRD_METADATA % crd["metadata"]["name"]
    return f"{_CRD_HEADER}{first}\n{second}\n{metadata}{rest}{{{{- end }}}}\n"


def values() -> Iterator[tuple[str, Any, str]]:
    """Path, default and comment of each value. A mapping without a comment is a section of values.

    Raises:
        ValueError: a value that is no section has no comment.
    """
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return _values_in(root, "", yaml.safe_load(text), text.splitlines())


def _values_in(
    section: yaml.MappingNode, prefix: str, defaults: dict[str, Any], lines: list[str]
) -> Iterator[tuple[str, Any, str]]:
    for key, value in section.value:
        path, default = prefix + key.value, defaults[key.value]
        if comment := _comment_above(lines, key.start_mark.line):
            yield path, default, comment
        elif isinstance(value, yaml.MappingNode):
            yield from _values_in(value, f"{path}.", default, lines)
        else:
            raise ValueError(f"values.yaml:{key.start_mark.line + 1}: {path} has no comment above it")


def _comment_above(lines: list[str], line: int) -> str:
    above = reversed([text.strip() for text in lines[:line]])
    comment = list(takewhile(lambda text: text.startswith("#"), above))
    return " ".join(text.removeprefix("#").strip() for text in reversed(comment))


def readme() -> str:
    """The chart's README with the table of values."""
    text = (CHART / "README.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    rows = [f"| `{path}` | `{json.dumps(default)}` | {comment} |" for path, default, comment in values()]
    table = "\n".join(["| Value | Default | |", "|---|---|---|", *rows])
    return f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}"


def install_manifest(helm: str) -> str:
    """The installation as one file, without what only Helm has a use for.

    Args:
        helm: the program.
    """
    # The version of Kubernetes matters to nothing but Chart.yaml's kubeVersion.
    command = [helm, "template", "nas-operator", str(CHART), "--namespace", NAMESPACE, "--kube-version", "1.31.0"]
    rendered = subprocess.run(
        [*command, "--no-hooks", "--set", "crds.keep=false"], check=True, capture_output=True, text=True
    ).stdout
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    documents = [namespace, *filter(None, yaml.safe_load_all(rendered))]
    for document in documents:
        _forget_helm(document["metadata"])
        _forget_helm(document.get("spec", {}).get("template", {}).get("metadata", {}))
    return _INSTALL_HEADER + "---\n".join(write_yaml(document) for document in documents)


def _forget_helm(metadata: dict[str, Any]) -> None:
    for label in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
        metadata.get("labels", {}).pop(label, None)


def main() -> int:
    """Writes the files, or checks them.

    Returns:
        The exit status: 1 if a file is not as it should be, with `--check`.
    """
    parser = argparse.ArgumentParser(description="Generates what belongs to the chart, and the plain installation.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    parser.add_argument("--helm", default=os.environ.get("HELM", "helm"), help="the program, Helm 3 or 4")
    options = parser.parse_args()
    stale = _differing(crd_templates() | {CHART / "README.md": readme()}, options.check)
    if helm := shutil.which(options.helm):
        stale += _differing({INSTALL: install_manifest(helm)}, options.check)
    else:
        print(f"{options.helm} is not installed: {INSTALL.relative_to(ROOT)} is left as it is", file=sys.stderr)
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'is not up to date: make manifests' if options.check else 'written'}")
    return int(options.check and bool(stale))


def _differing(files: dict[Path, str], check: bool) -> list[Path]:
    """The files that differ from their text; they are written unless they are only checked."""
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in () if check else stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
