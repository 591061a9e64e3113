"""What `helm test` runs: are the custom resources served, and does the operator run?"""

import json
import os
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXPECTED = {"nassearches", "nassearches/status", "naspools", "naspools/status", "naspools/scale"}
PATIENCE_SECONDS = 90


def get(path: str) -> Any:
    """The API server's answer to a GET, as JSON."""
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    host = f"[{host}]" if ":" in host else host
    request = urllib.request.Request(
        f"https://{host}:{os.environ['KUBERNETES_SERVICE_PORT']}{path}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Accept": "application/json"},
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:  # noqa: S310 # https
        return json.load(answer)


def problem(namespace: str, deployment: str) -> str:
    """What is wrong with the installation. Empty: nothing."""
    try:
        served = {resource["name"] for resource in get("/apis/kubenas.dev/v1alpha1")["resources"]}
    except OSError as error:  # an HTTPError is one, and so is an API server that does not answer
        return f"the API server does not serve kubenas.dev/v1alpha1 ({error}): install the CRDs, see crds.install"
    if missing := EXPECTED - served:
        return f"the API server does not serve {', '.join(sorted(missing))}: the CRDs are of another version"
    try:
        found = get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
    except OSError as error:
        return f"deployment/{deployment} cannot be read: {error}"
    status = found.get("status", {})
    if status.get("observedGeneration") != found["metadata"]["generation"] or not status.get("updatedReplicas"):
        return f"the newest operator of deployment/{deployment} has not been started"
    if not status.get("readyReplicas"):
        return f"the operator is not ready: see kubectl -n {namespace} logs deployment/{deployment}"
    return ""


def main(namespace: str, deployment: str) -> int:
    """Waits until nothing is wrong, and says what is wrong if that does not come to pass."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while found := problem(namespace, deployment):
        if time.monotonic() > deadline:
            print(f"error: {found}")
            return 1
        time.sleep(1)
    print("ok: NASSearch and NASPool are served, the operator is ready")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
