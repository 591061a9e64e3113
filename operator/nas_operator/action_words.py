"""Actions in words, for the log."""

from collections.abc import Iterable

from nas_api.rpc import trials_pb2 as pb

from nas_operator.actions import (
    Action,
    Annotate,
    Apply,
    Create,
    CreateAuthority,
    Delete,
    DrainWorkers,
    Emit,
    IssueCertificate,
    SetOwners,
    SetState,
    WriteStatus,
)


def describe(action: Action) -> str:
    """One action."""
    verb, noun = _words(action)
    return f"{verb} {noun}"


def describe_all(actions: Iterable[Action]) -> list[str]:
    """Many actions, equal ones together, in the order of the first of each."""
    nouns: dict[str, list[str]] = {}
    for action in actions:
        verb, noun = _words(action)
        nouns.setdefault(verb, []).append(noun)
    return [
        f"{verb} {', '.join(dict.fromkeys(of))}" if len(set(of)) <= 3 else f"{verb} {of[0]} ... {of[-1]} ({len(of)})"
        for verb, of in nouns.items()
    ]


def _words(action: Action) -> tuple[str, str]:
    match action:
        case Apply(manifest):
            return f"apply {manifest['kind']}", manifest["metadata"]["name"]
        case Create(manifest):
            return f"create {manifest['kind']}", manifest["metadata"]["name"]
        case Annotate(kind, name):
            return f"annotate {kind}", name
        case SetOwners(kind, name):
            return f"set the owners of {kind}", name
        case Delete(kind, name):
            return f"delete {kind}", name
        case CreateAuthority(secret):
            return "make a certificate authority in Secret", secret
        case IssueCertificate(secret):
            return "issue a certificate in Secret", secret
        case DrainWorkers(workers):
            return "ask to go", f"{len(workers)} workers" if len(workers) > 3 else ", ".join(workers)
        case SetState(state):
            return "set the state of the search to", pb.Summary.State.Name(state)
        case WriteStatus(kind, name):
            return f"write the status of {kind}", name
        case Emit(_, reason):
            return "tell of", reason
