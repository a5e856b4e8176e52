"""Tomcat, Caddy, Cockpit and strongSwan: each a private one, with the commands that an administrator would give."""
import subprocess

from lib import formats, pki, wait
from lib.services import NAME, Service


class Caddy(Service):
    connector = "caddy"

    def __init__(self, folder):
        self.admin = wait.free_port()
        super().__init__(folder)

    def text(self):
        return (f"{{\n  admin 127.0.0.1:{self.admin}\n  auto_https off\n  storage file_system {self.folder}/data\n}}\n"
                f"https://{NAME}:{self.port} {{\n  bind 127.0.0.1\n  tls {self.cert} {self.key}\n  respond ok\n}}\n")

    def caddy(self, verb, *more):
        return ["/usr/bin/env", f"HOME={self.folder}", "/usr/bin/caddy", verb, "--config", str(self.conf), "--adapter", "caddyfile", *more]

    def program(self):
        return self.caddy("run")

    def check(self):
        return self.caddy("validate")

    def reload(self):
        return self.caddy("reload", "--address", f"127.0.0.1:{self.admin}", "--force")


class Cockpit(Service):
    """As its units have it: the certificate is laid ready before cockpit-tls starts, on a socket that is open already.  Its run
    folder cannot be named, so that it gets a /run of its own."""
    connector = "cockpit"

    def __init__(self, folder):
        super().__init__(folder)
        certs = folder / "cockpit" / "ws-certs.d"
        certs.mkdir(parents=True)
        self.cert, self.key = self.cert.rename(certs / "50-certwright.crt"), self.key.rename(certs / "50-certwright.key")
        self.environment = [f"XDG_CONFIG_DIRS={folder}", f"RUNTIME_DIRECTORY=/run/cockpit/tls"]

    def text(self):
        return ""

    def write(self, broken=""):
        """What Cockpit reads of its own is nothing but the certificates: a second one that is broken stands before ours."""
        wrong = self.cert.with_name("60-other.crt")
        if broken:
            wrong.write_text(broken)
        elif wrong.exists():
            wrong.unlink()

    def program(self):
        ensure, tls = "/usr/lib/cockpit/cockpit-certificate-ensure", "/usr/lib/cockpit/cockpit-tls"
        return ["/usr/bin/env", *self.environment, "/usr/bin/unshare", "-m", "/bin/sh", "-c",
                "mount -t tmpfs tmpfs /run; mkdir -p /run/cockpit/wsinstance; trap 'kill $child; wait $child; exit 0' TERM\n"
                f"while rm -rf /run/cockpit/tls; mkdir -m 700 /run/cockpit/tls; {ensure} --for-cockpit-tls; do\n"
                f"/usr/bin/systemd-socket-activate -E RUNTIME_DIRECTORY -l 127.0.0.1:{self.port} {tls} --idle-timeout 0 & child=$!\n"
                f"echo $child > {self.folder}/pid; wait $child; done"]

    def check(self):
        return ["/usr/bin/env", *self.environment, "/usr/lib/cockpit/cockpit-certificate-ensure", "--check"]

    def reload(self):
        return ["/bin/sh", "-c", f"kill $(cat {self.folder}/pid)"]


