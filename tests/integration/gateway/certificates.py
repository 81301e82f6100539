"""A certificate authority of a test's own, and what it signs."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nous_ledger.gateway.server import TlsFiles

_PEM = serialization.Encoding.PEM


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_certificates(folder: Path) -> tuple[Path, TlsFiles]:
    """Return the authority's file, and a certificate of 127.0.0.1 with its key."""
    now = dt.datetime.now(dt.UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())

    def build(subject: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("test authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
        )

    authority = (
        build("test authority", authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    server = (
        build("test server", server_key.public_key())
        .add_extension(x509.SubjectAlternativeName([local]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    ca_file, certificates, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    ca_file.write_bytes(authority.public_bytes(_PEM))
    certificates.write_bytes(server.public_bytes(_PEM))
    key.touch(0o600)
    key.write_bytes(
        server_key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return ca_file, TlsFiles(certificates=certificates, key=key)
