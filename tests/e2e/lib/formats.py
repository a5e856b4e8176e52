"""Key stores read and made by the tools of others: openssl and Java's keytool."""
import re
import subprocess

from cryptography import x509

from lib import pki


def run(*argv, **more):
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          check=False, **more)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def password_file(path, text="correct horse\n", mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def openssl_pkcs12(path, password_at):
    """What openssl reads: (certificates, key in PEM, what it says of the protection)."""
    out = run("openssl", "pkcs12", "-in", path, "-passin", f"file:{password_at}", "-nodes").decode()
    info = subprocess.run(["openssl", "pkcs12", "-in", str(path), "-passin", f"file:{password_at}", "-info", "-noout"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, timeout=60).stdout.decode()
    key = re.search(r"-----BEGIN PRIVATE KEY-----.*-----END PRIVATE KEY-----\n", out, re.S).group(0)
    certs = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", out, re.S)
    return [pki.read_chain(c)[0] for c in certs], key.encode(), info


def keytool_chain(path, password_at, kind):
    """The chain of the one entry that keytool sees in it, and its name."""
    store = ["-keystore", path, "-storetype", kind, "-storepass:file", password_at, "-J-XX:TieredStopAtLevel=1", "-J-Xshare:auto"]
    text = run("keytool", "-list", "-rfc", *store).decode()
    assert "Entry type: PrivateKeyEntry" in text and "1 entry" in text, text
    return pki.read_chain(text), re.search(r"Alias name: (\S+)", text).group(1)


def keytool_convert(path, kind, to, to_kind, password_at):
    """Into another kind of store: for that, keytool has to decrypt the key."""
    run("keytool", "-importkeystore", "-noprompt", "-srckeystore", path, "-srcstoretype", kind, "-srcstorepass:file", password_at,
        "-destkeystore", to, "-deststoretype", to_kind, "-deststorepass:file", password_at, "-J-XX:TieredStopAtLevel=1")


def der(path):
    return x509.load_der_x509_certificate(path.read_bytes())
