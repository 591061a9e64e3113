"""Certificates of a search as Secrets of type kubernetes.io/tls, and which of them are to be made (anew)."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from nas_api.certificates import (
    CA_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    CertificateAuthority,
    CertificatesError,
    Identity,
    KeyPair,
    renewal_time,
)
from nas_api.spec import NASSearch

from nas_operator.actions import CreateAuthority, IssueCertificate
from nas_operator.names import (
    admin_certificate_name,
    authority_name,
    controller_certificate_name,
    controller_name,
    pool_certificate_name,
)
from nas_operator.observed import Object
from nas_operator.resources.controller import controller_host
from nas_operator.resources.owner import owned_metadata

# Of the authority's own certificate.
AUTHORITY_LIFETIME = timedelta(days=3650)

# What reading a certificate or a key raises that is none, or that another authority made.
_UNUSABLE = (
    CertificatesError,
    InvalidSignature,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    x509.ExtensionNotFound,
)


def plan_certificates(
    search: NASSearch, secrets: Mapping[str, Object], now: datetime, lifetime: timedelta
) -> tuple[CreateAuthority | IssueCertificate, ...]:
    """What is missing, broken, of another authority or due for renewal, at two thirds of its life.

    Args:
        search: whose certificates they are.
        secrets: by name, those of the search that are there.
        now: UTC.
        lifetime: of the certificates.

    Returns:
        Nothing when all is well. A new authority first, if one is needed, and then all certificates.
    """
    name = authority_name(search.metadata.name)
    wanted = tuple(_wanted(search, lifetime))
    authority = _authority_in(search, secrets.get(name))
    if authority is None or now >= renewal_time(authority):
        return (CreateAuthority(name), *wanted)
    return tuple(issue for issue in wanted if not _is_good(secrets.get(issue.secret), issue, authority, now))


def load_authority(search: NASSearch, secret: Object) -> CertificateAuthority:
    """The authority that `build_authority` keeps in a Secret.

    Raises:
        CertificatesError: the Secret holds no authority of this search.
    """
    return CertificateAuthority.load(search.full_name, _value(secret, CERTIFICATE_FILE), _value(secret, KEY_FILE))


def build_authority(search: NASSearch, authority: CertificateAuthority) -> Object:
    """The Secret of the authority. Who can read it can pose as any party of the search."""
    pair = KeyPair(authority.certificate, authority.certificate, authority.private_key)
    return build_certificate(search, authority_name(search.metadata.name), pair)


def build_certificate(search: NASSearch, secret_name: str, key_pair: KeyPair) -> Object:
    """The Secret of a certificate, as pods mount it."""
    files = {CA_FILE: key_pair.ca, CERTIFICATE_FILE: key_pair.certificate, KEY_FILE: key_pair.private_key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": owned_metadata(search, secret_name, "certificates"),
        "type": "kubernetes.io/tls",
        "data": {file: base64.b64encode(content).decode() for file, content in files.items()},
    }


def _wanted(search: NASSearch, lifetime: timedelta) -> Iterator[IssueCertificate]:
    name, of = search.metadata.name, search.full_name
    service, host = controller_name(name), controller_host(search)
    hosts = (service, host.removesuffix(".svc"), host, "localhost")  # the last for `kubectl port-forward`
    yield IssueCertificate(controller_certificate_name(name), Identity(of, "controller"), hosts, lifetime)
    yield IssueCertificate(admin_certificate_name(name), Identity(of, "admin"), (), lifetime)
    for pool in search.spec.pools:
        secret = pool_certificate_name(name, pool.name)
        yield IssueCertificate(secret, Identity(of, "pool", pool.name), (), lifetime)


def _authority_in(search: NASSearch, secret: Object | None) -> bytes | None:
    """The certificate of the authority in `secret`, if that can be used."""
    try:
        return None if secret is None else load_authority(search, secret).certificate
    except CertificatesError:
        return None


def _is_good(secret: Object | None, issue: IssueCertificate, authority: bytes, now: datetime) -> bool:
    """Whether `secret` holds what `issue` would put into it, with enough of its life before it."""
    if secret is None:
        return False
    try:
        certificate = x509.load_pem_x509_certificate(_value(secret, CERTIFICATE_FILE))
        key = serialization.load_pem_private_key(_value(secret, KEY_FILE), password=None)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        trusts = _value(secret, CA_FILE) == authority
    except _UNUSABLE:
        return False
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (
        trusts
        and certificate.public_key() == key.public_key()
        and names.get_values_for_type(x509.UniformResourceIdentifier) == [str(issue.identity)]
        and names.get_values_for_type(x509.DNSName) == list(issue.dns_names)
        # Of the lifetime that is wanted now, should that have become shorter.
        and now < begin + min(end - begin, issue.lifetime) * 2 / 3
    )


def _value(secret: Object, file: str) -> bytes:
    try:
        return base64.b64decode(secret["data"][file], validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise CertificatesError(f"Secret {secret['metadata']['name']} has no {file}") from error
