"""The hub's end of the agent's API for one agent on this host: leases what jobs a test gives it, and keeps what the agent tells.  For
what a hub does not do: lose answers, take a job back, be away at the right moment."""
import json
import os
import re
import socketserver
import threading
from http.server import BaseHTTPRequestHandler

from lib import process, wait
from lib.hub import PROGRAM, ROOT


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "agent"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.taker.exchange(asked)
        if answer is None:  # lost on the way
            self.close_connection = True
            return
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the agent has ended meanwhile


class Taker:
    def __init__(self, folder, **settings):
        self.folder, self.socket, self.log = folder, folder / "hub.sock", folder / "log"
        self.changed = threading.Condition()
        self.jobs, self.drop, self.lose, self.away = {}, set(), 0, False
        self.batches, self.results, self.fence = [], {}, 0
        self.child = None
        (folder / "etc").mkdir()
        (folder / "files").mkdir()
        self.settings = {
            "name": "host1", "hub": str(self.socket), "state": str(folder / "state"), "connectors_dir": str(ROOT / "connectors"),
            "connectors": ["files"], "paths": [str(folder / "files")], "commands": {}, "networks": {"probe": ["127.0.0.0/8"]},
            "http01": {"address": "127.0.0.1", "port": wait.free_port()}, "uid_base": 62300, **settings}
        if os.geteuid() != 0:
            del self.settings["uid_base"]
        self.server = _Server(str(self.socket), _Handler)
        self.socket.chmod(0o666)
        self.server.taker = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    # --- the hub's side

    def exchange(self, asked):
        with self.changed:
            if asked["wait_s"] > 0:
                self.changed.wait_for(lambda: any(j["lease"] for j in self.jobs.values()) or self.drop, min(asked["wait_s"], 1))
            if self.away:
                return None
            if asked["wait_s"] == 0 and self.lose and any("scan" in p for p in asked.get("progress", [])):
                self.lose -= 1
                self.note(asked)
                return None
            self.note(asked)
            dropped = [{"id": i} for i in self.drop]
            self.drop = set()
            return {"agent_id": "a", "epoch": 1, "jobs": self.lease(asked), "dropped": dropped}

    def note(self, asked):
        """A batch that comes again is the same one."""
        for told in asked.get("progress", []):
            if "scan" in told and told["scan"]["batch"] not in [b["batch"] for b in self.batches]:
                self.batches.append(told["scan"])
                if told["id"] in self.jobs:
                    self.jobs[told["id"]]["scan"]["position"] = told["scan"]["position"]
        for result in asked.get("results", []):
            self.results[result["id"]] = result
            self.jobs.pop(result["id"], None)
        self.changed.notify_all()

    def lease(self, asked):
        leased = []
        held = {h["id"] for h in asked.get("holding", [])}
        for job in self.jobs.values():
            again = asked.get("recover") and job["id"] not in held
            if (job["lease"] or again) and asked["wait_s"] > 0:
                job["lease"] = False
                self.fence += 1
                job["fence"] = self.fence
                leased.append({k: v for k, v in job.items() if k != "lease"})
        return leased

    # --- the test's side

    def scan(self, job, targets, ports, **more):
        with self.changed:
            self.jobs[job] = {"id": job, "kind": "scan", "lane": job, "fence": 0, "lease_s": 60, "lease": True,
                              "scan": {"scan": "s-" + job, "targets": targets, "ports": ports, "seed": 3, **more}}
            self.changed.notify_all()

    def result(self, job, seconds=30):
        with self.changed:
            assert self.changed.wait_for(lambda: job in self.results, seconds), f"job {job} has not ended:\n{self.text()[-4000:]}"
            return self.results[job]

    def seen(self):
        """Observations of all batches; whoever refers to a certificate has told it."""
        return [o for b in self.batches for o in b["observations"]]

    def text(self):
        return self.log.read_text() if self.log.exists() else ""

    def start(self):
        (self.folder / "etc" / "agent.yaml").write_text(json.dumps(self.settings, indent=1))
        said = len(self.text())
        self.child = process.start([PROGRAM, "run", "agent", "--config", self.folder / "etc" / "agent.yaml"], self.log)
        wait.until(lambda: "parent info ready" in self.text()[said:] or self.child.poll() is not None, "the agent is ready", 15, 0.01)
        assert self.child.poll() is None, self.text()
        return self

    def stop(self):
        if self.child:
            child, self.child = self.child, None
            code = process.stop(child)
            assert code == 0, f"the agent ended with {code}:\n{self.text()[-4000:]}"

    def pid(self, role):
        """The newest process of a role."""
        return int(re.findall(rf" role_started name={role} pid=(\d+)", self.text())[-1])

    def close(self):
        self.stop()
        self.server.shutdown()
        self.server.server_close()
