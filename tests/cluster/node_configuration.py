"""Configuration files of what runs on the node."""

import json
from pathlib import Path
from typing import Any

from tests.cluster.layout import Layout

PAUSE_IMAGE = "localhost/pause:kubenas"


def containerd(layout: Layout, runc: Path, cni_plugins: Path) -> str:
    """config.toml of containerd."""
    directory = layout.directory
    return f"""\
version = 3
root = "{directory}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = "{layout.containerd_socket}"
[plugins.'io.containerd.snapshotter.v1.overlayfs']
  mount_options = ["volatile"]  # else the end of a container waits until all that the machine has to write is written
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true  # root may lack CAP_SYS_RESOURCE, and without it runc could start nothing
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{cni_plugins}"]
    conf_dir = "{layout.configuration}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
"""


def cni(bridge: str, pods: str, gateway: str) -> str:
    """The network of pods: a bridge, which has the node's address."""
    first, last = pods.rsplit(".", 2)[0] + ".1.1", pods.rsplit(".", 2)[0] + ".255.250"
    addresses = {"subnet": pods, "rangeStart": first, "rangeEnd": last, "gateway": gateway}
    plugin = {
        "type": "bridge",
        "bridge": bridge,
        "isGateway": True,
        "hairpinMode": True,  # a pod may reach itself through a service
        "ipam": {"type": "host-local", "ranges": [[addresses]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [plugin]})


def kubelet(layout: Layout, address: str, cgroup: str) -> str:
    """KubeletConfiguration."""
    return _yaml(
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
        {
            "address": address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{layout.pki}/kubelet.crt",
            "tlsPrivateKeyFile": f"{layout.pki}/kubelet.key",
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "failCgroupV1": False,  # a machine is taken as it is
            "failSwapOn": False,
            "clusterDNS": [address],
            "clusterDomain": "cluster.local",
            "resolvConf": f"{layout.configuration}/resolv.conf",
            "podLogsDir": "/var/log/pods",
            "volumePluginDir": f"{layout.directory}/kubelet/volume-plugins",
            "maxPods": 250,
            "serializeImagePulls": False,
            "nodeStatusUpdateFrequency": "5s",
            # Images are loaded once, and a machine that tests run on may be rather full.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        },
    )


def kube_proxy(layout: Layout, node: str, address: str, pods: str) -> str:
    """KubeProxyConfiguration."""
    return _yaml(
        "kubeproxy.config.k8s.io/v1alpha1",
        "KubeProxyConfiguration",
        {
            "mode": "nftables",
            "bindAddress": address,
            "clusterCIDR": pods,
            "hostnameOverride": node,
            "clientConnection": {"kubeconfig": f"{layout.kubeconfigs}/kube-proxy"},
            # Settings of the whole machine, which are left alone.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "nftables": {"minSyncPeriod": "100ms"},
        },
    )


def corefile(layout: Layout, address: str) -> str:
    """Corefile of CoreDNS: names of the cluster, and no others."""
    return f"""\
.:53 {{
    bind {address}
    errors
    cache 5
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {layout.kubeconfigs}/coredns
        ttl 5
    }}
}}
"""


def _yaml(api_version: str, kind: str, fields: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": api_version, "kind": kind, **fields}, indent=1)  # JSON is YAML
