# The images of KubeNAS, one target each: operator, controller and child. `make images` builds all three; one by hand:
#
#   docker build --target child --tag kubenas/child .
#
# With PyTorch from another index, for the CPU or for another CUDA; behind a proxy with a certificate authority of its own:
#
#   docker build --target child --build-arg PYTORCH_INDEX=URL .
#   docker build --target child --secret id=ca-bundle,src=/etc/ssl/certs/ca-certificates.crt .
#
# They run as any user (65532 unless told otherwise) and write nowhere but in /tmp and in volumes. What changes most is
# last: first the packages, those of PyTorch (5.7 GB) in one layer of controller and child, then our own code.
#
# Your own training code goes on top: `FROM kubenas/child`, `COPY my_task.py /app/`.
# `--build-arg PYTHON_IMAGE=python@sha256:...` pins the base to the byte.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# What installs packages. Nothing of it gets into an image, not even which package indexes there are.
FROM ${PYTHON_IMAGE} AS installer
ARG UV=uv==0.13.9
ARG PACKAGE_INDEX=
ARG PYTORCH_INDEX=
RUN --mount=type=secret,id=ca-bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --cert /etc/ssl/certs/ca-certificates.crt ${PACKAGE_INDEX:+--index-url "$PACKAGE_INDEX"} --target /uv "$UV"
COPY requirements /requirements
# Another PyTorch brings a CUDA of its own (or none), at the versions that it was built for. To install from another index
# is to change torch.txt: a layer must not be taken from the cache then.
RUN cd /requirements && \
    { \
        echo 'system-certs = true'; \
        echo 'no-cache = true'; \
        [ -z "$PYTORCH_INDEX" ] || printf '[[index]]\nurl = "%s"\n' "$PYTORCH_INDEX"; \
        [ -z "$PACKAGE_INDEX" ] || printf '[[index]]\nurl = "%s"\ndefault = true\n' "$PACKAGE_INDEX"; \
        echo '[pip]'; \
        echo 'python = "/opt/kubenas"'; \
        echo 'compile-bytecode = true'; \
        echo 'index-strategy = "unsafe-best-match"'; \
    } >uv.toml && \
    if [ -n "$PYTORCH_INDEX" ]; then sed -i -E '/^(cuda|nvidia|triton)\b/d' controller.txt child.txt; fi && \
    { echo "# index: $(echo "$PYTORCH_INDEX" | sha256sum)"; grep -Fxf controller.txt child.txt; } >torch.txt && \
    for image in controller child; do grep -vFxf torch.txt $image.txt >$image.rest && mv $image.rest $image.txt; done

# Our own code, compiled. Nothing of it tells when it was checked out, so the same code is the same layer everywhere.
FROM ${PYTHON_IMAGE} AS code
COPY api/nas_api /app/nas_api
COPY controller_image/nas_controller /app/nas_controller
COPY child_image/nas_child /app/nas_child
COPY operator/nas_operator /app/nas_operator
RUN chmod -R u=rwX,go=rX /app && \
    python -m compileall -q --invalidation-mode unchecked-hash /app && \
    find /app -exec touch --date @0 {} +

# Python, compiled, without what installs packages, and an empty environment that finds code in /app.
FROM ${PYTHON_IMAGE} AS python
RUN rm -rf /usr/bin/pip* /usr/local/bin/pip* /usr/local/bin/wheel /usr/local/lib/python3.*/ensurepip \
        /usr/local/lib/python3.*/site-packages/* /usr/lib/python3/dist-packages/* && \
    python -m compileall -q "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" && \
    python -m venv --without-pip /opt/kubenas && \
    echo /app >"$(/opt/kubenas/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/kubenas.pth" && \
    echo 'kubenas:x:65532:65532:KubeNAS:/tmp:/usr/sbin/nologin' >>/etc/passwd && \
    echo 'kubenas:x:65532:' >>/etc/group
ENV PATH=/opt/kubenas/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
STOPSIGNAL SIGTERM

FROM python AS torch
COPY --from=installer /requirements/torch.txt /opt/kubenas/requirements/
RUN --mount=type=bind,from=installer,target=/installer \
    --mount=type=secret,id=ca-bundle,target=/etc/ssl/certs/ca-certificates.crt \
    /installer/uv/bin/uv pip install --config-file /installer/requirements/uv.toml \
        --requirements /opt/kubenas/requirements/torch.txt

FROM torch AS controller
COPY --from=installer /requirements/controller.txt /opt/kubenas/requirements/
RUN --mount=type=bind,from=installer,target=/installer \
    --mount=type=secret,id=ca-bundle,target=/etc/ssl/certs/ca-certificates.crt \
    /installer/uv/bin/uv pip install --config-file /installer/requirements/uv.toml \
        --requirements /opt/kubenas/requirements/controller.txt
COPY --from=code /app/nas_api /app/nas_api
COPY --from=code /app/nas_controller /app/nas_controller
USER 65532:65532
ENTRYPOINT ["python", "-m", "nas_controller"]
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="KubeNAS controller" \
    org.opencontainers.image.description="The controller of a neural architecture search: policy, journal and gRPC service" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"

FROM torch AS child
COPY --from=installer /requirements/child.txt /opt/kubenas/requirements/
RUN --mount=type=bind,from=installer,target=/installer \
    --mount=type=secret,id=ca-bundle,target=/etc/ssl/certs/ca-certificates.crt \
    /installer/uv/bin/uv pip install --config-file /installer/requirements/uv.toml \
        --requirements /opt/kubenas/requirements/child.txt
COPY --from=code /app/nas_api /app/nas_api
COPY --from=code /app/nas_child /app/nas_child
USER 65532:65532
ENTRYPOINT ["python", "-m", "nas_child"]
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="KubeNAS child" \
    org.opencontainers.image.description="A worker of a neural architecture search: trains what the controller proposes" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"

FROM python AS operator
COPY --from=installer /requirements/operator.txt /opt/kubenas/requirements/
RUN --mount=type=bind,from=installer,target=/installer \
    --mount=type=secret,id=ca-bundle,target=/etc/ssl/certs/ca-certificates.crt \
    /installer/uv/bin/uv pip install --config-file /installer/requirements/uv.toml \
        --requirements /opt/kubenas/requirements/operator.txt
COPY --from=code /app/nas_api /app/nas_api
COPY --from=code /app/nas_operator /app/nas_operator
USER 65532:65532
ENTRYPOINT ["python", "-m", "nas_operator"]
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="KubeNAS operator" \
    org.opencontainers.image.description="The operator of KubeNAS: runs neural architecture searches on Kubernetes" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
