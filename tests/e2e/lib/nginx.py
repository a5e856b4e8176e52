"""A private nginx: its own configuration, ports and folders."""
import http.client
import os
import signal
import subprocess
from pathlib import Path

from lib import pki, process, wait

PROGRAM = "/usr/sbin/nginx"
REDIRECT = "return 301 https://$host$request_uri;"


class Block:
    """A server block with TLS; its certificate begins as a self-signed one of a day."""

    def __init__(self, folder, names, port, stem=None, more=""):
        self.names, self.port, self.more = names, port, more
        stem = stem or names[0]
        self.cert, self.key = folder / f"{stem}.pem", folder / f"{stem}.key"
        if not self.cert.exists():
            cert, key = pki.self_signed(names)
            self.cert.write_bytes(pki.pem(cert))
            self.key.write_bytes(pki.key_pem(key))
            self.key.chmod(0o600)

    def text(self):
        return (f"    server {{\n        listen 127.0.0.1:{self.port} ssl;\n        server_name {' '.join(self.names)};\n"
                f"        ssl_certificate {self.cert};\n        ssl_certificate_key {self.key};\n        {self.more}\n"
                f"        location / {{ return 200 \"ok\\n\"; }}\n    }}\n")


class Nginx:
    def __init__(self, folder, http_port, names=("www.example.org",)):
        self.folder, self.http_port, self.https_port = folder, http_port, wait.free_port()
        self.certs, self.bin, self.log, self.webroot = folder / "certs", folder / "bin", folder / "error.log", folder / "webroot"
        for path in (self.certs, self.bin, self.webroot):
            path.mkdir()
        self.conf = folder / "nginx.conf"
        self.blocks = [Block(self.certs, list(names), self.https_port)]
        self.http, self.more, self.child = [REDIRECT], "", None
        for command, arguments in (("dump", "-T"), ("check", "-t"), ("reload", "-s reload")):
            self.command(command, f'exec {PROGRAM} -c {self.conf} -p {folder} {arguments}')
        self.write()

    @property
    def block(self):
        return self.blocks[0]

    def command(self, which, text):
        """What the agent's command nginx-WHICH does, as a line of shell: tests replace it to play a part."""
        path = self.bin / which
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def real(self, which):
        return f'{PROGRAM} -c {self.conf} -p {self.folder} {dict(dump="-T", check="-t", reload="-s reload")[which]}'

    @property
    def commands(self):
        return {f"nginx-{c}": [str(self.bin / c)] for c in ("dump", "check", "reload")}

    def add(self, *names, port=None, **kw):
        block = Block(self.certs, list(names), port or self.https_port, **kw)
        self.blocks.append(block)
        self.write()
        return block

    def write(self):
        temp = "".join(f"    {k}_temp_path {self.folder}/tmp-{k};\n" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        http = "".join(f"    server {{\n        listen 127.0.0.1:{self.http_port};\n        server_name _;\n        {body}\n    }}\n" for body in self.http)
        self.conf.write_text(f"daemon off;\npid {self.folder}/nginx.pid;\nerror_log {self.log};\nworker_processes 1;\n{self.more}\n"
                             f"events {{}}\nhttp {{\n    access_log off;\n{temp}{http}{''.join(b.text() for b in self.blocks)}}}\n")

    def start(self):
        self.child = process.start([PROGRAM, "-c", self.conf, "-p", self.folder], self.folder / "output.log")
        wait.until(self._answers, "nginx answers", 10, 0.01)
        return self

    def _answers(self):
        assert self.child.poll() is None, (self.folder / "output.log").read_text()
        try:
            pki.served(self.blocks[0].port, self.blocks[0].names[0])
            return True
        except OSError:
            return False

    def stop(self):
        if self.child and self.child.poll() is None:
            process.stop(self.child)
        self.child = None

    def workers(self):
        return Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()

    def settled(self):
        """Waits until the workers of before a reload are gone; for a tenth of a second both answer."""
        wait.until(lambda: len(self.workers()) == 1, "one worker is left", 5, 0.01)

    def reload(self):
        """By hand, as an owner does it."""
        subprocess.run([PROGRAM, "-c", str(self.conf), "-p", str(self.folder), "-t"], check=True, stderr=subprocess.DEVNULL)
        before = self.workers()
        os.kill(self.child.pid, signal.SIGHUP)
        wait.until(lambda: not set(before) & set(self.workers()), "the workers of before are gone", 5, 0.01)

    def served(self, name=None, port=None):
        return pki.served(port or self.https_port, name or self.block.names[0])

    def shows(self, fingerprint, name=None, port=None):
        """Whether connections show it, once all workers are those of the last reload."""
        self.settled()
        seen = pki.fingerprint(self.served(name, port))
        assert seen == fingerprint, f"{seen} is served, not {fingerprint}"

    def get(self, path, host="www.example.org"):
        """Asks the plain listener; returns status and body."""
        c = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        try:
            c.request("GET", path, headers={"Host": host})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()
