"""BIND, Debian's bind9: zones that take signed updates, each key as its update-policy says."""
import base64
import os
import subprocess

from lib import process, wait
from lib.knot import Knot, _own_address


class Bind(Knot):
    """Asked in the same way as Knot; port 53 of a loopback address of its own."""

    def __init__(self, folder, *zones, key="certwright", policy="zonesub TXT", strict=None):
        self.folder = folder / "bind"
        self.folder.mkdir()
        self.address, self.key, self.policy, self.zones, self.strict = _own_address(), key, policy, zones, strict or {}
        self.secret = base64.b64encode(os.urandom(64)).decode()
        self.config, self.log, self.child = self.folder / "named.conf", self.folder / "named.log", None
        for zone in zones:
            self.write_zone(zone)
        self.write()

    def write(self):
        zones = "\n".join(f"""zone "{z}" {{ type primary; file "{self.folder}/{z}.zone"; update-policy {{ grant {self.key} {self.strict.get(z, self.policy)}; }}; }};"""
                          for z in self.zones)
        self.config.write_text(f"""options {{
    directory "{self.folder}"; pid-file none; session-keyfile none; listen-on-v6 {{ none; }}; recursion no; notify no; dnssec-validation no;
    check-names primary ignore;
    listen-on port 53 {{ {self.address}; }};
}};
controls {{ }};
key "{self.key}" {{ algorithm hmac-sha512; secret "{self.secret}"; }};
{zones}
""")

    def start(self):
        # BIND listens only on addresses that an interface has.
        subprocess.run(["ip", "address", "add", f"{self.address}/32", "dev", "lo"], check=True)
        self.child = process.start(["/usr/sbin/named", "-g", "-n", "1", "-c", self.config], self.log)
        wait.until(self._answers, "BIND answers", 10)
        return self

    def stop(self):
        running, _ = self.child, super().stop()
        if running:
            subprocess.run(["ip", "address", "del", f"{self.address}/32", "dev", "lo"], check=True)

    @property
    def parameters(self):
        values = {"server": f"{self.address}:53", "key": self.key, "algorithm": "hmac-sha512", "secret": "bind-tsig"}
        return [word for k, v in values.items() for word in ("--set", f"{k}={v}")]
