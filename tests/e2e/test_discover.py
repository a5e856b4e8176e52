"""Finding places in the configuration of real services: what a description says, against what the service itself takes."""
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib import consoles, databases, pki, process, services, wait

WWW = services.NAME


class Site:
    """A certificate and its key, as files."""

    def __init__(self, folder, name, combined=False, common=WWW):
        cert, key = pki.self_signed([common])
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.cert.write_bytes((pki.key_pem(key) if combined else b"") + pki.pem(cert))
        self.key.write_bytes(pki.key_pem(key))
        for f in (self.cert, self.key):
            f.chmod(0o600)


def apache(folder):
    """Includes, a condition, a second virtual host that shares the files, one without TLS, one that inherits, relative paths."""
    a, b = Site(folder, "a"), Site(folder, "b")
    modules = "".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n" for m in ("mpm_event", "authz_core", "ssl", "socache_shmcb"))
    (folder / "sites").mkdir()
    (folder / "sites/a.conf").write_text(
        f"<IfModule ssl_module>\n<VirtualHost *:8441 [::]:8441>\n  servername a.example.org:8441\n  ServerAlias \"www.a.example.org\" \\\n"
        f"    *.a.example.org\n  SSLEngine on\n  SSLCertificateFile a.pem\n  SSLCertificateKeyFile {a.key} # not a comment here\n"
        f"</VirtualHost>\n<VirtualHost 127.0.0.1:8442>\n  ServerName a2.example.org\n  SSLEngine On\n  SSLCertificateFile {a.cert}\n"
        f"  SSLCertificateKeyFile {a.key}\n</VirtualHost>\n</IfModule>\n".replace(" # not a comment here", ""))
    (folder / "sites/b.conf").write_text(
        f"<VirtualHost 127.0.0.1:8443>\n  ServerName b.example.org\n  SSLEngine on\n  SSLCertificateFile {b.cert}\n"
        f"  SSLCertificateKeyFile {b.key}\n</VirtualHost>\n<VirtualHost *:8080>\n  ServerName plain.example.org\n</VirtualHost>\n")
    conf = folder / "apache2.conf"
    conf.write_text(f"{modules}ServerRoot {folder}\nServerName x\nPidFile {folder}/p\nErrorLog {folder}/e\nDefaultRuntimeDir {folder}\n"
                    f"Listen 127.0.0.1:8441\nInclude sites/*.conf\n")
    return ({"read": [str(conf)], "include": ["Include", "IncludeOptional"]}, ["/usr/sbin/apache2", "-f", conf, "-t"],
            {"a.example.org": (a, {"a.example.org", "www.a.example.org", "*.a.example.org", "a2.example.org"}, {("127.0.0.1", 8441), ("127.0.0.1", 8442)}),
             "b.example.org": (b, {"b.example.org"}, {("127.0.0.1", 8443)})})


def haproxy(folder):
    """Two binds, a folder of certificates, a list of them, crt-base, quotes, and a bind without TLS."""
    one, two = Site(folder, "one", True), Site(folder, "with space", True)
    (folder / "more").mkdir()
    three = Site(folder / "more", "three", True)
    three.key.unlink()
    four, five, listed = Site(folder, "four", True), Site(folder, "five", True), folder / "sites.list"
    listed.write_text(f"# sites\n{four.cert} [alpn h2] *.four.example.org !no.four.example.org\nfive.pem\none.pem one.example.org\n")
    conf = folder / "haproxy.cfg"
    conf.write_text(f"global\n  maxconn 100\n  crt-base {folder}\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
                    f"frontend tls\n  bind 127.0.0.1:8451,[::1]:8452 ssl crt one.pem crt \"with space.pem\" alpn h2\n  bind :8453 ssl crt one.pem\n"
                    f"  bind /run/x.sock ssl crt one.pem # a socket\n  bind *:8454\nlisten more\n  bind *:8455 ssl crt {folder}/more/\n  bind *:8456 ssl crt-list {listed}\n")
    return ({"read": [str(conf), str(listed)], "list": [f"{folder}/more/*"]}, ["/usr/sbin/haproxy", "-c", "-q", "-f", conf],
            {"one.pem": (one, {"one.example.org"}, {("127.0.0.1", 8451), ("::1", 8452), ("127.0.0.1", 8453), ("127.0.0.1", 8456)}),
             "four.pem": (four, {"*.four.example.org"}, {("127.0.0.1", 8456)}), "five.pem": (five, set(), {("127.0.0.1", 8456)}),
             "with space.pem": (two, set(), {("127.0.0.1", 8451), ("::1", 8452)}),
             "three.pem": (three, set(), {("127.0.0.1", 8455)})})


