"""Keys and certificates made and read by another implementation than the one under test."""
import base64
import datetime
import ipaddress
import json
import os
import socket
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def san(names):
    def one(n):
        try:
            return x509.IPAddress(ipaddress.ip_address(n))
        except ValueError:
            return x509.DNSName(n)
    return x509.SubjectAlternativeName([one(n) for n in names])


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def account_pem():
    """The private key of an ACME account."""
    return key_pem(ec.generate_private_key(ec.SECP256R1())).decode()


def account_jwk():
    """The same as certbot keeps it: RSA, as a JWK."""
    key = rsa.generate_private_key(65537, 2048).private_numbers()
    numbers = {"n": key.public_numbers.n, "e": key.public_numbers.e, "d": key.d, "p": key.p, "q": key.q, "dp": key.dmp1, "dq": key.dmq1, "qi": key.iqmp}
    return json.dumps({"kty": "RSA", **{k: base64.urlsafe_b64encode(v.to_bytes((v.bit_length() + 7) // 8, "big")).decode().rstrip("=")
                                        for k, v in numbers.items()}})


def pem(*certificates):
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def self_signed(names, days=1):
    key = ec.generate_private_key(ec.SECP256R1())
    cert = (x509.CertificateBuilder().subject_name(name(names[0])).issuer_name(name(names[0])).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now() - DAY).not_valid_after(now() + days * DAY)
            .add_extension(san(names), critical=False).sign(key, hashes.SHA256()))
    return cert, key


class Root:
    """A small CA of the tests' own."""

    def __init__(self, common_name="Test root"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        ski = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        self.cert = (x509.CertificateBuilder().subject_name(name(common_name)).issuer_name(name(common_name))
                     .public_key(self.key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(now() - DAY)
                     .not_valid_after(now() + 3650 * DAY).add_extension(x509.BasicConstraints(True, None), critical=True)
                     .add_extension(ski, critical=False)
                     .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
                     .sign(self.key, hashes.SHA256()))

    def issue(self, names, days=30):
        key = ec.generate_private_key(ec.SECP256R1())
        cert = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(self.cert.subject).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now() - DAY).not_valid_after(now() + days * DAY)
                .add_extension(san(names), critical=True)
                .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
                .sign(self.key, hashes.SHA256()))
        return cert, key

    def write(self, folder, names, stem="server"):
        """Writes STEM.pem and STEM.key for the names, and root.pem; returns the three paths."""
        cert, key = self.issue(names)
        paths = folder / f"{stem}.pem", folder / f"{stem}.key", folder / "root.pem"
        for path, text in zip(paths, (pem(cert), key_pem(key), pem(self.cert))):
            path.write_bytes(text)
        return paths


def read_chain(text):
    """The certificates of a PEM file, in its order."""
    if isinstance(text, str):
        text = text.encode()
    end = b"-----END CERTIFICATE-----"
    return [x509.load_pem_x509_certificate(part + end) for part in text.split(end)[:-1]]


def dns_names(cert):
    return sorted(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName))


def ip_names(cert):
    found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.IPAddress)
    return sorted(str(a) for a in found)


def fingerprint(cert):
    return cert.fingerprint(hashes.SHA256()).hex()


def served(port, host="www.example.org", address="127.0.0.1"):
    """The certificate that is presented for the name, whatever it is worth."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((address, port), timeout=5) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))


def trusted(port, roots, host="www.example.org", address="127.0.0.1"):
    """Whether a client that trusts only the file `roots` accepts what is presented, by openssl; its words where it does not."""
    check = ["-verify_ip", host] if host.replace(".", "").isdigit() else ["-verify_hostname", host, "-servername", host]
    done = subprocess.run(["openssl", "s_client", "-connect", f"{address}:{port}", "-CAfile", str(roots), "-no-CApath", "-no-CAstore",
                           "-verify_return_error", "-x509_strict", "-purpose", "sslserver", *check],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10)
    text = done.stdout.decode("utf-8", "replace")
    return done.returncode == 0 and "Verify return code: 0 (ok)" in text, text


def state_of(path):
    """What a file is: content, owner, group and mode."""
    st = os.stat(path)
    return path.read_bytes(), st.st_uid, st.st_gid, st.st_mode & 0o7777
