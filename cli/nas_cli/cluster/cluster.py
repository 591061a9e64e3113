"""`Cluster`: the API server, with the rights of its user and in words for them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from nas_api.spec.nassearch import API_VERSION
from nas_operator.kubernetes_api import ApiError, KubernetesApi

from nas_cli.cluster.kubeconfig import Access, ClusterOptions, load_access
from nas_cli.failure import BadInput, Failure

Object = dict[str, Any]

_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
# In the API server's words to who lacks a right.
_NO_RIGHT = " cannot "
_MANAGER = {"fieldManager": "kubectl-nas"}
_PAGE = "500"


class NotFound(BadInput):
    """There is no such object."""


class Forbidden(Failure):
    """The user may not."""


class Cluster:
    """What commands ask of a cluster.

    Attributes:
        access: where it is, and the namespace.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._api = KubernetesApi(access.configuration)

    @property
    def namespace(self) -> str:
        """That the command is about."""
        return self.access.namespace

    def path(self, resource: str, name: str = "", *, version: str = "v1", everywhere: bool = False) -> str:
        """Of an object, or of a list, in the namespace or (`everywhere`) of the whole cluster."""
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        where = "" if everywhere else f"/namespaces/{quote(self.namespace)}"
        return f"{root}{where}/{resource}" + (f"/{quote(name)}" if name else "")

    def search_path(self, name: str = "", *, everywhere: bool = False) -> str:
        """Of a search, or of all."""
        return self.path("nassearches", name, version=API_VERSION, everywhere=everywhere)

    def get(self, path: str, what: str) -> Object:
        """An object.

        Args:
            path: of it.
            what: it is, in words.

        Raises:
            NotFound: there is none.
            Forbidden: the user may not read it.
            Failure: the API server does not answer.
        """
        with self._in_words(f"get {what}"):
            found: Object = json.loads(self._api.send("get", "GET", path))
            return found

    def items(self, path: str, what: str, query: Mapping[str, str] | None = None) -> list[Object]:
        """The objects of a list. Raises as `get` does."""
        found: list[Object] = []
        wanted = {"limit": _PAGE, **(query or {})}
        while True:
            with self._in_words(f"list {what}"):
                page = json.loads(self._api.send("list", "GET", path, wanted))
            kind = page["kind"].removesuffix("List")
            found += ({"apiVersion": page["apiVersion"], "kind": kind} | item for item in page["items"])
            wanted["continue"] = page["metadata"].get("continue", "")
            if not wanted["continue"]:
                return found

    def text(self, path: str, what: str, query: Mapping[str, str]) -> str:
        """What is no JSON, such as a log. Raises as `get` does."""
        with self._in_words(f"get {what}"):
            return self._api.send("get", "GET", path, query).decode(errors="replace")

    def patch(self, path: str, what: str, patch: Object) -> Object:
        """JSON merge patch (RFC 7386). Raises as `get` does."""
        with self._in_words(f"change {what}"):
            changed: Object = json.loads(self._api.send("patch", "PATCH", path, _MANAGER, patch, _MERGE))
            return changed

    def create(self, path: str, what: str, body: Object, query: Mapping[str, str] | None = None) -> Object:
        """Makes an object. Raises as `get` does."""
        with self._in_words(f"create {what}"):
            made: Object = json.loads(self._api.send("create", "POST", path, {**_MANAGER, **(query or {})}, body))
            return made

    def dry_run(self, path: str, what: str, body: Object, *, name: str = "") -> str | None:
        """What the API server has against an object, which it does not keep. None: nothing.

        Args:
            path: of the list that it would be in.
            what: it is, in words.
            body: the object.
            name: of the object that it would change. Empty: it would be a new one.

        Raises:
            Forbidden: the user may not make such an object.
            Failure: the API server does not answer.
        """
        query = {**_MANAGER, "dryRun": "All", "fieldValidation": "Strict"}
        try:
            if name:
                self._api.send("patch", "PATCH", f"{path}/{quote(name)}", {**query, "force": "true"}, body, _APPLY)
            else:
                self._api.send("create", "POST", path, query, body)
        except ApiError as error:
            # Admission refuses with 403 too, but for other reasons than who asks.
            if error.status in (0, 401) or (error.status == 403 and _NO_RIGHT in error.message):
                raise self._words(f"create {what}", error) from error
            return error.message
        return None

    def close(self) -> None:
        """Closes the connections."""
        self._api.close()

    @contextmanager
    def _in_words(self, doing: str) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            raise self._words(doing, error) from error

    def _words(self, doing: str, error: ApiError) -> Failure:
        server = f"the cluster at {self.access.configuration.host} (context {self.access.context})"
        match error.status:
            case 0:
                return Failure(
                    f"cannot reach {server}: {_cause(error)}. Is it up, and is this the right context? `kubectl config "
                    "get-contexts` lists them"
                )
            case 401:
                return Failure(f"{server} does not know who you are: the credentials in the kubeconfig are not valid")
            case 403:
                return Forbidden(
                    f"you may not {doing} in {server}: {error.message}. The role edit in the namespace allows all that "
                    "this program does with a search, the role view what its status tells"
                )
            case 404:
                return NotFound(f"cannot {doing} in {server}: {error.message}")
            case _:
                return Failure(f"cannot {doing} in {server}: {error.message}")


def _cause(error: ApiError) -> str:
    """The innermost reason, without the names of Python objects around it."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return getattr(cause, "strerror", None) or str(cause)


@contextmanager
def open_cluster(options: ClusterOptions) -> Iterator[Cluster]:
    """The cluster that the command line and the kubeconfig name.

    Raises:
        BadInput: they name none.
    """
    cluster = Cluster(load_access(options))
    try:
        yield cluster
    finally:
        cluster.close()
