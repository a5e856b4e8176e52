"""Caddy's acme_server (Debian's caddy), an implementation of its own: a second CA beside Pebble.

It looks for http-01 answers at port 80 and finds names as its host does, so it runs in a mount namespace of its own with an
/etc/hosts that says where the names of the tests are: an address of 127.0.0.0/8 that no other test uses."""
import requests

from lib import pki, process, wait


class CaddyCa:
    def __init__(self, folder, address, names):
        self.folder, self.port, self.log, self.child = folder, wait.free_port(), folder / "caddy.log", None
        self.root = pki.Root("HTTPS of Caddy")
        cert, key, self.roots = self.root.write(folder, ["127.0.0.1"], "caddy")
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{address} {n}\n" for n in names))
        (folder / "Caddyfile").write_text(f"""{{
            admin off
            auto_https off
            skip_install_trust
            storage file_system {folder}/data
        }}
        https://127.0.0.1:{self.port} {{
            tls {cert} {key}
            acme_server
        }}
        """)
        self.directory = f"https://127.0.0.1:{self.port}/acme/local/directory"

    def start(self):
        script = f"mount --bind {self.folder}/hosts /etc/hosts && exec caddy run --adapter caddyfile --config {self.folder}/Caddyfile"
        self.child = process.start(["unshare", "-m", "sh", "-c", script], self.log,
                                   {"XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder), "HOME": str(self.folder)})
        wait.until(self._answers, "Caddy answers", 20)
        self.all_roots = self.folder / "all-roots.pem"
        self.all_roots.write_text((self.folder / "data/pki/authorities/local/root.crt").read_text() + self.roots.read_text())
        return self

    def _answers(self):
        assert self.child.poll() is None, self.log.read_text()
        try:
            with requests.Session() as s:
                s.trust_env, s.verify = False, str(self.roots)
                return s.get(self.directory, timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self):
        if self.child and self.child.poll() is None:
            process.stop(self.child)
        self.child = None
