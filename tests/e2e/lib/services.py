"""Private web servers and proxies besides nginx: each with its own configuration, port and folder, and a self-signed certificate."""
import socket

from lib import pki, process, wait

NAME = "www.example.org"


class Service:
    """What all have in common; a class each says how it is configured, started, checked and reloaded."""
    connector = None
    combined = False

    def __init__(self, folder):
        self.folder, self.port, self.child = folder, wait.free_port(), None
        self.cert, self.key, self.conf = folder / "site.pem", folder / "site.key", folder / "service.conf"
        cert, key = pki.self_signed([NAME])
        self.cert.write_bytes((pki.key_pem(key) if self.combined else b"") + pki.pem(cert))
        self.cert.chmod(0o600)
        if not self.combined:
            self.key.write_bytes(pki.key_pem(key))
            self.key.chmod(0o600)
        self.write()

    def write(self, broken=""):
        self.conf.write_text(self.text() + broken)

    @property
    def parameters(self):
        if self.combined:
            return ["--set", f"combined={self.cert}"]
        return ["--set", f"certificate={self.cert}", "--set", f"key={self.key}"]

    @property
    def commands(self):
        known = {f"{self.connector}-reload": self.reload()}
        if self.check():
            known[f"{self.connector}-check"] = self.check()
        return known

    def check(self):
        """None: it has no way to look at a configuration without taking it."""
        return None

    def start(self):
        self.child = process.start(self.program(), self.folder / "output.log")
        wait.until(self._answers, f"{self.connector} answers", 15, 0.02)
        return self

    def _answers(self):
        assert self.child.poll() is None, (self.folder / "output.log").read_text()
        try:
            return self.served()
        except OSError:
            return None

    def served(self):
        return pki.served(self.port, NAME)

    def stop(self):
        if self.child and self.child.poll() is None:
            process.stop(self.child)


class Apache(Service):
    connector = "apache"

    def text(self):
        modules = "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n" for m in ("mpm_event", "authz_core", "ssl", "socache_shmcb"))
        return (f"{modules}ServerRoot {self.folder}\nServerName {NAME}\nPidFile {self.folder}/apache.pid\nErrorLog {self.folder}/error.log\n"
                f"DefaultRuntimeDir {self.folder}\nDocumentRoot {self.folder}\nUser nobody\nGroup nogroup\nListen 127.0.0.1:{self.port}\n"
                f"<VirtualHost 127.0.0.1:{self.port}>\n  ServerName {NAME}\n  SSLEngine on\n  SSLCertificateFile {self.cert}\n"
                f"  SSLCertificateKeyFile {self.key}\n</VirtualHost>\n")

    def program(self):
        return ["/usr/sbin/apache2", "-f", self.conf, "-D", "FOREGROUND"]

    def check(self):
        return ["/usr/sbin/apache2", "-f", str(self.conf), "-t"]

    def reload(self):
        return ["/usr/sbin/apache2", "-f", str(self.conf), "-k", "graceful"]


class Haproxy(Service):
    connector = "haproxy"
    combined = True

    def text(self):
        return (f"global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
                f"frontend tls\n  bind 127.0.0.1:{self.port} ssl crt {self.cert}\n  http-request return status 200\n")

    def program(self):
        return ["/usr/sbin/haproxy", "-W", "-db", "-p", self.folder / "haproxy.pid", "-f", self.conf]

    def check(self):
        return ["/usr/sbin/haproxy", "-c", "-q", "-f", str(self.conf)]

    def reload(self):
        """The master takes its configuration anew at SIGUSR2."""
        return ["/bin/kill", "-USR2", str(self.child.pid)]


class HaproxySocket(Haproxy):
    connector = "haproxy-socket"
    level = "admin"

    def text(self):
        other = self.folder / "other.pem"
        if not other.exists():
            cert, key = pki.self_signed(["other.example.org"])
            other.write_bytes(pki.key_pem(key) + pki.pem(cert))
        self.other = getattr(self, "other", None) or wait.free_port()
        return (super().text().replace("global\n", f"global\n  stats socket {self.socket} mode 600 level {self.level}\n") +
                f"frontend other\n  bind 127.0.0.1:{self.other} ssl crt {other}\n  http-request return status 200\n")

    @property
    def socket(self):
        return self.folder / "admin.sock"

    @property
    def parameters(self):
        return [*super().parameters, "--set", f"socket={self.socket}"]

    @property
    def commands(self):
        return {"haproxy-check": self.check()}

    def say(self, text):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(self.socket))
            s.sendall(text.encode())
            answer = b""
            while more := s.recv(65536):
                answer += more
            return answer.decode()


class Lighttpd(Service):
    connector = "lighttpd"

    def text(self):
        return (f'server.modules = ("mod_openssl")\nserver.document-root = "{self.folder}"\nserver.bind = "127.0.0.1"\n'
                f'server.port = {self.port}\nserver.pid-file = "{self.folder}/lighttpd.pid"\nserver.errorlog = "{self.folder}/error.log"\n'
                f'ssl.engine = "enable"\nssl.pemfile = "{self.cert}"\nssl.privkey = "{self.key}"\n')

    def program(self):
        return ["/usr/sbin/lighttpd", "-D", "-f", self.conf]

    def check(self):
        return ["/usr/sbin/lighttpd", "-tt", "-f", str(self.conf)]

    def reload(self):
        """SIGUSR1: a graceful restart."""
        return ["/bin/kill", "-USR1", str(self.child.pid)]


class Mosquitto(Service):
    connector = "mosquitto"

    def text(self):
        return (f"user root\nallow_anonymous true\npersistence false\nlistener {self.port} 127.0.0.1\ncertfile {self.cert}\n"
                f"keyfile {self.key}\n")

    def program(self):
        return ["/usr/sbin/mosquitto", "-c", self.conf]

    def reload(self):
        """SIGHUP: certificates are read again."""
        return ["/bin/kill", "-HUP", str(self.child.pid)]


class Redis(Service):
    connector = "redis"

    def text(self):
        return (f"bind 127.0.0.1\nport 0\nunixsocket {self.folder}/redis.sock\ntls-port {self.port}\ntls-auth-clients no\ndaemonize no\n"
                f'save ""\ndir {self.folder}\ntls-cert-file {self.cert}\ntls-key-file {self.key}\n')

    def program(self):
        return ["/usr/bin/redis-server", self.conf]

    def reload(self):
        """The same files set anew are read again."""
        return ["/usr/bin/redis-cli", "-e", "-s", f"{self.folder}/redis.sock", "CONFIG", "SET", "tls-cert-file", str(self.cert),
                "tls-key-file", str(self.key)]


ALL = [Apache, Haproxy, Lighttpd, Mosquitto, Redis]