def lighttpd(folder):
    """The server itself and a socket with a host of its own."""
    a, b = Site(folder, "a"), Site(folder, "b")
    conf = folder / "lighttpd.conf"
    (folder / "conf.d").mkdir()
    (folder / "conf.d/tls.conf").write_text(
        f'ssl.engine = "enable"\nssl.pemfile = "{a.cert}"\nssl.privkey= "{a.key}"\n'
        f'$SERVER["socket"] == "[::]:8461" {{\n  ssl.engine = "enable"\n  $HTTP["host"] == "b.example.org" {{ ssl.pemfile = "{b.cert}"\n'
        f'  ssl.privkey = "{b.key}" }}\n}}\n')
    conf.write_text(f'server.modules = ("mod_openssl")\nserver.document-root = "{folder}"\nserver.bind = "127.0.0.1"\n'
                    f'server.port = 8462 # a port\nserver.pid-file = "{folder}/p"\nserver.errorlog = "{folder}/error.log"\n'
                    f'include "conf.d/*.conf"\n')
    return ({"read": [str(conf)], "include": ["include"]}, ["/usr/sbin/lighttpd", "-tt", "-f", conf],
            {"a.pem": (a, set(), {("127.0.0.1", 8462), ("::1", 8461)}), "b.example.org": (b, {"b.example.org"}, {("::1", 8461)})})


def mosquitto(folder):
    a, b = Site(folder, "a"), Site(folder, "b")
    conf = folder / "mosquitto.conf"
    (folder / "conf.d").mkdir()
    (folder / "conf.d/b.conf").write_text(f"listener 8472\ncertfile {b.cert}\nkeyfile {b.key}\n")
    conf.write_text(f"# brokers\nlistener 8471 127.0.0.1\ncertfile {a.cert}\nkeyfile {a.key}\nlistener 8473\ninclude_dir {folder}/conf.d\n")
    return ({"read": [str(conf)], "include": ["include_dir"]}, None,
            {"a.pem": (a, set(), {("127.0.0.1", 8471)}), "b.pem": (b, set(), {("127.0.0.1", 8472)})})


def redis(folder):
    a = Site(folder, "a")
    conf = folder / "redis.conf"
    conf.write_text(f'bind 127.0.0.1 -::1\nport 0\nTLS-PORT 8481\ndir "{folder}"\ntls-cert-file a.pem\ntls-key-file \'{a.key}\'\n')
    return {"read": [str(conf)]}, None, {"a.pem": (a, set(), {("127.0.0.1", 8481)})}


def openldap(folder):
    """A path so long that LDIF breaks its line."""
    folder = folder / ("a-folder-with-a-long-name-" * 4)
    folder.mkdir()
    a, config, text = Site(folder, "a"), folder / "slapd.d", folder / "config.ldif"
    config.mkdir()
    text.write_text(f"dn: cn=config\nobjectClass: olcGlobal\ncn: config\nolcTLSCertificateFile: {a.cert}\nolcTLSCertificateKeyFile: {a.key}\n")
    subprocess.run(["/usr/sbin/slapadd", "-n", "0", "-F", config, "-l", text], check=True)
    return (["/usr/sbin/slapcat", "-n", "0", "-o", "ldif-wrap=no", "-F", str(config)], ["/usr/sbin/slaptest", "-u", "-Q", "-F", config],
            {"a.pem": (a, set(), set())})


