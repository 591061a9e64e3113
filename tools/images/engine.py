"""The program that builds images: docker where its daemon answers, else podman."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.images.running import ImagesError, output, require, run, succeeds


@dataclass(frozen=True)
class Engine:
    """Builds images and keeps them.

    Attributes:
        program: `docker` or `podman`, which take the same commands.
    """

    program: str

    @classmethod
    def find(cls, program: str | None = None) -> "Engine":
        """The engine to use. Podman is installed where there is none.

        Args:
            program: the one that the user asks for.

        Raises:
            ImagesError: there is none, and none can be installed.
        """
        if program != "podman" and succeeds("docker", "version"):
            return cls("docker")
        if program == "docker":
            raise ImagesError("docker's daemon does not answer: start it, or leave --engine away to use podman")
        # Debian's podman works with crun, too, but not everywhere: crun refuses cgroups of both versions at once.
        require({"podman": "podman", "runc": "runc"})
        return cls("podman")

    def build(
        self,
        context: Path,
        name: str,
        *,
        target: str | None = None,
        arguments: Mapping[str, str] | None = None,
        ca_bundle: Path | None = None,
    ) -> None:
        """Builds an image. What has not changed is taken from the engine's cache.

        Args:
            context: the directory with the Dockerfile.
            name: of the image.
            target: the stage to build, by default the last.
            arguments: build arguments. Those that are empty are left out.
            ca_bundle: certificates to trust while packages are downloaded. They do not get into the image.

        Raises:
            ImagesError: it failed.
        """
        command = [self.program, "build", "--tag", name]
        # Needs no rights that a container, in which this may run, has not got.
        command += ["--isolation", "chroot"] if self.program == "podman" else ["--progress", "plain"]
        command += ["--target", target] if target else []
        command += [f"--build-arg={key}={value}" for key, value in (arguments or {}).items() if value]
        command += [f"--secret=id=ca-bundle,src={ca_bundle}"] if ca_bundle else []
        run(*command, str(context), environment={"DOCKER_BUILDKIT": "1"})

    def has_image(self, name: str) -> bool:
        """Whether an image of that name is there."""
        return succeeds(self.program, "image", "inspect", name)

    def image(self, name: str) -> tuple[str, int]:
        """The id of an image, and its size in bytes. The empty string and 0 if there is none."""
        if not self.has_image(name):
            return "", 0
        identifier, size = output(self.program, "image", "inspect", "--format", "{{.Id}} {{.Size}}", name).split()
        return identifier, int(size)
