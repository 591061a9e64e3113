"""What keeps a pod from working: the kubelet's, the scheduler's and its own words, and what to do about it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nas_operator.observed import Object
from nas_operator.planning.diagnosis.problem import Problem, last_words, sentence
from nas_operator.planning.diagnosis.waiting import unscheduled_because
from nas_operator.planning.objects import is_deleting, is_lost, name_of, status_of

# EX_CONFIG of sysexits.h: how controllers and workers end that cannot work as they are configured.
_UNUSABLE = 78


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a search that runs as pods, in the words of its problems.

    Attributes:
        name: `Worker` or `Controller`, which its reasons begin with.
        image_fields: of the manifest, that name its image.
        resources_field: of the manifest, that says what its pods take.
        resources: what they take.
    """

    name: str
    image_fields: str
    resources_field: str
    resources: dict[str, str]


# What a container waits for, by the reasons that the kubelet gives.
_IMAGE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
}
_CONFIGURATION = {"CreateContainerConfigError"}
_START = {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun", "PreCreateHookError"}
_STARTING = {"ContainerCreating", "PodInitializing"}
# Why a container is not made, by the reasons of the kubelet's events.
_VOLUME = {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}
_SANDBOX = {"FailedCreatePodSandBox"}

_QUOTA = "exceeded quota"
_CLAIM_MISSING = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_CLAIM_UNBOUND = "unbound immediate PersistentVolumeClaims"


def pod_problem(pods: Sequence[Object], warnings: Iterable[Object], part: Part, now: datetime) -> Problem | None:
    """What keeps a pod from working, if that can be told.

    Args:
        pods: the pod and those that it replaces, the oldest first.
        warnings: Events about them and what makes them, the newest last.
        part: what they run.
        now: UTC.
    """
    newest = pods[-1] if pods else None
    if newest is None:
        return refused_pod(warnings, part)
    about_it = [warning for warning in warnings if _is_about(warning, newest)]
    return (
        (lost_pod(newest) if is_lost(newest, now) else None)
        or _unscheduled(newest, part)
        or _not_started(newest, about_it, part)
        or next(filter(None, (_ended(pod, part) for pod in reversed(pods))), None)
    )


def lost_pod(pod: Object) -> Problem:
    """What a pod means that is to be gone and stays, see `is_lost`."""
    node, namespace = (pod.get("spec") or {}).get("nodeName") or "", pod["metadata"].get("namespace") or "NAMESPACE"
    return Problem(
        "NodeLost",
        f"The node {node} does not say that the pod {name_of(pod)} has stopped: it is lost, or cut off. If it does not "
        f"come back, delete it (`kubectl delete node {node or 'NODE'}`), or, when the pod cannot be running any more, "
        f"`kubectl delete pod {name_of(pod)} --namespace {namespace} --grace-period=0 --force`.",
    )


def refused_pod(warnings: Iterable[Object], part: Part) -> Problem | None:
    """Why the API server lets a Job or StatefulSet make no pod, from its newest warning about that."""
    for warning in reversed([*warnings]):
        if warning.get("reason") == "FailedCreate":
            return refusal_problem("PodRefused", str(warning.get("message") or ""), part.resources_field)
    return None


def refusal_problem(reason: str, message: str, resources_field: str) -> Problem:
    """What the API server's refusal to make an object means. It is called `reason`, unless it is a quota's."""
    if _QUOTA in message:
        return Problem(
            "QuotaExceeded",
            f"{sentence(message)} Raise the namespace's ResourceQuota, or lower {resources_field} or the replicas of "
            "pools.",
        )
    if "violates PodSecurity" in message:
        return Problem(
            reason,
            f"{sentence(message)} Pods of searches keep the 'restricted' Pod Security Standard: something in the "
            "cluster changes them, or its version of the standard is another.",
        )
    return Problem(reason, f"The API server refuses to make it: {message}")


def _unscheduled(pod: Object, part: Part) -> Problem | None:
    found = unscheduled_because(pod)
    if found is None:
        return None
    reason, words = found
    if reason == "SchedulingGated":
        return Problem("Queued", "Waits for its queue to admit it.")
    if missing := _CLAIM_MISSING.search(words):
        return Problem(
            "VolumeClaimNotFound",
            f"There is no PersistentVolumeClaim {missing[1]} in the namespace. Make it, or correct "
            "spec.trainer.volumes[].claimName.",
        )
    if _CLAIM_UNBOUND in words:
        return Problem(
            "VolumeClaimUnbound",
            f"{sentence(words)} The claim waits for a volume: see `kubectl describe pvc`. The storage class may not "
            f"exist{' (spec.controller.storage.storageClassName)' if part.name == 'Controller' else ''}, or have no "
            "provisioner.",
        )
    return Problem(
        "Unschedulable",
        f"{sentence(words or 'No node takes the pod')} It asks for {_request(part)} ({part.resources_field}): "
        "wait for room, add nodes, or correct resources, nodeSelector or tolerations.",
    )


def _not_started(pod: Object, warnings: Sequence[Object], part: Part) -> Problem | None:
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, words = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
        if reason in _IMAGE:
            error = sentence(_pull_error(words, warnings) or reason)
            return Problem(
                "ImagePullFailed",
                f"The image {container.get('image')} cannot be pulled: {error} "
                f"Correct {part.image_fields}, or give the namespace's default ServiceAccount imagePullSecrets for it.",
            )
        if reason in _CONFIGURATION:
            return Problem(
                f"{part.name}ContainerInvalid",
                f"The container cannot be made: {sentence(words)} A Secret of that name is asked for by "
                "spec.trainer.environmentSecret."
                if "secret" in words
                else f"The container cannot be made: {words}",
            )
        if reason in _START:
            return Problem(
                f"{part.name}NotStarted",
                f"The container does not start: {sentence(words or reason)} {part.image_fields} must name an image "
                "that has KubeNAS installed.",
            )
        if reason in _STARTING:
            for warning in reversed(warnings):
                if warning.get("reason") in _VOLUME:
                    return Problem("VolumeNotMounted", f"A volume cannot be mounted: {warning.get('message')}")
                if warning.get("reason") in _SANDBOX:
                    return Problem("PodNotStarted", f"The node cannot start the pod: {warning.get('message')}")
    return None


def _ended(pod: Object, part: Part) -> Problem | None:
    """Why its container has ended, the last time that it did. What a node's end did to it is no problem of its own."""
    disrupted = any(
        condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"
        for condition in status_of(pod).get("conditions") or ()
    )
    if disrupted or is_deleting(pod):
        return None
    for container in _containers(pod):
        # What a container that works now had before is no present trouble.
        times = ("state",) if container.get("ready") else ("state", "lastState")
        ended: dict[str, Any] = next(
            filter(None, ((container.get(when) or {}).get("terminated") for when in times)), {}
        )
        code, words = ended.get("exitCode"), last_words(str(ended.get("message") or ""))
        if ended.get("reason") == "OOMKilled":
            memory = part.resources.get("memory", "the node")
            return Problem(
                f"{part.name}OutOfMemory",
                f"Was killed for taking more than its memory of {memory} (OOMKilled). "
                f"Raise memory in {part.resources_field}.",
            )
        if code == _UNUSABLE:
            return Problem(f"{part.name}ConfigurationInvalid", words or "The container ended with status 78.")
        if code:
            return Problem(
                f"{part.name}Crashed",
                f"Ended with status {code}: {sentence(words or str(ended.get('reason') or 'it said nothing'))} "
                f"See `kubectl logs {name_of(pod)}`.",
            )
    if status_of(pod).get("phase") == "Failed" and status_of(pod).get("reason"):
        return Problem(f"{part.name}Failed", f"{status_of(pod).get('reason')}: {status_of(pod).get('message') or ''}")
    return None


def _pull_error(words: str, warnings: Sequence[Object]) -> str:
    """The kubelet's words, from the event if the container's state has only 'Back-off pulling image' left."""
    if words and not words.startswith("Back-off"):
        return words
    for warning in reversed(warnings):
        message = str(warning.get("message") or "")
        if warning.get("reason") == "Failed" and "pull" in message:
            return message
    return words


def _containers(pod: Object) -> Iterator[Object]:
    yield from status_of(pod).get("initContainerStatuses") or ()
    yield from status_of(pod).get("containerStatuses") or ()


def _is_about(warning: Object, pod: Object) -> bool:
    about = warning.get("involvedObject") or {}
    return about.get("kind") == "Pod" and about.get("name") == name_of(pod)


def _request(part: Part) -> str:
    return ", ".join(f"{name}: {amount}" for name, amount in part.resources.items()) or "nothing"