def postgresql(folder):
    """Two clusters, one with what is usual and an included file, and one without TLS."""
    usual, other = folder / "usual", folder / "other"
    for f in (usual, other, usual / "conf.d", folder / "none"):
        f.mkdir()
    a, b = Site(usual, "server"), Site(other, "b")
    (usual / "server.crt").write_bytes(a.cert.read_bytes())
    a.cert = usual / "server.crt"
    (usual / "postgresql.conf").write_text(f"data_directory = '{usual}'\nlisten_addresses = '*'\t# what to listen on\n#port = 1\ninclude_dir 'conf.d'\n")
    (usual / "conf.d/tls.conf").write_text("ssl = on\n")
    (other / "postgresql.conf").write_text(f"ssl = 'true'\nssl_cert_file='{b.cert}'\nssl_key_file '{b.key}'\nport=8491\nlisten_addresses = 'localhost, 127.0.0.2'\n")
    (folder / "none/postgresql.conf").write_text("ssl = off\nssl_cert_file = '/x'\nssl_key_file = '/y'\n")
    return ({"read": [f"{folder}/*/postgresql.conf"], "include": ["include_dir", "include"]}, None,
            {"usual": (a, set(), {("127.0.0.1", 5432)}), "other": (b, set(), {("localhost", 8491), ("127.0.0.2", 8491)})})


def mariadb(folder):
    a, conf = Site(folder, "a"), folder / "my.cnf"
    conf.write_text(f"[client]\nssl-cert = /x\n[mysqld]\nssl_cert = {a.cert}\nbind-address = 127.0.0.1\n[mariadb]\nssl-key={a.key}\nport = 8495\n")
    return (["/usr/bin/my_print_defaults", f"--defaults-file={conf}", "mysqld", "server", "mariadb", "mariadbd"], None,
            {"a.pem": (a, set(), {("127.0.0.1", 8495)})})


def proftpd(folder):
    a, b, conf = Site(folder, "a"), Site(folder, "b"), folder / "proftpd.conf"
    conf.write_text(f"LoadModule mod_tls.c\nServerName \"Debian\"\nDefaultAddress 127.0.0.1\nPort 8496\nUseIPv6 off\nUser nobody\nGroup nogroup\n"
                    f"<IfModule mod_tls.c>\n  TLSEngine on\n  TLSECCertificateFile {a.cert}\n  TLSECCertificateKeyFile {a.key}\n</IfModule>\n"
                    f"<VirtualHost 127.0.0.1>\n  ServerName ftp.example.org\n  Port 8497\n  TLSEngine on\n  TLSRSACertificateFile {b.cert}\n"
                    f"  TLSRSACertificateKeyFile {b.key}\n</VirtualHost>\n")
    return ({"read": [str(conf)], "include": ["Include"]}, None,
            {"a.pem": (a, set(), {("127.0.0.1", 8496)}), "b": (b, {"ftp.example.org"}, {("127.0.0.1", 8497)})})


ALL = [apache, haproxy, lighttpd, mosquitto, redis, openldap, postgresql, mariadb, proftpd]


@pytest.fixture
def found(make_hub, tmp_path):
    """One hub whose agent looks into all of them."""
    hub, wanted = make_hub(start=False), {}
    for service in ALL:
        folder = tmp_path / service.__name__
        folder.mkdir()
        dump, check, places = service(folder)
        if check:
            done = subprocess.run([str(a) for a in check], capture_output=True, text=True)
            assert done.returncode == 0, f"{service.__name__} does not take what it should be found in: {done.stderr}"
        hub.agent_settings["connectors"].append(service.__name__)
        hub.agent_settings["paths"].append(str(folder))
        hub.agent_settings["commands"][f"{service.__name__}-dump"] = dump
        wanted[service.__name__] = places
    hub.write_agent()
    hub.start()
    hub.ok("target", "discover")
    return hub, wanted


def targets(hub, connector):
    return [t for t in hub.ok("target", "list", "-o", "json").json() if t["connector"] == connector]


