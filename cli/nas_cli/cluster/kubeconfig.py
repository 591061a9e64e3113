"""Where the cluster is and who asks: the user's kubeconfig, or in a pod its service account."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_cli.failure import BadInput

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT_FILE = Path("~/.kube/config")


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What a command line says of the cluster. None: as the kubeconfig has it."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None

    @property
    def given(self) -> bool:
        """Whether it says anything."""
        return self != ClusterOptions()


@dataclass(frozen=True, slots=True)
class Access:
    """How to speak to an API server.

    Attributes:
        configuration: a `kubernetes.client.Configuration`.
        namespace: that the command is about.
        context: of the kubeconfig, or what stands for it.
    """

    configuration: Any
    namespace: str
    context: str


def load_access(options: ClusterOptions) -> Access:
    """What the kubeconfig says.

    Raises:
        BadInput: there is none, it has no such context, or cannot be used.
    """
    import yaml
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, list_kube_config_contexts, load_incluster_config, load_kube_config

    configuration: Any = Configuration()
    configuration.retries = False  # whoever waits would rather hear of it
    file = _file(options)
    if file is None:
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            raise BadInput(
                f"there is no kubeconfig to say where the cluster is: neither {_DEFAULT_FILE} nor KUBECONFIG nor "
                "--kubeconfig names a file that exists"
            ) from None
        namespace = (_SERVICE_ACCOUNT / "namespace").read_text().strip()
        return Access(configuration, options.namespace or namespace, "of this pod")
    named = f"the kubeconfig {file}"
    try:
        contexts, active = list_kube_config_contexts(file)
        by_name = {context["name"]: context["context"] or {} for context in contexts}
        name = options.context or active["name"]
        if name not in by_name:
            raise BadInput(f"{named} has no context {name}; it has {', '.join(sorted(by_name)) or 'none'}")
        load_kube_config(file, context=name, client_configuration=configuration)
    except (ConfigException, OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise BadInput(f"{named} cannot be used: {error}") from error
    return Access(configuration, options.namespace or by_name[name].get("namespace") or "default", name)


def _file(options: ClusterOptions) -> str | None:
    """The kubeconfig, or several as KUBECONFIG lists them. None: there is none.

    Raises:
        BadInput: --kubeconfig names a file that does not exist.
    """
    if options.kubeconfig is not None:
        if not options.kubeconfig.is_file():
            raise BadInput(f"--kubeconfig {options.kubeconfig}: there is no such file")
        return str(options.kubeconfig)
    listed = os.environ.get("KUBECONFIG") or str(_DEFAULT_FILE)
    found = [each for each in listed.split(os.pathsep) if each and Path(each).expanduser().is_file()]
    return os.pathsep.join(str(Path(each).expanduser()) for each in found) or None
