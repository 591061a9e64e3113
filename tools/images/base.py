"""What stands in for the image `python:3.11-slim` where no registry can be reached: Python from Debian packages."""

import hashlib
import tempfile
from pathlib import Path

from tools.images.engine import Engine
from tools.images.running import require, run, say

# Debian 12 has Python 3.11.
_SUITE = "bookworm"
# The last two are for installing packages while images are built; the Dockerfile takes them away.
_PACKAGES = ("ca-certificates", "netbase", "tzdata", "python3", "python3-pip", "python3-wheel")
_OPTIONS = (
    "--variant=minbase",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
    '--customize-hook=ln -s python3 "$1/usr/bin/python"',
    # pip may install into this system: it is there for nothing else.
    '--customize-hook=rm "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED',
)
_DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
"""


def local_base(engine: Engine) -> str:
    """Makes the base image, unless it is there: remove it to get newer packages.

    Returns:
        Its name. Another recipe gives another name.

    Raises:
        ImagesError: it cannot be made; the message says why.
    """
    recipe = hashlib.sha256(repr((_SUITE, _PACKAGES, _OPTIONS, _DOCKERFILE)).encode()).hexdigest()
    name = f"localhost/kubenas/python:3.11-{recipe[:12]}"
    if engine.has_image(name):
        return name
    require({"mmdebstrap": "mmdebstrap"})
    say(f"Making the base image {name} from Debian packages (about a minute)")
    with tempfile.TemporaryDirectory(prefix="kubenas-base-") as directory:
        context = Path(directory)
        run("mmdebstrap", *_OPTIONS, f"--include={','.join(_PACKAGES)}", _SUITE, str(context / "root.tar"))
        (context / "Dockerfile").write_text(_DOCKERFILE)
        engine.build(context, name)
    return name
