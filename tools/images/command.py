"""The command line of tools/build-images."""

import argparse
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from tools.images.base import local_base
from tools.images.engine import Engine
from tools.images.layout import Layout
from tools.images.running import ImagesError, output, run, say

ROOT = Path(__file__).parents[2]
TARGETS = ("operator", "controller", "child")
# What images are made of.
_INPUTS = ("Dockerfile", "requirements", "api", "controller_image", "child_image", "operator")

_EPILOG = """
examples:
  With docker or podman, on top of the Python image of the Dockerfile:
    tools/build-images

  Where no registry can be reached, and into an archive, for example for `kind load image-archive`:
    tools/build-images --base local --output images.tar

  Into a containerd on this machine, where pods find them; after a change of code in a second or two:
    tools/build-images --base local --containerd /run/containerd/containerd.sock

  PyTorch for the CPU alone, or for another CUDA (PyTorch's page on its installation names the indexes that there are):
    tools/build-images --pytorch-index URL

Nothing is built anew that has not changed. What docker and podman keep of earlier builds goes away with
`docker image prune` and `podman image prune`.
"""


def main(arguments: list[str] | None = None) -> int:
    """Builds images. Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        build(options)
    except ImagesError as error:
        print(f"build-images: {error}", file=sys.stderr)
        return 1
    return 0


def build(options: argparse.Namespace) -> None:
    """Builds images and brings them to where the user wants them.

    Raises:
        ImagesError: it failed.
    """
    engine = Engine.find(options.engine)
    base = local_base(engine) if options.base == "local" else options.base
    names = [f"{options.repository}/{target}:{options.tag}" for target in options.targets]
    build_arguments = {
        "PYTHON_IMAGE": base,
        "PACKAGE_INDEX": options.package_index,
        "PYTORCH_INDEX": options.pytorch_index,
        "VERSION": version(),
        "REVISION": revision(),
    }
    for number, (target, name) in enumerate(zip(options.targets, names, strict=True), 1):
        say(f"Building {name} with {engine.program} ({number} of {len(names)})")
        started = time.monotonic()
        before, _ = engine.image(name)
        try:
            engine.build(ROOT, name, target=target, arguments=build_arguments, ca_bundle=options.ca_bundle)
        except ImagesError as error:
            hint = "" if base else "\nIf it is the registry that cannot be reached: --base local needs none"
            raise ImagesError(f"{error}{hint}") from error
        after, size = engine.image(name)
        unchanged = "unchanged, " if before == after else ""
        print(f"    {unchanged}{size / 1e6:,.0f} MB, {time.monotonic() - started:.1f} s", flush=True)
    if options.output or options.containerd:
        _deliver(engine, names, options)


def _deliver(engine: Engine, names: list[str], options: argparse.Namespace) -> None:
    ctr = (options.ctr, "--address", str(options.containerd), "--namespace", "k8s.io")
    if engine.program == "docker":
        if options.output:
            say(f"Writing {options.output}")
            run("docker", "save", "--output", str(options.output), *names)
        if options.containerd:
            say(f"Loading into containerd at {options.containerd}")
            with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as archive:
                loaded = subprocess.run([*ctr, "images", "import", "-"], stdin=archive.stdout, check=False)
            if archive.returncode or loaded.returncode:
                raise ImagesError("containerd does not take the images, see above")
        return
    layout = Layout(options.cache)
    with layout.locked():
        say(f"Copying what is new to {layout.directory}")
        for name in names:
            layout.add_from_podman(name)
        layout.prune()
        if options.output:
            say(f"Writing {options.output}")
            partial = options.output.with_name(f".{options.output.name}.partial")
            with partial.open("wb") as file:
                layout.write(names, file)
            partial.replace(options.output)
        if options.containerd:
            say(f"Loading into containerd at {options.containerd}")
            layout.load_into_containerd(names, ctr)


def version() -> str:
    """The version of the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def revision() -> str:
    """The commit that last changed what images are made of, with `-dirty` if there are changes since.

    The empty string where there is no history.
    """
    git = ("git", "-C", str(ROOT))
    try:
        commit = output(*git, "log", "-1", "--format=%H", "--", *_INPUTS).strip()
        return f"{commit}-dirty" if output(*git, "status", "--porcelain", "--", *_INPUTS).strip() else commit
    except (ImagesError, FileNotFoundError):
        return ""


def _target(text: str) -> str:
    if text not in TARGETS:
        raise argparse.ArgumentTypeError(f"there is no image {text!r}, only {', '.join(TARGETS)}")
    return text


def _parser() -> argparse.ArgumentParser:
    environment = os.environ
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubenas" / "images"
    bundle = environment.get("SSL_CERT_FILE")
    parser = argparse.ArgumentParser(
        prog="tools/build-images",
        description="Builds the images of KubeNAS: operator, controller and child.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "targets",
        nargs="*",
        type=_target,
        default=list(TARGETS),
        metavar="IMAGE",
        help="operator, controller or child (default: all three)",
    )
    parser.add_argument("--tag", default="dev", help="(default: %(default)s)")
    parser.add_argument(
        "--repository", default="localhost/kubenas", metavar="PREFIX", help="of the names (default: %(default)s)"
    )
    parser.add_argument(
        "--engine",
        choices=["docker", "podman"],
        help="what builds (default: docker where its daemon answers, else podman, installed if need be)",
    )
    parser.add_argument(
        "--base",
        default="",
        metavar="IMAGE",
        help="the Python image below, or `local` to make one from Debian packages (default: that of the Dockerfile)",
    )
    parser.add_argument(
        "--pytorch-index", default="", metavar="URL", help="where PyTorch comes from (default: where the others do)"
    )
    parser.add_argument(
        "--package-index",
        default=environment.get("UV_DEFAULT_INDEX") or environment.get("PIP_INDEX_URL", ""),
        metavar="URL",
        help="where Python packages come from (default: $UV_DEFAULT_INDEX, $PIP_INDEX_URL or PyPI)",
    )
    parser.add_argument(
        "--ca-bundle",
        type=Path,
        default=Path(bundle) if bundle else None,
        metavar="FILE",
        help="certificates to trust for that; they do not get into an image (default: $SSL_CERT_FILE)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write an archive of the images")
    parser.add_argument(
        "--containerd", type=Path, metavar="SOCKET", help="load them into the containerd that listens there"
    )
    parser.add_argument("--ctr", default=shutil.which("ctr") or "ctr", metavar="PROGRAM", help="containerd's client")
    parser.add_argument(
        "--cache", type=Path, default=cache, metavar="DIR", help="where layers to load are kept (default: %(default)s)"
    )
    return parser
