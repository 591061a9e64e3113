"""What the user may do in the namespace, of what commands and a search need."""

from collections.abc import Mapping
from dataclasses import dataclass

from nas_api.spec.nassearch import API_GROUP

from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.check import Check, failed, ok, warning


@dataclass(frozen=True, slots=True)
class Right:
    """Something that Kubernetes lets a user do or not.

    Attributes:
        verb: of Kubernetes.
        group: of the API.
        resource: plural.
        subresource: of it. Empty: none.
        what_for: in words.
    """

    verb: str
    group: str
    resource: str
    subresource: str
    what_for: str

    def review(self, namespace: str) -> Object:
        """authorization.k8s.io/v1 SelfSubjectAccessReview that asks for it."""
        attributes = {"namespace": namespace, "verb": self.verb, "group": self.group, "resource": self.resource}
        if self.subresource:
            attributes["subresource"] = self.subresource
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {resource}"


APPLY = Right("create", API_GROUP, "nassearches", "", "make a search")
RIGHTS = (
    APPLY,
    Right("patch", API_GROUP, "nassearches", "", "change, pause and resume it"),
    Right("delete", API_GROUP, "nassearches", "", "end it"),
    Right("patch", API_GROUP, "naspools", "scale", "scale its pools"),
    Right("get", "", "secrets", "", "ask its controller"),
    Right("get", "", "pods", "", "ask its controller"),
    Right("create", "", "pods", "portforward", "ask its controller"),
    Right("get", "", "pods", "log", "read logs of trials"),
)


def check_rights(allowed: Mapping[Right, bool], namespace: str) -> Check:
    """Whether the user may make the search, and use it."""
    name = "your rights"
    role = f"Ask for the role edit in the namespace {namespace}."
    if not allowed[APPLY]:
        return failed(name, f"you may not make a search ({APPLY})", role)
    lacking: dict[str, list[str]] = {}
    for right, may in allowed.items():
        if not may:
            lacking.setdefault(right.what_for, []).append(str(right))
    if lacking:
        words = "; ".join(f"not {what_for} ({', '.join(rights)})" for what_for, rights in lacking.items())
        return warning(name, f"you may make a search, but {words}", role)
    return ok(name, "you may make, change, end and scale a search, and ask its controller")
