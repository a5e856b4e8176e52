"""Updates signed by way of Kerberos (GSS-TSIG): the script of docs/examples against a real BIND and a real KDC."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import _folder
from lib import process, wait
from lib.bind import Bind
from lib.hub import ROOT
from test_dns import value

REALM, PRINCIPAL = "EXAMPLE.ORG", "certwright@EXAMPLE.ORG"
OWN = "_acme-challenge.example.org"
pytestmark = [pytest.mark.one_engine,
              pytest.mark.skipif(not all(shutil.which(p) for p in ("nsupdate", "kinit", "krb5kdc", "kadmin.local")), reason="no Kerberos here")]


class Kdc:
    """A realm with the DNS server and us; keytabs of both."""

    def __init__(self, folder):
        self.folder, self.port = folder / "kdc", wait.free_port()
        self.folder.mkdir()
        self.conf = self.folder / "krb5.conf"
        self.conf.write_text(f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = false\n"
                             f" dns_canonicalize_hostname = false\n[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{self.port}\n }}\n"
                             f"[domain_realm]\n .example.org = {REALM}\n[logging]\n kdc = FILE:{self.folder}/kdc.log\n")
        (self.folder / "kdc.conf").write_text(f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n[realms]\n {REALM} = {{\n"
                                              f"  database_name = {self.folder}/db\n  key_stash_file = {self.folder}/stash\n }}\n")
        self.env = {**os.environ, "KRB5_CONFIG": str(self.conf), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}
        self.run("kdb5_util", "create", "-s", "-W", "-P", "a password")
        for name, principal in (("dns", "DNS/ns.example.org"), ("us", "certwright")):
            self.run("kadmin.local", "-q", f"addprinc -randkey {principal}")
            self.run("kadmin.local", "-q", f"ktadd -k {self.folder}/{name}.keytab {principal}")
        self.child = process.start(["krb5kdc", "-n"], self.folder / "log", env=self.env)

    def run(self, *argv):
        subprocess.run(argv, env=self.env, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def stop(self):
        process.stop(self.child)


class GssBind(Bind):
    """Takes updates of one principal for one name."""

    def __init__(self, folder, kdc):
        self.kdc = kdc
        super().__init__(folder, "example.org")

    def write(self):
        super().write()
        text = self.config.read_text().replace("recursion no;", f'recursion no; tkey-gssapi-keytab "{self.kdc.folder}/dns.keytab";')
        self.config.write_text(re.sub(r"grant [^;]*;", f"grant {PRINCIPAL} name {OWN} TXT;", text))


@pytest.fixture
def world(hub_maker, monkeypatch):
    folder = _folder()
    kdc = Kdc(folder)
    bind = GssBind(folder, kdc)
    monkeypatch.setenv("KRB5_CONFIG", str(kdc.conf))
    bind.start()
    script = (ROOT / "docs/examples/nsupdate-gss").read_text()
    for name, here in (("server", bind.address), ("principal", PRINCIPAL), ("keytab", kdc.folder / "us.keytab")):
        script, n = re.subn(rf"(?m)^{name}=.*$", f"{name}={here}", script)
        assert n == 1
    # A host has its configuration at /etc; programs are started without this one's environment.
    script = script.replace("set -eu\n", f"set -eu\nexport KRB5_CONFIG={kdc.conf}\n")
    (folder / "nsupdate-gss").write_text(script)
    (folder / "nsupdate-gss").chmod(0o755)
    hub = hub_maker(resolvers=[bind.address], networks={"probe": ["127.0.0.0/8"]},
                    dns={"by-kerberos": {"zones": ["example.org"], "program": [str(folder / "nsupdate-gss")], "protocol": "lego", "publish_s": 10}})
    yield hub, bind
    bind.stop()
    kdc.stop()
    shutil.rmtree(folder)


def test_a_value_comes_and_goes_by_a_ticket_of_kerberos(world):
    hub, bind = world
    hub.ok("dns", "add", "kerberos", "--provider", "by-kerberos", "--zone", "example.org")
    v = value()
    hub.ok("challenge", "present", "example.org", v)
    assert bind.txt(OWN) == [v]
    hub.unix("POST", "/api/v1/challenges", {"name": "www.example.org", "value": value()})
    hub.ok("challenge", "clean", "example.org", v)
    assert bind.txt(OWN) == []
    wait.until(lambda: "update failed: REFUSED" in hub.life(), "another name is refused", 20)
