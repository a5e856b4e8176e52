"""An agent on another host: it joins a hub with a token and is run by `certwright run agent`, alone."""
import json
import re
import shutil

from lib import process, wait
from lib.hub import PROGRAM, ROOT, Hub

ROLES = ["relay", "probe", "apply", "run", "agent"]
UID_BASE = 62100


class Remote:
    """`hub` is asked over the network alone; `via` is put before each command (ip netns exec …)."""
    life, pids, text, kill_role, rests, write_agent = Hub.life, Hub.pids, Hub.text, Hub.kill_role, Hub.rests, Hub.write_agent

    def __init__(self, hub, folder, name, url=None, via=(), **settings):
        self.hub, self.folder, self.name, self.url, self.via = hub, folder, name, url or hub.agents_url, [str(v) for v in via]
        self.etc, self.state, self.log, self.files = folder / "etc", folder / "state", folder / "log", folder / "files"
        for path in (self.etc, self.files):
            path.mkdir()
        self.child, self.may_die, self._log_read = None, False, 0
        self.clock_file = folder / "clock"
        self.clock_file.write_bytes(bytes(8))
        self.clock_file.chmod(0o644)
        self.agent_settings = {
            **hub.agent_settings, "name": name, "hub": self.url, "state": str(self.state), "paths": [str(self.files)], "connectors_dir": str(ROOT / "connectors"),
            "uid_base": UID_BASE, "http01": {"address": "127.0.0.1", "port": wait.free_port()}, "commands": {},
            "connectors": ["files", "webroot", "listener"], **settings}
        self.write_agent()

    def join(self, token, *more, url=None):
        """What the command said; the token comes from a file, as `join-token add --out` writes it."""
        path = self.folder / "token"
        path.write_text(token + "\n")
        path.chmod(0o600)
        done = self.hub.cw("join", url or self.url, "--config", self.etc / "agent.yaml", "--name", self.name, "--token-file", path, *more, via=self.via)
        path.unlink()
        return done

    def start(self, ready=True, failpoint=None):
        env = {"CERTWRIGHT_FAILPOINT": failpoint} if failpoint else {}
        self.may_die = bool(failpoint)
        self._log_read = self.log.stat().st_size if self.log.exists() else 0
        self.child = process.start([*self.via, PROGRAM, "run", "agent", "--config", self.etc / "agent.yaml", "--clock-file", self.clock_file], self.log, env)
        if ready:
            wait.until(self._ready, f"agent {self.name} is ready", 15, 0.005)
        return self

    def _ready(self):
        assert self.child.poll() is None, f"agent {self.name} ended with {self.child.returncode}:\n{self.text()}"
        return re.search(r" parent info ready$", self.life(), re.M)

    def stop(self):
        if self.child is None:
            return
        child, self.child = self.child, None
        code = process.stop(child)
        assert code == 0, f"agent {self.name} ended with {code}:\n{self.life()[-4000:]}"

    def kill(self):
        return Hub.kill(self)

    def restart(self, **kw):
        self.stop()
        return self.start(**kw)

    def move_clock(self, seconds):
        return Hub.move_clock(self, seconds)

    def shown(self):
        """As the hub knows it."""
        return self.hub.show("agent", self.name)

    def copy(self, folder):
        """The same identity on another host, as somebody copies a machine."""
        other = Remote(self.hub, folder, self.name, self.url, self.via)
        other.agent_settings = {**self.agent_settings, "state": str(other.state)}
        other.write_agent()
        shutil.copytree(self.state / "fleet", other.state / "fleet")
        return other


def token(hub, name, *more):
    """The text of a new join token."""
    return json.loads(hub.ok("join-token", "add", name, *more, "-o", "json").out)["token"]
