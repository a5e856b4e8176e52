"""Hosts in network namespaces: each has a cable to the hub's namespace and none to the others."""
import json
import os
import subprocess

_made = 0


def ip(*argv):
    subprocess.run(["ip", *[str(a) for a in argv]], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Host:
    """A namespace; `via` runs a command in it."""

    def __init__(self, name):
        global _made
        _made += 1
        self.name = f"cw{os.getpid()}n{_made}{name}"
        self.via = ["ip", "netns", "exec", self.name]
        ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        self.links = 0

    def ip(self, *argv):
        ip("-n", self.name, *argv)

    def listening(self):
        """TCP ports that somebody else could call."""
        out = subprocess.run([*self.via, "ss", "-Hltn"], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [line.split()[3] for line in out.splitlines() if not line.split()[3].startswith(("127.", "[::1]"))]

    def remove(self):
        ip("netns", "del", self.name)


class Network:
    """A hub's host in the middle (10.77.N.1 towards host N), and hosts around it."""

    def __init__(self):
        self.hub, self.hosts = Host("hub"), []

    def host(self, name):
        host = Host(name)
        n = len(self.hosts) + 1
        self.hosts.append(host)
        host.cable, host.hub_address, host.address = f"c{n}", f"10.77.{n}.1", f"10.77.{n}.2"
        ip("link", "add", host.cable, "netns", self.hub.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        self.hub.ip("address", "add", f"{host.hub_address}/24", "dev", host.cable)
        host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
        self.hub.ip("link", "set", host.cable, "up")
        host.ip("link", "set", "eth0", "up")
        return host

    def cut(self, host):
        self.hub.ip("link", "set", host.cable, "down")

    def heal(self, host):
        self.hub.ip("link", "set", host.cable, "up")

    def remove(self):
        for host in [*self.hosts, self.hub]:
            host.remove()