def test_every_place_that_a_configuration_names_is_found(found):
    hub, wanted = found
    for connector, places in wanted.items():
        rows = targets(hub, connector)
        assert len(rows) == len(places), (connector, rows)
        for site, names, ends in places.values():
            files = {str(site.cert)} | ({str(site.key)} if connector != "haproxy" else set())
            row = [r for r in rows if set(r["parameters"].values()) == files]
            assert len(row) == 1, (connector, files, rows)
            assert set(row[0]["names"]) == names, row
            assert {(e["address"], e["port"]) for e in row[0]["endpoints"]} == ends, row
    assert len({t["name"] for c in wanted for t in targets(hub, c)}) == sum(map(len, wanted.values())), "names are distinct"


def test_two_instances_on_one_host_are_found_and_each_is_reloaded_by_its_own_command(make_hub, tmp_path_factory):
    hub, folder, running = make_hub(start=False), tmp_path_factory.mktemp("instances"), {}
    hub.agent_settings["connectors"].append("haproxy")
    for path in (folder, folder.parent):
        path.chmod(0o755)
    try:
        for suffix in ("", ".b"):
            own = folder / f"instance{suffix}"
            own.mkdir()
            one = running[suffix] = services.Haproxy(own)
            one.start()
            hub.agent_settings["paths"].append(str(own))
            hub.agent_settings["commands"].update({f"{name}{suffix}": argv for name, argv in one.commands.items()})
            hub.agent_settings["commands"][f"haproxy-dump{suffix}"] = {"read": [str(one.conf)]}
        hub.write_agent()
        hub.start()
        hub.ok("target", "discover")
        rows = {r["parameters"]["combined"]: r for r in targets(hub, "haproxy")}
        assert set(rows) == {str(one.cert) for one in running.values()} and len({r["name"] for r in rows.values()}) == 2
        second = rows[str(running[".b"].cert)]
        assert second["parameters"]["reload"] == "haproxy-reload.b" and second["parameters"]["check"] == "haproxy-check.b"
        assert "reload" not in rows[str(running[""].cert)]["parameters"]
        first = pki.fingerprint(running[""].served())
        hub.ok("cert", "add", WWW, "--to", second["name"])
        assert pki.fingerprint(running[".b"].served()) == hub.show("cert", WWW)["current_version"]["fingerprint"]
        assert pki.fingerprint(running[""].served()) == first
    finally:
        for one in running.values():
            one.stop()


class FoundCaddy(consoles.Caddy):
    """A second site with a certificate of its own, which is none of the first one's listeners."""

    def text(self):
        other = Site(self.folder, "other", common="other.example.org")
        return super().text() + f"https://other.example.org:1 {{\n  bind 127.0.0.9\n  tls {other.cert} {other.key}\n}}\n"

    def found(self):
        self.write() # with port 1, which is only to be found
        return {"caddy-dump": self.caddy("adapt")}, {str(self.cert): self.served}

    def program(self):
        self.conf.write_text(super().text())
        return super().program()


class FoundCockpit(consoles.Cockpit):
    def found(self):
        listen = self.folder / "listen"
        listen.write_text(f"Listen=127.0.0.1:{self.port} (Stream)\n") # as systemctl prints it, which runs here nowhere
        return {"cockpit-dump": self.check(), "cockpit-listen": {"read": [str(listen)]}}, {str(self.cert): self.served}


class FoundTomcat(consoles.Tomcat):
    """Paths that begin at CATALINA_BASE, the password in a file."""

    def text(self):
        return (super().text().replace(f'certificateKeystoreFile="{self.folder}/', 'certificateKeystoreFile="')
                .replace('certificateKeystorePassword="correct horse"', f'certificateKeystorePasswordFile="{self.folder}/password"'))

    def found(self):
        return ({"tomcat-dump": {"read": [str(self.folder / "conf" / "server.xml")]}},
                {str(self.p12): self.served, str(self.jks): lambda: pki.served(self.jks_port)})


