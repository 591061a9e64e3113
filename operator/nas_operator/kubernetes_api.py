"""`KubernetesApi`: the API server, spoken to in plain JSON. Calls block; threads may share it."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from nas_api.spec.nassearch import API_VERSION

from nas_operator.names import FIELD_MANAGER
from nas_operator.observed import Object

# Seconds to connect, and to wait for an answer.
_TIMEOUT = (5.0, 30.0)
# Objects of a page of a list: what a large list costs in memory at once.
_PAGE = 500

# API version and plural of each kind that the operator deals with.
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "NASSearch": (API_VERSION, "nassearches"),
    "NASPool": (API_VERSION, "naspools"),
    "Job": ("batch/v1", "jobs"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "ConfigMap": ("v1", "configmaps"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Pod": ("v1", "pods"),
    "Event": ("v1", "events"),
}
_EVENTS = "events.k8s.io/v1"


@dataclass(frozen=True)
class ApiError(Exception):
    """The API server refused a call, or could not be asked.

    Attributes:
        status: of HTTP; 0 when there was no answer.
        reason: the API server's CamelCase word, such as `AlreadyExists`.
        message: the API server's words.
        causes: reasons of the details, such as `NamespaceTerminating`.
    """

    status: int
    reason: str
    message: str
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.message


class NotConfiguredError(Exception):
    """It is not known where the API server is, or how to speak to it."""


def load_configuration(connections: int) -> Configuration:
    """Where the API server is and who we are: a pod's service account, else the kubeconfig.

    Args:
        connections: kept open, at most.

    Raises:
        NotConfiguredError: there is neither.
    """
    configuration: Any = Configuration()
    configuration.connection_pool_maxsize = connections
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException as not_in_a_pod:
        try:
            load_kube_config(client_configuration=configuration)
        except (ConfigException, OSError) as error:
            raise NotConfiguredError(
                f"this is not a pod ({not_in_a_pod}), and there is no usable kubeconfig ({error}): "
                "set KUBECONFIG to one"
            ) from error
    loaded: Configuration = configuration
    return loaded


class KubernetesApi:
    """The calls that the operator makes.

    Attributes:
        requests: how many calls were made, by verb of Kubernetes (get, list, create, patch, delete).
    """

    def __init__(self, configuration: Configuration) -> None:
        """Connects at the first call, to where `configuration` says."""
        # Of the client only what it is generated with is used, which its type stubs leave out.
        self._client: Any = ApiClient(configuration)
        self._lock = threading.Lock()
        self.requests: Counter[str] = Counter()

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None if there is none.

        Raises:
            ApiError: the API server does not say.
        """
        try:
            return self._call("get", "GET", _path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(
        self, kind: str, namespace: str | None, label_selector: str = "", field_selector: str = ""
    ) -> tuple[list[Object], int]:
        """All objects of a kind, in a namespace or (None) in the cluster, as they are now.

        Returns:
            the objects, and the version of the list.

        Raises:
            ApiError: the API server does not say.
        """
        items: list[Object] = []
        version = 0
        query = {"limit": str(_PAGE), "labelSelector": label_selector, "fieldSelector": field_selector}
        while True:
            page = self._call("list", "GET", _path(kind, namespace), {k: v for k, v in query.items() if v})
            # The objects of a list lack these, which each of them has when it is got alone.
            common = {"apiVersion": page["apiVersion"], "kind": kind}
            for item in page["items"]:
                item["metadata"].pop("managedFields", None)
                items.append(common | item)
            version = int(page["metadata"]["resourceVersion"])
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return items, version

    def apply(self, manifest: Object, subresource: str = "") -> Object:
        """Server-side apply (KEP-555) by force, as `FIELD_MANAGER`.

        Args:
            manifest: with kind, apiVersion, and name and namespace in its metadata.
            subresource: such as `status`.

        Raises:
            ApiError: 409 when `metadata.resourceVersion` is given and the object has changed since.
        """
        metadata = manifest["metadata"]
        path = _path(manifest["kind"], metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return self._call("patch", "PATCH", path, query, manifest, "application/apply-patch+yaml")

    def create(self, manifest: Object) -> Object:
        """Makes an object.

        Raises:
            ApiError: 409 with reason `AlreadyExists` when there is one of that name.
        """
        path = _path(manifest["kind"], manifest["metadata"]["namespace"])
        return self._call("create", "POST", path, {"fieldManager": FIELD_MANAGER}, manifest)

    def merge(self, kind: str, namespace: str, name: str, patch: Object) -> Object:
        """JSON merge patch (RFC 7386) of an existing object.

        Raises:
            ApiError: 404 when there is none.
        """
        query = {"fieldManager": FIELD_MANAGER}
        path = _path(kind, namespace, name)
        return self._call("patch", "PATCH", path, query, patch, "application/merge-patch+json")

    def delete(self, kind: str, namespace: str, name: str, uid: str) -> Object:
        """Deletes the object of this uid, and in the background what it owns.

        Returns:
            the object if it takes time (finalizers), else a Status.

        Raises:
            ApiError: 404 when there is none of that name, 409 when it has another uid.
        """
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        return self._call("delete", "DELETE", _path(kind, namespace, name), body=options)

    def create_event(self, event: Object) -> Object:
        """Makes an Event (events.k8s.io/v1).

        Raises:
            ApiError: 409 with reason `AlreadyExists` when there is one of that name.
        """
        return self._call("create", "POST", _event_path(event["metadata"]["namespace"]), body=event)

    def count_event(self, namespace: str, name: str, series: Object) -> Object:
        """Says of an Event (events.k8s.io/v1) how often it was repeated.

        Raises:
            ApiError: 404 when there is none (any more).
        """
        path = _event_path(namespace, name)
        return self._call("patch", "PATCH", path, body={"series": series}, content_type="application/merge-patch+json")

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._client.close()

    def send(
        self,
        verb: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Any call at all.

        Args:
            verb: of Kubernetes, to be counted.
            method: of HTTP.
            path: on the API server.
            query: after it.
            body: sent as JSON.
            content_type: of the body.

        Returns:
            the body of the answer.

        Raises:
            ApiError: the API server does not do it.
        """
        with self._lock:
            self.requests[verb] += 1
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if body is not None else {})
        request = self._client.param_serialize(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            header_params=headers,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._client.rest_client.request(
                request[0], request[1], headers=request[2], body=body, _request_timeout=_TIMEOUT
            )
            answer: bytes = response.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(0, "NoAnswer", f"no answer from the API server: {error}") from error
        if not 200 <= response.status <= 299:
            raise _error(response.status, answer)
        return answer

    def _call(
        self,
        verb: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        parsed: Object = json.loads(self.send(verb, method, path, query, body, content_type))
        return parsed


def _path(kind: str, namespace: str | None, name: str = "", subresource: str = "") -> str:
    version, plural = _KINDS[kind]
    return _join(version, namespace, plural, name, subresource)


def _event_path(namespace: str, name: str = "") -> str:
    return _join(_EVENTS, namespace, "events", name)


def _join(version: str, namespace: str | None, *rest: str) -> str:
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    where = f"/namespaces/{quote(namespace)}" if namespace is not None else ""
    return "/".join([root + where, *(quote(part) for part in rest if part)])


def _error(status: int, content: bytes) -> ApiError:
    try:
        answer = json.loads(content)
        causes = (answer.get("details") or {}).get("causes") or ()
        return ApiError(
            status,
            answer.get("reason") or str(status),
            answer.get("message") or f"the API server answered {status}",
            tuple(cause.get("reason", "") for cause in causes),
        )
    except (ValueError, AttributeError):
        return ApiError(
            status, str(status), f"the API server answered {status}: {content[:200].decode(errors='replace')}"
        )
