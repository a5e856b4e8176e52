"""What the demonstration (tools/demo) needs around it: a folder, ports, and the programs nginx, hub, Pebble and its DNS."""
import ctypes
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("CERTWRIGHT", str(ROOT / "build" / "dev" / "certwright"))
WWW, SHOP = "www.example.org", "shop.example.org"
LOOPBACK = "127.0.0.1"
# The usual ports; others where somebody has these.
PORTS = {"https": 18443, "status": 18080, "nginx_https": 18444, "nginx_http": 18081,
         "pebble": 18445, "pebble_manage": 18446, "agents": 18447, "dns": 18053}
UID_BASE = 62000  # as root, the roles run as this user id and those after it
NEEDED = {"/usr/sbin/nginx": "nginx", "/usr/bin/openssl": "openssl", "/usr/bin/pebble": "pebble"}

NGINX = """daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log; worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/tmp1; proxy_temp_path {dir}/tmp2; fastcgi_temp_path {dir}/tmp3; uwsgi_temp_path {dir}/tmp4;
    scgi_temp_path {dir}/tmp5;
    server {{
        listen 127.0.0.1:{http}; server_name {www} {shop};
        return 301 https://$host$request_uri;
    }}
    server {{
        listen 127.0.0.1:{https} ssl; server_name {www};
        ssl_certificate {dir}/www.pem; ssl_certificate_key {dir}/www.key;
        return 200 "This is {www}\\n";
    }}
    server {{
        listen 127.0.0.1:{https} ssl; server_name {shop};
        ssl_certificate {dir}/shop.pem; ssl_certificate_key {dir}/shop.key;
        return 200 "This is {shop}\\n";
    }}
    include {dir}/conf.d/*.conf;
}}
"""
# Good as long as www.pem is not replaced: somebody keeps a copy of the key, and uses it with the certificate that we manage.
MISTAKE = """server {{
    listen 127.0.0.1:{https} ssl; server_name intranet.example.org;
    ssl_certificate {dir}/www.pem; ssl_certificate_key {dir}/copy-of-www.key;
}}
"""


class Stop(Exception):
    """What ends the demonstration with one line for the reader."""


def place():
    """The folder of everything: ./var (or what CERTWRIGHT_DEMO names), or one in /var/tmp that ./var points to.  The roles have user ids of their own, so every
    folder above must let them through; and the path of a socket has at most 107 bytes."""
    var = Path(os.environ.get("CERTWRIGHT_DEMO", ROOT / "var"))
    if var.is_symlink() and not var.exists():
        var.unlink()
    if not var.exists():
        closed = os.geteuid() == 0 and any(not p.stat().st_mode & stat.S_IXOTH for p in [ROOT, *ROOT.parents])
        if closed or len(str(var)) > 80:
            other = tempfile.mkdtemp(prefix="certwright-demo-", dir="/var/tmp")
            os.chmod(other, 0o755)
            var.symlink_to(other)
            why = "the roles have user ids of their own, which cannot get to it" if closed else "its path is too long for sockets"
            print(f"(var points to {other}: {why})")
        else:
            var.mkdir(mode=0o755)
    if var.stat().st_uid != os.geteuid():
        raise Stop(f"{var} belongs to user id {var.stat().st_uid}: run this as that user, or begin anew with: rm -rf var")
    return var.resolve()


def port_free(port, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def openssl(*words, text=None, check=True):
    feed = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
    return subprocess.run(["openssl", *words], capture_output=True, text=True, check=check, **feed).stdout


def self_signed(base, name, days, *more):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days),
            "-subj", f"/CN={name}", "-keyout", f"{base}.key", "-out", f"{base}.pem", *more)


