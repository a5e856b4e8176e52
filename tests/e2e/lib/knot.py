"""Knot DNS, the authoritative server of Debian's package: zones that take signed updates (RFC 2136 with TSIG).

It listens on port 53 of a loopback address of its own, as NS records have no port; and on a free port of 127.0.0.1, for whoever
wants one (Pebble's -dnsserver, `resolvers` of agent.yaml)."""
import base64
import errno
import os
import random
import socket
import struct
import subprocess

import pytest

from lib import process, wait

TXT, IN = 16, 1


def _own_address():
    """A loopback address whose port 53 nobody has."""
    while True:
        address = f"127.{random.randint(64, 250)}.{random.randint(0, 250)}.{random.randint(1, 250)}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind((address, 53))
                return address
            except PermissionError:
                pytest.skip("port 53 takes root")
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    raise


class Knot:
    def __init__(self, folder, *zones, key="certwright"):
        self.folder = folder / "knot"
        self.folder.mkdir()
        self.address, self.port, self.key = _own_address(), wait.free_port(), key
        self.secret = base64.b64encode(os.urandom(32)).decode()
        self.zones = zones or ("example.org",)
        self.config, self.log, self.child = self.folder / "knot.conf", self.folder / "knot.log", None
        for zone in self.zones:
            self.write_zone(zone)
        self.write()

    def write_zone(self, zone, *records):
        """Every name is this host, but for _acme-challenge, which is not there until somebody puts it there."""
        (self.folder / f"{zone}.zone").write_text("\n".join([
            f"$ORIGIN {zone}.", "$TTL 5", "@ SOA ns hostmaster 1 3600 600 86400 5", "@ NS ns", f"ns A {self.address}", "@ A 127.0.0.1",
            "* A 127.0.0.1", *records]) + "\n")

    def write(self):
        zones = "\n".join(f"  - domain: {z}\n    file: {self.folder}/{z}.zone\n    acl: updates\n    zonefile-sync: -1\n"
                          "    journal-content: changes\n    zonefile-load: difference" for z in self.zones)
        self.config.write_text(f"""server:
    rundir: {self.folder}
    listen: [ {self.address}@53, 127.0.0.1@{self.port} ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {self.folder}
key:
  - id: {self.key}
    algorithm: hmac-sha256
    secret: {self.secret}
acl:
  - id: updates
    key: {self.key}
    action: [ update, transfer ]
zone:
{zones}
""")

    def start(self):
        self.child = process.start(["/usr/sbin/knotd", "-c", self.config], self.log)
        wait.until(self._answers, "Knot answers", 10)
        return self

    def _answers(self):
        assert self.child.poll() is None, self.log.read_text()
        return self.ask(self.zones[0], 6)[0] == 0

    def stop(self):
        if self.child and self.child.poll() is None:
            process.stop(self.child)
        self.child = None

    def said(self, text):
        return self.log.read_text(errors="replace").count(text)

    def control(self, *words):
        """knotc, Debian's tool for a running Knot."""
        done = subprocess.run(["/usr/sbin/knotc", "-s", self.folder / "knot.sock", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=20, check=False)
        assert done.returncode == 0, f"knotc {' '.join(words)}: {done.stdout}"
        return done.stdout

    def put(self, zone, *record):
        """Somebody else's record, put there by hand: put("example.org", "www", "5", "TXT", "text")."""
        self.control("zone-begin", zone)
        self.control("zone-set", zone, *record)
        self.control("zone-commit", zone)

    # --- asking

    def ask(self, name, kind=TXT):
        """(rcode, the data of the answers of that kind); (-1, []) where it does not answer."""
        ident = random.randint(0, 65535)
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            try:
                s.sendto(struct.pack(">HHHHHH", ident, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, IN), (self.address, 53))
                reply = s.recv(65535)
            except OSError:
                return -1, []
        _, flags, _, answers = struct.unpack(">HHHH", reply[:8])
        at, found = 12 + len(labels) + 5, []
        for _ in range(answers):
            while reply[at] and reply[at] < 0xc0:
                at += reply[at] + 1
            at += 2 if reply[at] else 1
            type_, _, _, length = struct.unpack(">HHIH", reply[at:at + 10])
            if type_ == kind:
                found.append(reply[at + 10:at + 10 + length])
            at += 10 + length
        return flags & 15, found

    def txt(self, name):
        """The texts at a name, each as one string."""
        def joined(data):
            out, at = b"", 0
            while at < len(data):
                out += data[at + 1:at + 1 + data[at]]
                at += 1 + data[at]
            return out.decode()
        return sorted(joined(d) for d in self.ask(name)[1])

    # --- what the agent needs

    def settings(self, secret_file):
        """For agent.yaml: the credential, what it may change, and where to ask."""
        secret_file.write_text(self.secret + "\n")
        secret_file.chmod(0o600)
        return {"credentials": {"tsig": {"file": str(secret_file), "hosts": [f"{self.address}:53"]}},
                "dns": {"rfc2136": {"zones": list(self.zones)}}, "resolvers": [f"127.0.0.1:{self.port}"]}

    @property
    def parameters(self):
        """--set …, for `certwright dns add`."""
        values = {"server": self.address, "key": self.key, "secret": "tsig"}
        return [word for k, v in values.items() for word in ("--set", f"{k}={v}")]


class Secondary(Knot):
    """A secondary server of a Knot for its zones: nobody tells it of changes, it fetches them when `control("zone-refresh", zone)` says so."""

    def __init__(self, folder, primary, *zones):
        self.primary = primary
        super().__init__(folder, *zones, key=primary.key)

    def write_zone(self, zone, *records):
        pass

    def write(self):
        zones = "\n".join(f"  - domain: {z}\n    master: primary\n    zonefile-sync: -1\n    refresh-min-interval: 3600" for z in self.zones)
        self.config.write_text(f"""server:
    rundir: {self.folder}
    listen: [ {self.address}@53 ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {self.folder}
key:
  - id: {self.primary.key}
    algorithm: hmac-sha256
    secret: {self.primary.secret}
remote:
  - id: primary
    address: {self.primary.address}@53
    key: {self.primary.key}
zone:
{zones}
""")
