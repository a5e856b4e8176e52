"""Private mail servers: each with several ports that show one certificate, after STARTTLS or with TLS from the start."""
import grp
import imaplib
import os
import pwd
import smtplib
import ssl
import subprocess
import time
from pathlib import Path

from lib import process, wait
from lib.databases import ROOT, Database
from lib.services import NAME

CAREFREE = ssl.create_default_context()
CAREFREE.check_hostname, CAREFREE.verify_mode = False, ssl.CERT_NONE
TOOLS = Path(__file__).resolve().parents[3] / "tools"


class Mail(Database):
    """`ports` says what is spoken before TLS on each port: "" nothing; `complaint` is what its check says when broken."""
    ports = ()
    complaint = None
    needs_root = True

    def __init__(self, folder):
        self.at = [(protocol, wait.free_port()) for protocol in self.ports]
        super().__init__(folder)

    def endpoints(self):
        return [f"{protocol}://127.0.0.1:{port}/{NAME}" if protocol else f"127.0.0.1:{port}/{NAME}" for protocol, port in self.at]

    def session(self):
        """Somebody who has begun TLS and goes on: what is asked now and then, and answers whether all is well."""
        client = smtplib.SMTP("127.0.0.1", self.at[0][1], timeout=10)
        client.starttls(context=CAREFREE)
        client.ehlo()
        return lambda: client.noop()[0] == 250

    def dump(self):
        """What shows the agent the places of the configuration."""
        raise NotImplementedError

    def places(self):
        """What there is to be found: the certificate's file, other parameters, names, and endpoints."""
        return [(self.cert, [str(path) for path in self.files[1:]], [NAME], self.at)]

    @property
    def commands(self):
        return {**super().commands, f"{self.connector}-dump": self.dump()}

    def give(self, *paths):
        super().give(*(path for path in paths if path.exists()))

    @property
    def files(self):
        return [self.cert] if self.combined else [self.cert, self.key]

    def other_files(self):
        """Copies of the files of now, for a configuration that names others than its target."""
        found = []
        for path in self.files:
            other = self.folder / f"other-{path.name}"
            other.write_bytes(path.read_bytes())
            other.chmod(0o600)
            self.give(other)
            found.append(other)
        return found


