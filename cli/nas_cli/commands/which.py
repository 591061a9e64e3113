"""The arguments that name a search, or a cluster, given to every command that takes one."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from nas_cli.cluster.kubeconfig import ClusterOptions
from nas_cli.commands.options import State
from nas_cli.completion import complete_search
from nas_cli.which_search import KUBECTL, WhichSearch

Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAMESPACE", help="Of the cluster. Default: the context's.", show_default=False
    ),
]
Context = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="Of the kubeconfig. Default: the current one.", show_default=False),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, or ~/.kube/config.", show_default=False),
]
SearchName = Annotated[
    str | None,
    typer.Argument(
        metavar="SEARCH",
        help="Name of a search in the cluster. Default with [bold]kubectl nas[/]: the only one in the namespace.",
        show_default=False,
        autocompletion=complete_search,
    ),
]

_OF_CLUSTER: dict[str, Any] = {"namespace": Namespace, "context": Context, "kubeconfig": Kubeconfig}
_OF_SEARCH: dict[str, Any] = {"search": SearchName, "state": State, **_OF_CLUSTER, "called": typer.Context}


def takes_search(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has a parameter `which: WhichSearch`, for Typer: with the arguments that say which."""

    def which(given: dict[str, Any]) -> WhichSearch:
        return WhichSearch(given["search"], given["state"], _options(given), called_by_kubectl(given["called"]))

    return _with_arguments(command, "which", _OF_SEARCH, which)


def takes_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has a parameter `cluster: ClusterOptions`, for Typer: with the options that say which."""
    return _with_arguments(command, "cluster", _OF_CLUSTER, _options)


def called_by_kubectl(called: typer.Context) -> bool:
    """Whether the program is called as a plugin of kubectl."""
    return called.find_root().info_name == KUBECTL


def _options(given: dict[str, Any]) -> ClusterOptions:
    return ClusterOptions(given["namespace"], given["context"], given["kubeconfig"])


def _with_arguments(
    command: Callable[..., None], replaced: str, arguments: dict[str, Any], gather: Callable[[dict[str, Any]], Any]
) -> Callable[..., None]:
    """`command` with `arguments` in the place of one parameter, whose value is what `gather` makes of theirs."""

    @functools.wraps(command)
    def called(**given: Any) -> None:
        gathered = gather({name: given.pop(name) for name in arguments})
        command(**given, **{replaced: gathered})

    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == replaced:
            del hints[replaced]
            for name, annotation in arguments.items():
                hints[name] = annotation
                parameters.append(
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
                )
        else:
            annotation = hints[parameter.name]
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # as inspect looks for it
    called.__annotations__ = hints
    return called
