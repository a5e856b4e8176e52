"""Private servers of directories, databases and files: each runs as its own user, and speaks its protocol before TLS begins."""
import grp
import os
import pwd
import signal
import subprocess
from urllib.parse import quote

from lib import pki, process, wait
from lib.postgres import programs
from lib.services import NAME, Service

ROOT = os.geteuid() == 0
ME = pwd.getpwuid(os.geteuid()).pw_name


class Database(Service):
    """`starttls` is how an endpoint names the protocol, `account` the user that the server runs as, where the tests are root."""
    starttls = account = None

    def __init__(self, folder):
        self.user = self.account if ROOT and self.account else ME
        super().__init__(folder)
        self.give(self.cert, self.key)
        self.prepare()

    def prepare(self):
        """What has to be made once before the first start."""

    def give(self, *paths):
        """To the user that the server runs as."""
        who = pwd.getpwnam(self.user)
        for path in paths:
            os.chown(path, who.pw_uid, who.pw_gid)

    @property
    def parameters(self):
        return [*super().parameters, "--set", f"owner={self.user}"]

    def endpoints(self):
        return [f"{self.starttls}://127.0.0.1:{self.port}/{NAME}"]

    def _client(self, endpoint, *more):
        """openssl as a client; what it said, or an OSError."""
        protocol, _, rest = endpoint.rpartition("://")
        address, name = rest.split("/")
        begin = ["-starttls", protocol] if protocol else []
        done = subprocess.run(["openssl", "s_client", "-connect", address, "-servername", name, *begin, *more],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10, check=False)
        text = done.stdout.decode("utf-8", "replace")
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise OSError(f"{endpoint} shows no certificate:\n{text}")
        return text

    def served(self):
        """The certificate, which must be one at all endpoints."""
        found = [pki.read_chain(self._client(e))[0] for e in self.endpoints()]
        assert all(c == found[0] for c in found), "one certificate here, another there"
        return found[0]

    def trusted(self, roots):
        """Whether a client that trusts only the file `roots` accepts each endpoint; openssl's words."""
        strict = ["-CAfile", roots, "-no-CApath", "-no-CAstore", "-verify_hostname", NAME]
        said = [self._client(e, *strict) for e in self.endpoints()]
        return all("Verify return code: 0 (ok)" in text for text in said), "\n".join(said)

    def keep_old(self, settings):
        """Goes on with the certificate that it has, whatever its files hold."""
        settings["commands"][f"{self.connector}-reload"] = ["/bin/true"]


class Openldap(Database):
    """With its configuration in cn=config, as Debian has it; the check reads that folder."""
    connector, starttls, account = "openldap", "ldap", "openldap"

    def __init__(self, folder):
        self.tls_port, self.good = wait.free_port(), None
        super().__init__(folder)

    def text(self):
        who = f"gidNumber={os.getegid()}+uidNumber={os.geteuid()},cn=peercred,cn=external,cn=auth"
        return (f"dn: cn=config\nobjectClass: olcGlobal\ncn: config\nolcTLSCertificateFile: {self.cert}\n"
                f"olcTLSCertificateKeyFile: {self.key}\n\n"
                "dn: olcDatabase={0}config,cn=config\nobjectClass: olcDatabaseConfig\nolcDatabase: {0}config\n"
                f"olcAccess: {{0}}to * by dn.exact={who} manage by * none\n")

    def write(self, broken=""):
        """The text is what the folder is made of; from then on it is the folder that is broken and mended."""
        entry = self.folder / "slapd.d" / "cn=config.ldif"
        if not entry.exists():
            super().write(broken)
        elif broken:
            self.good = entry.read_text()
            entry.write_text(self.good + broken.lstrip())  # behind an empty line it would not be read
        else:
            entry.write_text(self.good)

    def prepare(self):
        config, change = self.folder / "slapd.d", self.folder / "reload.ldif"
        config.mkdir()
        subprocess.run(["/usr/sbin/slapadd", "-n", "0", "-F", config, "-l", self.conf], check=True)
        self.give(config, *config.rglob("*"))
        change.write_text("dn: cn=config\nchangetype: modify\n"
                          f"replace: olcTLSCertificateFile\nolcTLSCertificateFile: {self.cert}\n-\n"
                          f"replace: olcTLSCertificateKeyFile\nolcTLSCertificateKeyFile: {self.key}\n")

    def endpoints(self):
        return [*super().endpoints(), f"127.0.0.1:{self.tls_port}/{NAME}"]

    @property
    def socket(self):
        return f"ldapi://{quote(str(self.folder / 'ldapi'), safe='')}"

    def program(self):
        listen = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port} {self.socket}"
        who = ["-u", self.user, "-g", self.user] if ROOT else []
        return ["/usr/sbin/slapd", "-d", "0", *who, "-F", self.folder / "slapd.d", "-h", listen]

    def check(self):
        return ["/usr/sbin/slaptest", "-u", "-Q", "-F", str(self.folder / "slapd.d")]

    def reload(self):
        """The same values, set anew."""
        change = str(self.folder / "reload.ldif")
        return ["/usr/bin/ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", self.socket, "-f", change]


