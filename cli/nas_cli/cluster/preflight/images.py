"""Images: their names, whether nodes have them, and the Secrets to pull them with. Nothing is pulled."""

import re
from collections.abc import Mapping, Sequence

from nas_cli import wording
from nas_cli.cluster.cluster import Object
from nas_cli.cluster.preflight.check import Check, Unread, failed, ok, unknown, warning
from nas_cli.cluster.preflight.demand import Demand, Part
from nas_cli.cluster.preflight.nodes import Node, is_at_work, not_tolerated, selects

# As container runtimes read it: https://github.com/distribution/reference/blob/main/regexp.go
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?P<tag>:[\w][\w.-]{{0,127}})?(?P<digest>@sha256:[0-9a-f]{{64}})?"
)
_OF_DOCKER = "docker.io/"


def check_images(demand: Demand, nodes: Sequence[Object] | Unread, pull_policy: str) -> list[Check]:
    """Each image that the manifest names or the operator adds: whether its name can be one, and which nodes have it.

    Args:
        demand: of the search.
        nodes: v1 Node. Of the images on a node it lists the fifty largest.
        pull_policy: of the pods.
    """
    parts: dict[str, list[Part]] = {}
    for part in demand.parts:
        parts.setdefault(part.image, []).append(part)
    return [_check(image, of_it, nodes, pull_policy) for image, of_it in parts.items()]


def _check(image: str, parts: Sequence[Part], nodes: Sequence[Object] | Unread, pull_policy: str) -> Check:
    pools = [part.pool.name for part in parts if part.pool is not None]
    of_pools = f"the pool{'s' if len(pools) > 1 else ''} {', '.join(pools)}" if pools else ""
    controller = "the controller" if any(part.pool is None for part in parts) else ""
    name = f"image of {' and '.join(filter(None, [controller, of_pools]))}"
    fields = " and ".join(part.image_field for part in parts)
    if not image:
        return warning(
            name, "the manifest names none, and those of the operator cannot be read", "Ask its administrator."
        )
    reference = _REFERENCE.fullmatch(image)
    if reference is None:
        return failed(name, f"{image} is no name of an image", f"Correct {fields}.")
    where = _where(parts, image, nodes)
    message = f"{image}: {where}" if where else image
    if pull_policy == "Never" and where.startswith("no node"):
        return warning(name, message, "The operator pulls none (images.pullPolicy Never): load it into the nodes.")
    moves = reference["digest"] is None and (reference["tag"] or ":latest") == ":latest"
    if moves and pull_policy == "IfNotPresent":
        return warning(
            name, f"{message}; nodes that have a `latest` keep theirs, so that workers can differ", "Name a version."
        )
    return ok(name, message)


def check_pull_secrets(account: Object | Unread | None, secrets: Mapping[str, Object | Unread | None]) -> Check:
    """Whether the Secrets are there that the namespace's default ServiceAccount pulls images with.

    Args:
        account: v1 ServiceAccount `default`.
        secrets: v1 Secret by name, those that it names.
    """
    name = "pull secrets"
    if isinstance(account, Unread):
        return unknown(name, account)
    if account is None:
        return failed(name, "the namespace has no ServiceAccount default", "Make it: pods are made with it.")
    named = [secret["name"] for secret in account.get("imagePullSecrets") or ()]
    if not named:
        return ok(name, "the ServiceAccount default names none: images must be public, or on the nodes")
    missing = [secret for secret in named if secrets.get(secret) is None]
    if missing:
        return failed(
            name, f"the ServiceAccount default names {', '.join(missing)}, which is not there", "Make the Secret."
        )
    for secret in named:
        if isinstance(unread := secrets[secret], Unread):
            return unknown(name, unread)
    return ok(name, f"the ServiceAccount default names {', '.join(named)}")


def _where(parts: Sequence[Part], image: str, nodes: Sequence[Object] | Unread) -> str:
    if isinstance(nodes, Unread):
        return ""
    fit = [node for node in nodes if is_at_work(node) and any(_may_go(part, node) for part in parts)]
    if not fit:
        return ""
    have = sum(_has(node, image) for node in fit)
    of_nodes = f"{wording.number(len(fit), 'node')} that it can go to"
    return f"{have} of {of_nodes} have it" if have else f"no node has it of {of_nodes}, so it will be pulled"


def _may_go(part: Part, node: Object) -> bool:
    seen = Node.of(node)
    return selects(part.pod, seen) and not not_tolerated(part.pod, seen)


def _has(node: Object, image: str) -> bool:
    names = {name for each in (node.get("status") or {}).get("images") or () for name in each.get("names") or ()}
    return bool(names & _spellings(image))


def _spellings(image: str) -> set[str]:
    """How a node may write the name, which it writes in full."""
    first, slash, _ = image.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    full = {image} if has_host else {image, f"{_OF_DOCKER}{image}", f"{_OF_DOCKER}library/{image}"}
    last = image.rsplit("/", 1)[-1]
    return full if ":" in last or "@" in last else {f"{name}:latest" for name in full}
