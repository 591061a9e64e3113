"""An image for pods of tests: a shell, and something that uses the network."""

import subprocess
import tempfile
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.images import write_image
from tests.cluster.programs import obtain_programs

NAME = "localhost/kubenas-test-tools:1"  # not "latest", which kubelets would try to pull


def load_test_tools(cluster: Cluster) -> str:
    """Brings the image to the nodes, and returns its name.

    It has `/bin/busybox`, of Debian's busybox-static, which is not installed (`/bin/busybox sh -c COMMAND`), and
    `/bin/probe`, see hyperkube/probe. busybox can resolve no names: it is linked statically with the GNU C library.

    Raises:
        RuntimeError: It cannot be made, or not loaded into this cluster.
    """
    with tempfile.TemporaryDirectory() as directory:
        archive = Path(directory, "image.tar")
        programs = cluster.programs if cluster.programs.directory else obtain_programs()
        files = {"/bin/busybox": _download_busybox(Path(directory)), "/bin/probe": programs.path("probe")}
        write_image(archive, NAME, files)
        cluster.load_image(archive)
    return NAME


def _download_busybox(directory: Path) -> Path:
    # as root: apt would give up its rights for those of a user who cannot write here
    download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "busybox-static"]
    for command in (["apt-get", "-qq", "update"], download, ["sh", "-c", "dpkg-deb --extract busybox-static_*.deb ."]):
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"busybox-static could not be downloaded:\n{done.stdout}{done.stderr}")
    return directory / "bin/busybox"
