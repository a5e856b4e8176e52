"""A real directory (slapd) with people and groups, over ldaps and StartTLS."""
import subprocess
from pathlib import Path

from lib import wait

SUFFIX = "dc=example,dc=org"
BINDER, BINDER_PASSWORD = f"cn=reader,{SUFFIX}", "Kq8-reader-of-the-directory-Tn3"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{SUFFIX}", "admin-of-this-directory"
MODULES = "/usr/lib/ldap"


class Directory:
    """Its data, settings and certificate are in a folder of its own."""

    def __init__(self, folder, root, host="localhost"):
        self.folder = Path(folder)
        self.port, self.tls_port, self.process = wait.free_port(), wait.free_port(), None
        self.cert, self.key, self.roots = root.write(self.folder, [host])
        (self.folder / "data").mkdir()
        self.conf = self.folder / "slapd.conf"
        self.conf.write_text(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n"
            f"modulepath {MODULES}\nmoduleload back_mdb\nmoduleload ppolicy\nmoduleload memberof\n"
            f"TLSCertificateFile {self.cert}\nTLSCertificateKeyFile {self.key}\n"
            f"database mdb\nsuffix \"{SUFFIX}\"\nrootdn \"{ADMIN}\"\nrootpw {ADMIN_PASSWORD}\ndirectory {self.folder / 'data'}\nmaxsize 10485760\n"
            f"overlay memberof\noverlay ppolicy\nppolicy_default \"cn=policy,{SUFFIX}\"\nppolicy_use_lockout\n"
            f"access to attrs=userPassword by anonymous auth by * none\naccess to * by dn.exact=\"{BINDER}\" read by users read by anonymous auth by * none\n"
            "database monitor\naccess to * by * read\n")

    @property
    def url(self):
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def plain_url(self):
        return f"ldap://localhost:{self.port}"

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-f", self.conf, "-h", f"ldap://localhost:{self.port} {self.url}"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait.until(lambda: self._answers(), "the directory answers")

    def _answers(self):
        return subprocess.run(["ldapwhoami", "-x", "-H", self.plain_url, "-D", ADMIN, "-w", ADMIN_PASSWORD], capture_output=True).returncode == 0

    def operations(self):
        """How often it was asked to search, and to let somebody in."""
        done = subprocess.run(["ldapsearch", "-x", "-LLL", "-H", self.plain_url, "-b", "cn=Operations,cn=Monitor", "(|(cn=Bind)(cn=Search))", "monitorOpInitiated"],
                              capture_output=True, text=True, check=True)
        return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("monitorOpInitiated")]

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def change(self, ldif):
        done = subprocess.run(["ldapmodify", "-x", "-H", self.plain_url, "-D", ADMIN, "-w", ADMIN_PASSWORD, "-e", "relax"], input=ldif, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr

    def fill(self):
        self.change(f"dn: {SUFFIX}\nchangetype: add\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n"
                    + "".join(f"dn: ou={ou},{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\nou: {ou}\n\n" for ou in ("people", "groups"))
                    + f"dn: cn=policy,{SUFFIX}\nchangetype: add\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\npwdLockout: TRUE\n\n"
                    f"dn: {BINDER}\nchangetype: add\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: {BINDER_PASSWORD}\n")

    def person(self, uid, password, name=None, mail=None):
        dn = f"uid={uid},ou=people,{SUFFIX}"
        self.change(f"dn: {dn}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {name or uid}\nsn: {uid}\nmail: {mail or uid + '@example.org'}\nuserPassword: {password}\n")
        return dn

    def group(self, name, *members):
        dn = f"cn={name},ou=groups,{SUFFIX}"
        self.change(f"dn: {dn}\nchangetype: add\nobjectClass: groupOfNames\ncn: {name}\n" + "".join(f"member: {m}\n" for m in members))
        return dn

    def members(self, dn, *members):
        self.change(f"dn: {dn}\nchangetype: modify\nreplace: member\n" + "".join(f"member: {m}\n" for m in members))

    def lock(self, dn):
        self.change(f"dn: {dn}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n")