class Postfix(Mail):
    """An instance of its own, its program in the foreground, with nothing but what listens."""
    connector, ports, combined = "postfix", ("smtp", ""), True
    complaint = "missing '=' after attribute name"
    others = None

    @property
    def second(self):
        return self.folder / "second"

    def text(self):
        return (f"compatibility_level = 3.6\nqueue_directory = {self.folder}/queue\ndata_directory = {self.folder}/data\n"
                f"maillog_file = {self.folder}/mail.log\nmaillog_file_prefixes = {self.folder}\nmyhostname = {NAME}\n"
                f"inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmydestination =\nalias_maps =\nalias_database =\n"
                f"smtpd_tls_chain_files = {(self.others or self.files)[0]}\nsmtpd_tls_security_level = may\n")

    def prepare(self):
        postfix, postdrop = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        mine = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")
        for name, uid, gid, mode in [("queue", 0, 0, 0o755), ("queue/pid", 0, 0, 0o755), ("queue/public", postfix, postdrop, 0o710),
                                     ("queue/maildrop", postfix, postdrop, 0o730), ("data", postfix, 0, 0o700),
                                     *((f"queue/{name}", postfix, 0, 0o700) for name in mine)]:
            path = self.folder / name
            path.mkdir()
            path.chmod(mode)
            os.chown(path, uid, gid)
        self.prepare_second()
        (starttls, wrapped) = [port for _, port in self.at]
        (self.folder / "master.cf").write_text(
            f"127.0.0.1:{starttls} inet n - n - - smtpd\n127.0.0.1:{wrapped} inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n"
            "cleanup unix n - n - 0 cleanup\nrewrite unix - - n - - trivial-rewrite\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
            "anvil unix - - n - 1 anvil\nproxymap unix - - n - - proxymap\npostlog unix-dgram n - n - 1 postlogd\n")

    def write(self, broken=""):
        """As if it were some seconds old: until then every program of Postfix waits, lest somebody be writing still."""
        path = self.folder / "main.cf"
        path.write_text(self.text() + broken)
        os.utime(path, (time.time() - 60,) * 2)

    def program(self):
        """What "postfix start-fg" ends with; that itself would leave it behind when it is ended."""
        return ["/usr/lib/postfix/sbin/master", "-c", self.folder, "-d"]

    def check(self):
        return ["/usr/sbin/postconf", "-c", str(self.folder), "-n"]

    def reload(self):
        return ["/usr/sbin/postfix", "-c", str(self.folder), "reload"]

    def dump(self):
        return {"read": [str(self.folder / "main.cf"), str(self.folder / "master.cf")], "together": True}

    @property
    def commands(self):
        return {**super().commands, "postfix-check.second": ["/usr/sbin/postconf", "-c", str(self.second), "-n"],
                "postfix-reload.second": ["/usr/sbin/postfix", "-c", str(self.second), "reload"],
                "postfix-dump.second": {"read": [str(self.second / "main.cf"), str(self.second / "master.cf")], "together": True}}

    def prepare_second(self):
        """Another instance, which is not started: as Debian would configure it, with all that listens."""
        self.second.mkdir()
        (self.second / "site.pem").write_bytes(self.cert.read_bytes())
        lines = Path("/usr/share/postfix/master.cf.dist").read_text().splitlines()
        taken = ("submission", "submissions")
        (self.second / "master.cf").write_text("\n".join(s[1:] if s[1:].split(" ")[0] in taken else s for s in lines) + "\n")
        (self.second / "main.cf").write_text(
            f"compatibility_level = 3.6\nmyhostname = second.example.org\nsmtpd_tls_security_level = may\n"
            f"smtpd_tls_cert_file =\n    {self.second}/site.pem\nsmtpd_tls_key_file = $smtpd_tls_cert_file\n")
        subprocess.run(["/usr/sbin/postconf", "-c", self.second, "-n"], check=True, stdout=subprocess.DEVNULL)

    def places(self):
        """Services are known by their names, which stand for ports; the first instance, on ports of its own, has none of those."""
        return [(self.cert, [], [NAME], []),
                (self.second / "site.pem", ["postfix-check.second", "postfix-reload.second"], ["second.example.org"],
                 [("smtp", 25), ("smtp", 587), ("", 465)])]

    def keep_old(self, settings):
        """A process that waits for its next session has the old one; a new one would read the files: it is told to read others."""
        self.others = self.other_files()
        self.write()
        subprocess.run(self.reload(), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Dovecot(Mail):
    connector, ports, needs_root = "dovecot", ("imap", "pop3", "sieve", ""), False
    complaint = "Error in configuration file"

    def text(self):
        me = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(os.getegid()).gr_name
        users = "" if ROOT else f"default_internal_user = {me}\ndefault_internal_group = {group}\ndefault_login_user = {me}\n"
        reader = pwd.getpwnam("nobody" if ROOT else me)
        listeners = {"imap": ("imap-login", "imap"), "pop3": ("pop3-login", "pop3"), "sieve": ("managesieve-login", "sieve"),
                     "": ("imap-login", "imaps")}
        services = "".join(f"service {service} {{\n  chroot =\n  inet_listener {listener} {{\n    port = {port}\n  }}\n}}\n"
                           for (service, listener), port in ((listeners[protocol], port) for protocol, port in self.at))
        return (f"base_dir = {self.folder}/run\nstate_dir = {self.folder}/run\nlog_path = /dev/stderr\nlisten = 127.0.0.1\n"
                f"protocols = imap pop3 sieve\nssl = yes\nssl_cert = <{self.cert}\nssl_key = <{self.key}\n{users}{services}"
                "service pop3-login {\n  inet_listener pop3s {\n    port = 0\n  }\n}\n"
                "passdb {\n  driver = static\n  args = nopassword=y\n}\n"
                f"userdb {{\n  driver = static\n  args = uid={reader.pw_uid} gid={reader.pw_gid} home={self.folder}/mail\n}}\n"
                f"first_valid_uid = {reader.pw_uid}\nfirst_valid_gid = {reader.pw_gid}\nmail_location = maildir:~\n")

    def prepare(self):
        path = self.folder / "mail"
        path.mkdir()
        path.chmod(0o777)

    def session(self):
        client = imaplib.IMAP4("127.0.0.1", self.at[0][1], timeout=10)
        client.starttls(CAREFREE)
        client.login("reader", "any")
        return lambda: client.noop()[0] == "OK"

    def program(self):
        return ["/usr/sbin/dovecot", "-F", "-c", self.conf]

    def check(self):
        return ["/usr/bin/doveconf", "-c", str(self.conf), "-n"]

    def reload(self):
        return ["/usr/bin/doveadm", "-c", str(self.conf), "reload"]

    def places(self):
        """It has no name."""
        return [(cert, key, [], ends) for cert, key, _, ends in super().places()]

    def dump(self):
        services = [f"service/{s}-login" for s in ("imap", "pop3", "managesieve", "submission")]
        return ["/usr/bin/doveconf", "-c", str(self.conf), "-P", "ssl_cert", "ssl_key", "protocols", "listen", *services]


class Exim(Mail):
    """Not installed, since its package and Postfix's exclude each other: unpacked; the user it asks for is in files of its own."""
    connector, ports, account = "exim", ("smtp", ""), "mail"
    complaint = "Exim configuration error"
    others = None

    def __init__(self, folder):
        done = subprocess.run([TOOLS / "test-packages", "exim", "exim4-daemon-light", "exim4-base", "libidn12", "libnss-wrapper"],
                              stdout=subprocess.PIPE, check=True, text=True)
        self.root = Path(done.stdout.strip())
        super().__init__(folder)

    @property
    def exim(self):
        """The program as it is called."""
        env = {"LD_LIBRARY_PATH": f"{self.root}/usr/lib/x86_64-linux-gnu", "LD_PRELOAD": "libnss_wrapper.so",
               "NSS_WRAPPER_PASSWD": f"{self.folder}/passwd", "NSS_WRAPPER_GROUP": f"{self.folder}/group"}
        return ["/usr/bin/env", *(f"{k}={v}" for k, v in env.items()), f"{self.root}/usr/sbin/exim4", "-C", str(self.conf)]

    def text(self):
        cert, key = self.others or self.files
        ports = [port for _, port in self.at]
        return (f"exim_path = {self.root}/usr/sbin/exim4\n"
                "keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP\n"
                f"spool_directory = {self.folder}/spool\nlog_file_path = {self.folder}/exim-%slog\n"
                f"pid_file_path = {self.folder}/exim.pid\n"
                f"primary_hostname = {NAME}\nlocal_interfaces = 127.0.0.1\ndaemon_smtp_ports = {ports[0]} : {ports[1]}\n"
                f"tls_on_connect_ports = {ports[1]}\ntls_advertise_hosts = *\ntls_certificate = {cert}\ntls_privatekey = {key}\n")

    def prepare(self):
        user = pwd.getpwnam(self.account)
        for kind, line in ("passwd", f"{user.pw_uid}:{user.pw_gid}::/:/bin/false"), ("group", f"{user.pw_gid}:"):
            (self.folder / kind).write_text(f"Debian-exim:x:{line}\n{Path('/etc', kind).read_text()}")
        (self.folder / "spool").mkdir()
        self.give(self.folder / "spool")
        for name in "main", "panic", "reject":
            log = self.folder / f"exim-{name}log"
            log.touch()
            self.give(log)

    def program(self):
        return [*self.exim, "-bdf"]

    def check(self):
        return [*self.exim, "-bV"]

    def reload(self):
        return ["/bin/kill", "-HUP", str(self.child.pid)]

    def dump(self):
        options = ("tls_certificate", "tls_privatekey", "daemon_smtp_ports", "tls_on_connect_ports", "primary_hostname")
        return [*self.exim, "-bP", *options]

    def places(self):
        """Ports with TLS from the start are said; of the others 25 and 587 are known."""
        return [(cert, key, names, [e for e in ends if not e[0]]) for cert, key, names, ends in super().places()]

    def keep_old(self, settings):
        self.others = self.other_files()
        self.write()
        subprocess.run(self.reload(), check=True)


ALL = [Postfix, Dovecot, Exim]
