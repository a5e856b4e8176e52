"""Pebble, the small ACME CA of Debian's package, with a private CA for its own HTTPS."""
import json
import subprocess

import requests

from lib import pki, process, wait
from lib.dns import Dns


def program():
    """Where the package has put it."""
    files = subprocess.run(["dpkg", "-L", "pebble"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return next(f for f in files if f.endswith("/bin/pebble"))


class Pebble:
    def __init__(self, folder, http_port, nonce_reject=15, sleep=None, dns=None, bindings=None):
        self.folder, self.port, self.management = folder, wait.free_port(), wait.free_port()
        self.root = pki.Root("Minica of the tests")
        self.cert, self.key, self.roots = self.root.write(folder, ["127.0.0.1", "localhost"], "pebble")
        self.config, self.log, self.child = folder / "pebble.json", folder / "pebble.log", None
        self.config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.cert), "privateKey": str(self.key), "httpPort": http_port, "tlsPort": http_port,
            "ocspResponderURL": "", "externalAccountBindingRequired": bool(bindings),
            **({"externalAccountMACKeys": bindings} if bindings else {})}}))
        self.env = {"PEBBLE_WFE_NONCEREJECT": str(nonce_reject), "PEBBLE_AUTHZREUSE": "0",
                    **({"PEBBLE_VA_SLEEPTIME": str(sleep)} if sleep else {"PEBBLE_VA_NOSLEEP": "1"})}
        self.dns = dns or Dns()
        self.directory = f"https://127.0.0.1:{self.port}/dir"

    def start(self):
        self.child = process.start([program(), "-config", self.config, "-dnsserver", f"127.0.0.1:{self.dns.port}"], self.log, self.env, cwd=self.folder)
        wait.until(self._answers, "Pebble answers", 20)
        # Its CA is new at each start.
        self.issuing_root = self._management("/roots/0").text
        (self.folder / "issuing-root.pem").write_text(self.issuing_root)
        (self.folder / "all-roots.pem").write_text(self.issuing_root + self.roots.read_text())
        self.all_roots = self.folder / "all-roots.pem"
        return self

    def _management(self, path):
        with requests.Session() as s:
            s.trust_env, s.verify = False, str(self.roots)
            return s.get(f"https://127.0.0.1:{self.management}{path}", timeout=5)

    def _answers(self):
        assert self.child.poll() is None, self.log.read_text()
        try:
            return self._management("/roots/0").status_code == 200
        except requests.ConnectionError:
            return False

    def revoked(self, serial):
        """Whether the CA says that it has revoked the certificate."""
        answer = self._management(f"/cert-status-by-serial/{serial:x}")
        return answer.status_code == 200 and answer.json().get("Status") == "Revoked"

    def said(self, text):
        return self.log.read_text(errors="replace").count(text)

    def stop(self):
        if self.child and self.child.poll() is None:
            process.stop(self.child)
        self.child = None

    def close(self):
        self.stop()
        self.dns.stop()
