"""Servers that are there to be scanned: those of lib/ that are deployed to elsewhere, and some that only show a certificate."""
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

from lib import databases, mail, pki, services

NAME = services.NAME


class Shown(services.Service):
    """Shows its certificate and does nothing else; `protocol` is what is spoken before TLS."""
    protocol = ""

    def text(self):
        return ""

    def ports(self):
        return [f"{self.port}/{self.protocol}" if self.protocol else str(self.port)]

    def certificates(self):
        return [self.cert]

    def _answers(self):
        assert self.child.poll() is None, (self.folder / "output.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


class Nginx(Shown):
    """Two certificates, by the kind of key."""

    def __init__(self, folder):
        self.second = folder / "ec.pem", folder / "ec.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.second[1], "-out", self.second[0], "-subj", "/CN=rsa", "-days", "9"],
                       check=True, capture_output=True)
        super().__init__(folder)

    def text(self):
        pair = "".join(f"ssl_certificate {c}; ssl_certificate_key {k};" for c, k in ((self.cert, self.key), self.second))
        return (f"daemon off; pid {self.folder}/pid; error_log stderr; events {{}} http {{ access_log off; "
                + "".join(f"{kind}_temp_path {self.folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
                + f"server {{ listen 127.0.0.1:{self.port} ssl http2; ssl_protocols TLSv1.2 TLSv1.3; {pair} }} }}")

    def program(self):
        return ["/usr/sbin/nginx", "-c", self.conf, "-p", self.folder, "-e", "stderr"]

    def certificates(self):
        return [self.cert, self.second[0]]


class Stunnel(Shown):
    def text(self):
        return (f"foreground = yes\npid =\n[shown]\naccept = 127.0.0.1:{self.port}\nconnect = 127.0.0.1:9\ncert = {self.cert}\nkey = {self.key}\n")

    def program(self):
        return ["/usr/bin/stunnel4", self.conf]


class Prosody(Shown):
    protocol = "xmpp"

    def write(self, broken=""):
        self.conf = self.folder / "prosody.cfg.lua"  # by this it knows the format
        super().write(broken)

    def text(self):
        (self.folder / "data").mkdir()
        return (f'run_as_root = true\npidfile = "{self.folder}/pid"\ndata_path = "{self.folder}/data"\ninterfaces = {{ "127.0.0.1" }}\n'
                f'c2s_ports = {{ {self.port} }}\ns2s_ports = {{}}\nmodules_enabled = {{ "tls" }}\nmodules_disabled = {{ "s2s", "posix" }}\n'
                f'log = {{ info = "*console" }}\nssl = {{ certificate = "{self.cert}"; key = "{self.key}" }}\nVirtualHost "{NAME}"\n')

    def program(self):
        return ["/usr/bin/prosody", "-F", "--config", self.conf]


class Xrdp(Shown):
    protocol = "rdp"

    def text(self):
        return (f"[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:{self.port}\nsecurity_layer=tls\ncertificate={self.cert}\n"
                f"key_file={self.key}\nssl_protocols=TLSv1.2, TLSv1.3\n[Logging]\nLogFile={self.folder}/xrdp.log\nLogLevel=INFO\n"
                "[Channels]\n[Xorg]\nname=Xorg\nlib=libxup.so\nip=127.0.0.1\nport=-1\ncode=20\n")

    def program(self):
        return ["/usr/sbin/xrdp", "--nodaemon", "--config", self.conf]


class Gnutls(Shown):
    """TLS 1.3 alone, no answer without a key share of its one group."""

    def program(self):
        return ["/usr/bin/gnutls-serv", "--quiet", "--echo", "--port", self.port, "--x509certfile", self.cert, "--x509keyfile", self.key,
                "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP521R1", "--disable-client-cert"]


class Openssl(Shown):
    """Old: TLS 1.0 alone, with suites that nobody likes any more, and a client certificate is asked for."""
    arguments = ["-tls1", "-cipher", "ALL:@SECLEVEL=0", "-verify", "1"]

    def program(self):
        return ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{self.port}", "-cert", self.cert, "-key", self.key, *self.arguments]


class OpensslNew(Openssl):
    arguments = ["-tls1_3", "-groups", "P-384"]


class Known:
    """A server of the other tests, as these ones."""

    def __init__(self, kind, folder):
        self.one = kind(folder)
        self.start, self.stop = self.one.start, self.one.stop

    def ports(self):
        if isinstance(self.one, databases.Database):
            return [f"{e.split('/')[2].split(':')[1]}/{e.split(':')[0]}" if "://" in e else e.split("/")[0].split(":")[1] for e in self.one.endpoints()]
        return [str(self.one.port)]

    def certificates(self):
        return [self.one.cert]


OWN = [Nginx, Stunnel, Prosody, Xrdp, Gnutls, Openssl, OpensslNew]
KNOWN = [services.Apache, databases.Openldap, databases.Postgresql, databases.Mariadb, databases.Proftpd, mail.Postfix, mail.Dovecot]


class All:
    def __init__(self, folder):
        def make(kind):
            place = folder / kind.__name__
            place.mkdir()
            place.chmod(0o755)
            server = kind(place) if kind in OWN else Known(kind, place)
            server.start()
            return server

        self.folder, self.servers = folder, []
        self.pool = ThreadPoolExecutor(len(OWN + KNOWN))  # a server ends with the thread that started it
        jobs = [(kind, self.pool.submit(make, kind)) for kind in OWN + KNOWN]
        trouble = []
        for kind, job in jobs:
            if job.exception():
                trouble.append(f"{kind.__name__}: {job.exception()!r}")
            else:
                self.servers.append(job.result())
        if trouble:
            self.stop()
            raise AssertionError("\n".join(trouble))

    def expected(self):
        """By port: the fingerprints to be found there."""
        found = {}
        for server in self.servers:
            prints = set()
            for path in server.certificates():
                prints.add(pki.fingerprint(pki.read_chain(path.read_text())[0]))
            for port in server.ports():
                found[port] = prints
        return found

    def stop(self):
        list(self.pool.map(lambda s: s.stop(), self.servers))
        self.pool.shutdown()
        shutil.rmtree(self.folder)