class Postgresql(Database):
    connector, starttls, account = "postgresql", "postgres", "postgres"

    def text(self):
        return (f"data_directory = '{self.folder}/data'\nlisten_addresses = '127.0.0.1'\nport = {self.port}\n"
                f"unix_socket_directories = '{self.folder}/data'\nfsync = off\nshared_buffers = 1MB\nmax_connections = 10\n"
                f"ssl = on\nssl_cert_file = '{self.cert}'\nssl_key_file = '{self.key}'\n")

    def _as_user(self, argv):
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *argv] if ROOT else argv

    def prepare(self):
        data = self.folder / "data"
        data.mkdir()
        self.give(data)
        initdb = [programs() / "initdb", "-D", data, "-A", "trust", "--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run(self._as_user(initdb), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def program(self):
        files = [w for kind in ("hba", "ident") for w in ("-c", f"{kind}_file={self.folder}/data/pg_{kind}.conf")]
        return self._as_user([programs() / "postgres", "-c", f"config_file={self.conf}", *files])

    def reload(self):
        return {"run": ["/usr/bin/psql", "-X", "-q", "-h", str(self.folder / "data"), "-p", str(self.port), "-d", "postgres",
                        "-c", "SELECT pg_reload_conf()"], "user": self.user}

    def stop(self):
        if self.child and self.child.poll() is None:
            process.stop(self.child, by=signal.SIGINT)


class Mariadb(Database):
    """It refuses an address after one connection without a login, but not 127.0.0.1: proofs from there do it no harm."""
    connector, starttls, account = "mariadb", "mysql", "mysql"

    def text(self):
        data = self.folder / "data"
        return (f"[mariadbd]\nuser = {self.user}\ndatadir = {data}\nsocket = {data}/socket\npid-file = {data}/pid\n"
                f"bind-address = 127.0.0.1\nport = {self.port}\nmax-connect-errors = 1\ninnodb-buffer-pool-size = 8M\n"
                f"innodb-log-file-size = 4M\nssl-cert = {self.cert}\nssl-key = {self.key}\n")

    def prepare(self):
        data = self.folder / "data"
        data.mkdir()
        self.give(data)
        subprocess.run(["/usr/bin/mariadb-install-db", f"--defaults-file={self.conf}", "--skip-test-db",
                        "--auth-root-authentication-method=socket", f"--auth-root-socket-user={ME}"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def program(self):
        return ["/usr/sbin/mariadbd", f"--defaults-file={self.conf}"]

    def reload(self):
        return ["/usr/bin/mariadb", "--no-defaults", "-S", str(self.folder / "data" / "socket"), "-u", ME, "-e", "FLUSH SSL"]


class Proftpd(Database):
    """Its master rests for 0.2 s after each child that ends: handshakes with it take their time."""
    connector, starttls = "proftpd", "ftp"

    def __init__(self, folder):
        self.from_files = None
        super().__init__(folder)

    def text(self):
        cert, key = self.from_files or (self.cert, self.key)
        user, group = ("nobody", "nogroup") if ROOT else (ME, grp.getgrgid(os.getegid()).gr_name)
        return (f"LoadModule mod_tls.c\nServerName {NAME}\nServerType standalone\nDefaultAddress 127.0.0.1\nPort {self.port}\n"
                f"UseIPv6 off\nUseReverseDNS off\nDelayTable none\nWtmpLog off\nUser {user}\nGroup {group}\n"
                f"PidFile {self.folder}/pid\nScoreboardFile {self.folder}/scoreboard\nSystemLog {self.folder}/system.log\n"
                f"TLSEngine on\nTLSLog {self.folder}/tls.log\n"
                f"TLSECCertificateFile {cert}\nTLSCertificateChainFile {cert}\nTLSECCertificateKeyFile {key}\n")

    def program(self):
        return ["/usr/sbin/proftpd", "-n", "-c", self.conf]

    def check(self):
        return ["/usr/sbin/proftpd", "-t", "-c", str(self.conf)]

    def reload(self):
        return ["/bin/kill", "-HUP", str(self.child.pid)]

    def keep_old(self, settings):
        """Each session reads the files, with or without a reload: the configuration has to name others."""
        self.from_files = self.folder / "other.pem", self.folder / "other.key"
        for path, other in zip((self.cert, self.key), self.from_files):
            other.write_bytes(path.read_bytes())
            other.chmod(0o600)
        self.write()
        subprocess.run(self.reload(), check=True)


ALL = [Openldap, Postgresql, Mariadb, Proftpd]