class FoundStrongswan(consoles.Strongswan):
    """With RSA, for charon's plugin for other keys is in a package of its own."""

    def __init__(self, folder):
        super().__init__(folder)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", f"/CN={WWW}", "-addext", f"subjectAltName=DNS:{WWW}",
                        "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)

    def found(self):
        conf = self.folder / "swanctl.conf"
        (self.folder / "conf.d").mkdir()
        conf.write_text("include conf.d/*.conf\n")
        (self.folder / "conf.d" / "gw.conf").write_text(
            f"connections {{\n  gw {{\n    local_addrs = 127.0.0.1 # here\n    local {{\n      auth = pubkey\n      certs = gw.pem\n"
            f"      id = {WWW}\n    }}\n    remote {{\n      auth = pubkey\n    }}\n  }}\n}}\n")
        done = subprocess.run(self.swanctl("--load-all", "--noprompt"), capture_output=True, text=True)
        assert done.returncode == 0 and "loaded connection 'gw'" in done.stdout, done
        return {"strongswan-dump": {"read": [str(conf)], "include": ["include"]}}, {str(self.cert): self.charons}

    def charons(self):
        return [c for c in self.listed() if pki.dns_names(c) == [WWW]][-1]


class FoundOpenldap(databases.Openldap):
    def found(self):
        default = self.folder / "default"
        default.write_text(f'SLAPD_USER="openldap"\nSLAPD_SERVICES="ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port} ldapi:///"\n')
        return ({"openldap-dump": ["/usr/sbin/slapcat", "-n", "0", "-o", "ldif-wrap=no", "-F", str(self.folder / "slapd.d")],
                 "openldap-listen": {"read": [str(default)]}}, {str(self.cert): self.served})


@pytest.fixture
def five():
    """All at once, for Java takes its time."""
    top = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
    top.chmod(0o755)
    running = []
    try:
        for kind in (FoundTomcat, FoundCaddy, FoundCockpit, FoundStrongswan, FoundOpenldap):
            folder = top / kind.connector
            folder.mkdir()
            running.append(kind(folder))
            running[-1].child = process.start(running[-1].program(), folder / "output.log")
        for one in running:
            wait.until(one._answers, f"{one.connector} answers", 30, 0.05)
        yield running
    finally:
        for one in running:
            one.stop()
        shutil.rmtree(top)


def test_what_was_found_is_deployed_to_as_it_was_found(make_hub, five):
    hub, shows = make_hub(start=False), {}
    for one in five:
        commands, files = one.found()
        shows.update(files)
        hub.agent_settings["connectors"].append(one.connector)
        hub.agent_settings["paths"].append(str(one.folder))
        hub.agent_settings["commands"].update(one.commands | commands)
    hub.write_agent()
    hub.start()
    hub.ok("target", "discover")
    known = {value: row for row in hub.ok("target", "list", "-o", "json").json() for value in row["parameters"].values()}
    assert set(shows) <= set(known), known
    caddy, ldap = [one for one in five if one.connector in ("caddy", "openldap")]
    first = known[str(caddy.cert)]
    assert (first["names"], [(e["address"], e["port"], e["name"]) for e in first["endpoints"]]) == ([WWW], [("127.0.0.1", caddy.port, WWW)])
    other = known[str(caddy.folder / "other.pem")]
    assert (other["names"], [(e["address"], e["port"]) for e in other["endpoints"]]) == (["other.example.org"], [("127.0.0.9", 1)])
    assert {(e["port"], e.get("starttls") or "") for e in known[str(ldap.cert)]["endpoints"]} == {(ldap.port, "ldap"), (ldap.tls_port, "")}
    before = {path: pki.fingerprint(show()) for path, show in shows.items()}
    hub.ok("cert", "add", WWW, "--key-kind", "rsa-2048", *[a for path in shows for a in ("--to", known[path]["name"])])
    now = hub.show("cert", WWW)["current_version"]["fingerprint"]
    assert {path: pki.fingerprint(show()) for path, show in shows.items()} == dict.fromkeys(shows, now) and now not in before.values()
