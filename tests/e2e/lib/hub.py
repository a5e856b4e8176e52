"""A hub with its own agent: set up by `certwright init`, run by `certwright run hub`, asked by the CLI, HTTPS and its socket."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
from pathlib import Path

import requests

from lib import process, wait

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("CERTWRIGHT", str(ROOT / "build/dev/certwright"))
UID_BASE = 62000
ROLES = ["signer", "hub", "agent", "relay", "probe", "apply", "run"]


class Result:
    """What a command said."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


class Answer:
    """What the API said over a Unix socket; as much like an answer of requests as the tests need."""

    def __init__(self, response):
        self.status_code, self.headers, self.content = response.status, dict(response.getheaders()), response.read()
        self.text = self.content.decode()

    def json(self):
        return json.loads(self.content)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("hub", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def over_socket(path, method, url, body=None, headers=None):
    c = _UnixConnection(path)
    try:
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        c.request(method, url, body, headers)
        return Answer(c.getresponse())
    finally:
        c.close()


class Hub:
    def __init__(self, folder, conninfo=None, nginx=None, http_port=None):
        self.folder, self.conninfo, self.nginx = folder, conninfo, nginx
        self.etc, self.state, self.run, self.log = folder / "etc", folder / "state", folder / "run", folder / "log"
        self.files = folder / "files"
        self.files.mkdir()
        self.https_port, self.status_port, self.http_port = wait.free_port(), wait.free_port(), http_port or wait.free_port()
        self.agents_port = wait.free_port()
        self.agents_url = f"https://127.0.0.1:{self.agents_port}"
        self.base = f"https://127.0.0.1:{self.https_port}"
        self.admin, self.agent_socket, self.officer = (self.run / f"{n}.sock" for n in ("admin", "agent", "officer"))
        self.clock_file = folder / "clock"
        self.clock_file.write_bytes(bytes(8))
        self.clock_file.chmod(0o644)
        self.child, self.may_die, self.initial, self.arguments, self.via = None, False, None, [], []
        self.ends, self._fleet, self._token, self._env, self._log_read = 0, None, None, {}, 0
        self.agent_settings = {
            "name": "host1", "hub": str(self.agent_socket), "state": str(self.state / "agent"), "connectors_dir": str(ROOT / "connectors"),
            "connectors": ["files", "webroot", "listener"], "paths": [str(self.files)], "users": ["root"], "groups": ["root"],
            "networks": {"probe": ["127.0.0.0/8"], "relay": ["127.0.0.0/8"]}, "commands": {},
            "http01": {"address": "127.0.0.1", "port": self.http_port}, "prove_s": 4}
        if os.geteuid() != 0:
            import grp
            import pwd
            self.agent_settings["users"], self.agent_settings["groups"] = [pwd.getpwuid(os.geteuid()).pw_name], [grp.getgrgid(os.getegid()).gr_name]
        if nginx:
            self.agent_settings["connectors"].append("nginx")
            self.agent_settings["paths"].append(str(nginx.folder))
            self.agent_settings["commands"].update(nginx.commands)

    # --- life

    def init(self, *more):
        argv = ["init", "--name", "Test", "--config-dir", self.etc, "--state", self.state, "--run-dir", self.run, "--address", "127.0.0.1",
                "--https-port", self.https_port, "--agents-port", self.agents_port, "--status-port", self.status_port, "--hostname", "localhost,127.0.0.1", "--connectors-dir",
                ROOT / "connectors", *(["--database", self.conninfo] if self.conninfo else []),
                *(["--uid-base", UID_BASE] if os.geteuid() == 0 else []), *more]
        self.initial = self.cw(*argv)
        assert self.initial.code == 0, self.initial
        with open(self.etc / "hub.yaml", "a") as f:  # the names of most tests are known to their CA's resolver alone
            f.write("preflight: off\n")
        self.write_agent()
        return self

    def write_agent(self):
        """agent.yaml; JSON is YAML too."""
        (self.etc / "agent.yaml").write_text(json.dumps(self.agent_settings, indent=1))

    def start(self, failpoint=None, ready=True):
        """Starts the hub and waits until every role is ready.  `failpoint`: "role:name=action", for that role's first life."""
        env = {"CERTWRIGHT_FAILPOINT": failpoint} if failpoint else {}
        self.may_die = bool(failpoint)
        self._log_read = self.log.stat().st_size if self.log.exists() else 0
        self.child = process.start([*self.via, PROGRAM, "run", "hub", "--config", self.etc / "hub.yaml", "--clock-file", self.clock_file, *self.arguments],
                                   self.log, env)
        if ready:
            wait.until(self._ready, "the hub is ready", 15, 0.005)
        return self

    def _ready(self):
        assert self.child.poll() is None, f"the hub ended with {self.child.returncode}:\n{self.text()}"
        return re.search(r" parent info ready$", self.life(), re.M)

    def stop(self):
        """Ends the hub as an administrator does; every role must have ended well, and none before."""
        if self.child is None:
            return
        child, self.child = self.child, None
        code = process.stop(child)
        life = self.life()
        assert code == 0, f"the hub ended with {code}:\n{life[-4000:]}"
        last = {name: how for how, name in re.findall(r" role_(started|ended|died|rests) name=(\w+)", life)}
        ended = [name for name, how in last.items() if how in ("ended", "rests")]
        assert sorted(ended) == sorted(ROLES), f"these roles ended well: {ended}\n{life[-4000:]}"
        if not self.may_die:
            assert " role_died " not in life, life[-4000:]

    def kill(self):
        """kill -9 of everything at once, as a power failure."""
        self.child.kill()
        self.child.wait()
        self.child = None
        for pid in self.pids().values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait.until(lambda: not any(alive(p) for p in self.pids().values()), "the roles are gone")

    def restart(self, **kw):
        self.stop()
        return self.start(**kw)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def life(self):
        """What was logged since the last start."""
        with open(self.log, "rb") as f:
            f.seek(self._log_read)
            return f.read().decode("utf-8", "replace")

    def pids(self):
        """The newest process of each role."""
        return {name: int(pid) for name, pid in re.findall(r" role_started name=(\w+) pid=(\d+)", self.life())}

    def rests(self, name):
        """Whether a hand has ended for want of work."""
        return re.findall(r" role_(started|rests) name=" + name + r"\b", self.life())[-1:] == ["rests"]

    def kill_role(self, name):
        """kill -9 of one role, and waits until its parent has started another."""
        self.may_die = True
        before = self.pids()[name]
        if self.rests(name):
            return
        os.kill(before, signal.SIGKILL)
        wait.until(lambda: self.pids()[name] != before, f"another {name} is started", 10)

    def move_clock(self, seconds):
        """The hub's, signer's and agent's idea of now."""
        with open(self.clock_file, "r+b") as f:
            f.write(struct.pack("<q", seconds))

    # --- asking

    def cw(self, *argv, input=None, env=None, timeout=60, via=()):
        """A command; the admin socket is in the environment, as an administrator's shell has it.  `via` is put before it."""
        argv = [str(a) for a in argv]
        if os.environ.get("CERTWRIGHT_TEST_TRACE"):
            print("+", *argv)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CERTWRIGHT")}
        done = subprocess.run([*via, PROGRAM, *argv], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False,
                              env={**clean, "CERTWRIGHT_SOCKET": str(self.admin), "CERTWRIGHT_SIGNER_SOCKET": str(self.officer), **(env or {})})
        return Result(done)

    def ok(self, *argv, **kw):
        """A command that must succeed."""
        done = self.cw(*argv, **kw)
        assert done.code == 0, f"certwright {' '.join(str(a) for a in argv)}: {done}"
        return done

    def show(self, noun, name):
        return self.ok(noun, "show", name, "-o", "json").json()

    def why(self, name="www.example.org"):
        return self.ok("cert", "why", name).out

    def unix(self, method, url, body=None, headers=None):
        return over_socket(self.admin, method, url, body, headers)

    @property
    def fleet_roots(self):
        if self._fleet is None:
            self._fleet = self.folder / "fleet.pem"
            self.ok("ca", "export", "fleet", "--what", "root", "--out", self._fleet)
        return self._fleet

    @property
    def token(self):
        if self._token is None:
            self._token = self.unix("POST", "/api/v1/tokens", {"name": "tests"}).json()["token"]
        return self._token

    def https(self, method, url, body=None, headers=None, token=None):
        """A request over HTTPS that trusts the fleet CA alone; token False: without one."""
        headers = dict(headers or {})
        if token is not False:
            headers["Authorization"] = f"Bearer {token or self.token}"
        if isinstance(body, (str, bytes)):
            headers.setdefault("Content-Type", "application/json")
        with requests.Session() as s:
            s.trust_env, s.verify = False, str(self.fleet_roots)
            return s.request(method, self.base + url, headers=headers, timeout=30, allow_redirects=False,
                             **({"data": body} if isinstance(body, (str, bytes)) else {"json": body} if body is not None else {}))

    def tls(self):
        """A context that trusts the fleet CA alone."""
        return ssl.create_default_context(cafile=str(self.fleet_roots))

    def status(self, path):
        """What the plain listener publishes."""
        with requests.Session() as s:
            s.trust_env = False
            return s.get(f"http://127.0.0.1:{self.status_port}{path}", timeout=10)

    def audit(self):
        """Entries, newest first; their place in the log comes a little later."""
        items = self.unix("GET", "/api/v1/audit-entries?limit=1000").json()["items"]
        return [{k: v for k, v in i.items() if k != "place"} for i in items]

    def jobs(self):
        return self.unix("GET", "/api/v1/jobs?limit=1000").json()["items"]

    def settled(self, name, seconds=20):
        """Waits until nothing is under way for a managed certificate and returns how it stands."""
        def look():
            events = self.unix("GET", f"/api/v1/managed-certificates/{name}/events?after=-1").json()
            return events if events["state"] != "working" else None
        return wait.until(look, f"{name} is settled", seconds)

    def roots(self, ca="issuing"):
        """A file with the root of one of the own CAs."""
        path = self.folder / f"{ca}-root.pem"
        self.ok("ca", "export", ca, "--what", "root", "--out", path)
        return path


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