class World:
    def __init__(self):
        missing = [package for path, package in NEEDED.items() if not os.access(path, os.X_OK)]
        if missing:
            raise Stop(f"missing: {', '.join(missing)}; run as root: apt-get install --no-install-recommends {' '.join(missing)}")
        if not os.access(PROGRAM, os.X_OK):
            raise Stop(f"{PROGRAM} is not there; run: make")
        self.var = var = place()
        self.nginx_dir, self.pebble_dir = var / "nginx", var / "pebble"
        self.mistake = self.nginx_dir / "conf.d" / "mistake.conf"
        self.begun = time.monotonic()
        self.children = []  # (name, process), in the order of their start
        self.notes_file = var / "demo.json"
        self.notes = {"ports": {}, "told": [], "sign_in": ""}
        if self.notes_file.exists():
            self.notes = json.loads(self.notes_file.read_text())
        self.lock = open(var / "lock", "w", encoding="ascii")  # held as long as we live
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(f"another demonstration runs in {var}: end it first") from None
        self.take_ports()

    # --- what is printed

    def chapter(self, text):
        print(f"\n[{time.monotonic() - self.begun:6.2f} s]  {text}", flush=True)

    @staticmethod
    def say(text):
        for line in text.rstrip().splitlines():
            print(f"    {line}", flush=True)

    def took(self, since):
        self.say(f"→ {(time.monotonic() - since) * 1000:.0f} ms")

    # --- what is remembered

    def note(self, **changes):
        self.notes.update(changes)
        new = self.notes_file.with_suffix(".new")
        new.write_text(json.dumps(self.notes, indent=2) + "\n")
        new.rename(self.notes_file)

    def told(self, chapter):
        return chapter in self.notes["told"]

    def tell(self, chapter):
        self.note(told=[*self.notes["told"], chapter])

    def take_ports(self):
        """From the first run on the same ones: they are in certificates."""
        ports = self.notes["ports"]
        for name, usual in PORTS.items():
            kind = socket.SOCK_DGRAM if name == "dns" else socket.SOCK_STREAM
            known = ports.get(name)
            port = next((p for p in ([known] if known else range(usual, usual + 2000, 10)) if port_free(p, kind)), None)
            if not port:
                raise Stop(f"port {known or usual} of {LOOPBACK} ({name}) is in use: end the program that has it"
                           + (", or begin anew with: rm -rf var" if known else ""))
            ports[name] = port
        self.note(ports=ports)
        self.ports = ports

    # --- the programs

    def start(self, name, argv, works, **env):
        """Starts a program that ends with us, however we end; its words go to var/NAME.log.  Waits until it works."""
        def tie():
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        path = self.var / f"{name}.log"
        with open(path, "ab") as log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                     preexec_fn=tie, env={**os.environ, **env}, cwd=self.var)
        self.children.append((name, child))
        until = time.monotonic() + 20
        while not works():
            if child.poll() is not None or time.monotonic() > until:
                end = path.read_text(errors="replace").splitlines()[-8:]
                raise Stop("\n  ".join([f"{name} did not start; the end of {path}:", *end]))
            time.sleep(0.005)

    def answers(self, port):
        with socket.socket() as s:
            return s.connect_ex((LOOPBACK, self.ports[port])) == 0

    def dns_answers(self):
        """Asked, not tried by a bind, which would take the port away from the server at the moment it wants it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            try:
                s.connect((LOOPBACK, self.ports["dns"]))
                s.send(b"\0\1" b"\0\0" b"\0\1" b"\0\0\0\0\0\0" b"\1a\0" b"\0\1\0\1")
                return len(s.recv(512)) > 0
            except OSError:
                return False

    def end_all(self):
        """The last that was started ends first.  The hub takes its time to finish what is under way."""
        for name, child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                print(f"{name} does not end; killed", file=sys.stderr)
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self.mistake.unlink(missing_ok=True)

    def certwright(self, *words, expect=(0,), show=None):
        """Runs a command, indented as it speaks; returns what it said and its exit code."""
        self.say("$ certwright " + (show or shlex.join(words)))
        since, said = time.monotonic(), []
        with subprocess.Popen([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", env={**os.environ, "CERTWRIGHT_SOCKET": str(self.var / "run/admin.sock")}) as child:
            for line in child.stdout:
                said.append(line)
                self.say(line)
        self.took(since)
        if child.returncode not in expect:
            raise Stop(f"exit code {child.returncode}, and {expect[0]} was expected; more is in {self.var}/hub.log")
        return "".join(said), child.returncode

    def ask(self, *words):
        """What a command says, without a word to the reader; nothing where it fails."""
        done = subprocess.run([PROGRAM, "--socket", str(self.var / "run/admin.sock"), *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    # --- nginx

    def nginx(self, *words):
        here = str(self.nginx_dir)
        return ["/usr/sbin/nginx", "-e", f"{here}/error.log", "-p", here, "-c", f"{here}/nginx.conf", *words]

    def start_nginx(self):
        """A server with two names, each with a self-signed certificate that ends tomorrow."""
        (self.nginx_dir / "conf.d").mkdir(parents=True, exist_ok=True)
        self.mistake.unlink(missing_ok=True)  # of a run that was killed
        if not (self.nginx_dir / "nginx.conf").exists():
            for name in (WWW, SHOP):
                self_signed(self.nginx_dir / name.split(".", maxsplit=1)[0], name, 1, "-addext", f"subjectAltName=DNS:{name}")
            (self.nginx_dir / "nginx.conf").write_text(NGINX.format(
                dir=self.nginx_dir, http=self.ports["nginx_http"], https=self.ports["nginx_https"], www=WWW, shop=SHOP))
        self.start("nginx", self.nginx(), lambda: self.answers("nginx_https"))

    def make_mistake(self):
        shutil.copy(self.nginx_dir / "www.key", self.nginx_dir / "copy-of-www.key")
        self.mistake.write_text(MISTAKE.format(dir=self.nginx_dir, https=self.ports["nginx_https"]))

    def look(self, name):
        """What openssl, which knows nothing of certwright, sees at nginx: the certificate's fingerprint, and words."""
        roots = ["-CAfile", str(self.var / "roots.pem")] if (self.var / "roots.pem").exists() else []
        seen = openssl("s_client", "-connect", f"{LOOPBACK}:{self.ports['nginx_https']}", "-servername", name,
                       "-verify_hostname", name, *roots, check=False)
        pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", seen, re.S)
        if not pem:
            raise Stop(f"nginx shows no certificate for {name}; see {self.nginx_dir}/error.log")
        text = openssl("x509", "-noout", "-issuer", "-enddate", "-fingerprint", "-sha256", text=pem.group())
        fact = dict(line.split("=", 1) for line in text.splitlines())
        fingerprint = fact["sha256 Fingerprint"].replace(":", "").lower()
        verdict = re.search(r"Verify return code: \d+ \((.*)\)", seen)
        return fingerprint, (f"SHA-256 {fingerprint[:16]}, issuer {fact['issuer'].strip()}, until {fact['notAfter']}; "
                             f"verification: {verdict.group(1) if verdict else '?'}")

    # --- the hub

    def set_up_hub(self):
        for name in ("etc", "state", "run", "connectors", "dns", "enroll", "issuers"):
            shutil.rmtree(self.var / name, ignore_errors=True)  # of a run that was interrupted here
        # Our own copy, whoever owns the tree: what decides on a host must not be writable for others.
        for name in ("connectors", "dns", "enroll", "issuers"):
            shutil.copytree(ROOT / name, self.var / name)
        words = ["init", "--name", "Demo", "--config-dir", f"{self.var}/etc", "--state", f"{self.var}/state",
                 "--run-dir", f"{self.var}/run", "--address", LOOPBACK, "--https-port", str(self.ports["https"]),
                 "--agents-port", str(self.ports["agents"]),
                 "--status-port", str(self.ports["status"]), "--hostname", f"localhost,{LOOPBACK}",
                 "--connectors-dir", f"{self.var}/connectors"]
        if os.geteuid() == 0:
            words += ["--uid-base", str(UID_BASE)]
        said, _ = self.certwright(*words, show="init --name Demo --config-dir var/etc --state var/state …")
        link = re.search(r"https://\S+code=\S+", said)
        config = {"name": "demo", "hub": f"{self.var}/run/agent.sock", "state": f"{self.var}/state/agent",
                  "connectors_dir": f"{self.var}/connectors", "connectors": ["nginx"], "paths": [str(self.nginx_dir)],
                  "networks": {"probe": ["127.0.0.0/8"], "relay": ["127.0.0.0/8"]},
                  "http01": {"address": LOOPBACK, "port": self.ports["nginx_http"]},
                  "commands": {"nginx-dump": self.nginx("-T"), "nginx-check": self.nginx("-t"),
                               "nginx-reload": self.nginx("-s", "reload")}}
        (self.var / "etc/agent.yaml").write_text(  # JSON is YAML too
            "# What certwright may do on this host, and nothing else.\n" + json.dumps(config, indent=2) + "\n")
        self.note(sign_in=link.group() if link else "")

    def start_hub(self):
        self.start("hub", [PROGRAM, "run", "hub", "--config", f"{self.var}/etc/hub.yaml"], lambda: "1 agent" in self.ask("status"))
        (self.var / "fleet.pem").write_text(self.ask("ca", "export", "fleet"))
        self.learn_roots()

    def learn_roots(self):
        """What openssl shall trust: our own root, and those of Pebble."""
        pebble = self.pebble_dir / "roots.pem"
        own = self.ask("ca", "export", "issuing", "--what", "root")
        (self.var / "roots.pem").write_text(own + (pebble.read_text() if pebble.exists() else ""))

    # --- Pebble

    def start_pebble(self):
        """An ACME CA with an HTTPS certificate of another root.  It forgets everything when it ends, and starts as a new CA."""
        here, ports = self.pebble_dir, self.ports
        here.mkdir(exist_ok=True)
        if not (here / "config.json").exists():
            self_signed(here / "https-root", "HTTPS of Pebble", 3650)
            self_signed(here / "https", "localhost", 3650, "-CA", f"{here}/https-root.pem", "-CAkey", f"{here}/https-root.key",
                        "-addext", f"subjectAltName=IP:{LOOPBACK}", "-addext", "basicConstraints=critical,CA:FALSE")
            (here / "config.json").write_text(json.dumps({"pebble": {
                "listenAddress": f"{LOOPBACK}:{ports['pebble']}", "managementListenAddress": f"{LOOPBACK}:{ports['pebble_manage']}",
                "certificate": f"{here}/https.pem", "privateKey": f"{here}/https.key",
                "httpPort": ports["nginx_http"], "tlsPort": 1}}))
        self.start("dns", [f"{ROOT}/tools/demo-dns", str(ports["dns"])], self.dns_answers)
        self.start("pebble", ["/usr/bin/pebble", "-config", f"{here}/config.json", "-dnsserver", f"{LOOPBACK}:{ports['dns']}"],
                   lambda: self.answers("pebble") and self.answers("pebble_manage"), PEBBLE_VA_SLEEPTIME="2")
        with urllib.request.urlopen(f"https://{LOOPBACK}:{ports['pebble_manage']}/roots/0", timeout=10,
                                    context=ssl.create_default_context(cafile=here / "https-root.pem")) as answer:
            root = answer.read().decode("ascii")
        roots = here / "roots.pem"
        roots.write_text((roots if roots.exists() else here / "https-root.pem").read_text() + root)
        if self.told("issuer"):
            self.ask("issuer", "edit", "pebble", "--roots", str(roots))
        self.learn_roots()