class Tomcat(Service):
    """One with two connectors, for Java takes its time to start: PKCS #12 and JKS.  Its manager listens on a port of its own."""
    connector = "tomcat"

    def __init__(self, folder):
        self.jks_port, self.manager_port = wait.free_port(), wait.free_port()
        super().__init__(folder)
        self.p12, self.jks = folder / "site.p12", folder / "site.jks"
        self.password, self.netrc = formats.password_file(folder / "password"), folder / "netrc"
        formats.run("openssl", "pkcs12", "-export", "-in", self.cert, "-inkey", self.key, "-out", self.p12, "-passout",
                    f"file:{self.password}", "-name", "old")
        formats.keytool_convert(self.p12, "PKCS12", self.jks, "JKS", self.password)
        self.netrc.write_text("machine 127.0.0.1 login reloader password secret\n")
        for path in (self.p12, self.jks, self.netrc):
            path.chmod(0o600)

    def text(self):
        def tls(port, kind, name):
            return (f'<Connector port="{port}" address="127.0.0.1" protocol="org.apache.coyote.http11.Http11NioProtocol" SSLEnabled="true" '
                    f'scheme="https" secure="true" maxThreads="4"><SSLHostConfig><Certificate certificateKeystoreFile="{self.folder}/{name}" '
                    f'certificateKeystoreType="{kind}" certificateKeystorePassword="correct horse"/></SSLHostConfig></Connector>\n')
        return (f'<Server port="-1"><GlobalNamingResources><Resource name="users" auth="Container" type="org.apache.catalina.UserDatabase" '
                f'factory="org.apache.catalina.users.MemoryUserDatabaseFactory" pathname="{self.folder}/conf/users.xml"/></GlobalNamingResources>'
                f'<Service name="Catalina"><Connector port="{self.manager_port}" address="127.0.0.1" maxThreads="4"/>'
                f'{tls(self.port, "PKCS12", "site.p12")}{tls(self.jks_port, "JKS", "site.jks")}'
                '<Engine name="Catalina" defaultHost="localhost"><Realm className="org.apache.catalina.realm.UserDatabaseRealm" '
                f'resourceName="users"/><Host name="localhost" appBase="{self.folder}/webapps" autoDeploy="false" deployOnStartup="false">'
                f'<Context path="/manager" docBase="{self.folder}/manager" privileged="true"/></Host></Engine></Service></Server>\n')

    def write(self, broken=""):
        conf, manager = self.folder / "conf", self.folder / "manager" / "WEB-INF"
        for path in (conf, manager, self.folder / "webapps", self.folder / "temp"):
            path.mkdir(parents=True, exist_ok=True)
        (conf / "server.xml").write_text(self.text() + broken)
        (conf / "users.xml").write_text('<tomcat-users><role rolename="manager-script"/><user username="reloader" password="secret" '
                                        'roles="manager-script"/></tomcat-users>\n')
        # What Debian's tomcat10-admin installs for /manager/text, and no more of it.
        (manager / "web.xml").write_text(
            '<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"><servlet><servlet-name>Manager</servlet-name>'
            '<servlet-class>org.apache.catalina.manager.ManagerServlet</servlet-class></servlet><servlet-mapping><servlet-name>Manager'
            '</servlet-name><url-pattern>/text/*</url-pattern></servlet-mapping><security-constraint><web-resource-collection>'
            '<web-resource-name>text</web-resource-name><url-pattern>/text/*</url-pattern></web-resource-collection><auth-constraint>'
            '<role-name>manager-script</role-name></auth-constraint></security-constraint><login-config><auth-method>BASIC</auth-method>'
            '</login-config><security-role><role-name>manager-script</role-name></security-role></web-app>\n')

    def parameters_of(self, kind):
        return ["--set", f"{kind}={self.p12 if kind == 'pkcs12' else self.jks}", "--set", f"password_file={self.password}"]

    def program(self):
        home = "/usr/share/tomcat10"
        return ["/usr/bin/java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx96m", "-cp",
                f"{home}/bin/bootstrap.jar:{home}/bin/tomcat-juli.jar", f"-Dcatalina.home={home}", f"-Dcatalina.base={self.folder}",
                f"-Djava.io.tmpdir={self.folder}/temp", "-Djava.security.egd=file:/dev/urandom", "org.apache.catalina.startup.Bootstrap", "start"]

    def reload(self):
        return ["/usr/bin/curl", "--silent", "--show-error", "--fail", "--netrc-file", str(self.netrc),
                f"http://127.0.0.1:{self.manager_port}/manager/text/sslReload"]


class Strongswan(Service):
    """charon in a network namespace of its own, found by its socket."""
    connector = "strongswan"

    def __init__(self, folder):
        super().__init__(folder)
        for name in ("x509", "x509ca", "private"):
            (folder / name).mkdir()
        self.cert, self.key = self.cert.rename(folder / "x509" / "gw.pem"), self.key.rename(folder / "private" / "gw.pem")
        self.chain = folder / "x509ca" / "ca.pem"
        self.uri = f"unix://{folder}/vici"
        (folder / "swanctl.conf").write_text("")

    def text(self):
        return (f"charon-systemd {{\n  plugins {{\n    include /etc/strongswan.d/charon/*.conf\n    vici {{\n      socket = unix://{self.folder}/vici\n"
                "    }\n    stroke {\n      load = no\n    }\n  }\n}\n")

    @property
    def parameters(self):
        return [*super().parameters, "--set", f"chain={self.chain}"]

    def program(self):
        return ["/usr/bin/env", f"STRONGSWAN_CONF={self.conf}", "/usr/bin/unshare", "-n", "/usr/sbin/charon-systemd"]

    def swanctl(self, *argv):
        return ["/usr/bin/env", f"SWANCTL_DIR={self.folder}", f"STRONGSWAN_CONF={self.conf}", "/usr/sbin/swanctl", *argv, "--uri", self.uri]

    def reload(self):
        return self.swanctl("--load-creds", "--clear", "--noprompt")

    def listed(self):
        """The certificates that charon has, in PEM."""
        done = subprocess.run(self.swanctl("--list-certs", "--type", "x509", "--pem"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10, check=False)
        if done.returncode != 0:
            raise OSError(done.stdout)
        return pki.read_chain(done.stdout)

    def served(self):
        self.listed()
        return True
