"""Clouds and appliances that cannot run here: servers that check every call strictly, signatures computed anew, and answer as theirs do."""
import base64
import copy
import datetime
import email
import hashlib
import hmac
import json
import re
import time
import urllib.parse
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lib import pki
from lib.push import Api, Refused


def shown(pem):
    return pki.fingerprint(pki.read_chain(pem)[0]) if pem else None


def check_pair(cert, key):
    """As every product does: the key is that of the certificate."""
    cert, key = (x.encode() if isinstance(x, str) else x for x in (cert, key))
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    assert pki.read_chain(cert)[0].public_key().public_bytes(*form) == load_pem_private_key(key, None).public_key().public_bytes(*form)


def own(days=30):
    cert, key = pki.self_signed(["www.example.org"], days)
    return pki.pem(cert).decode(), pki.key_pem(key).decode()


class Cloud(Api):
    """`secret`: the credential's text.  `params()`: the target's parameters."""

    def __init__(self, folder):
        super().__init__(folder)
        self.begin()


class Aws(Cloud):
    service, skew = None, 0

    def no(self, kind, message):
        return Refused(400, {"__type": kind, "message": message})

    def params(self):
        return {"server": self.url, "region": "eu-central-1", "access_key": "AKIDEXAMPLE", "secret_key": "api-token"}

    def _hmac(self, key, text):
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    def check_signature(self, call):
        kind, rest = call.headers["authorization"].split(" ", 1)
        part = dict(x.split("=", 1) for x in rest.split(", "))
        self.expect(kind == "AWS4-HMAC-SHA256" and set(part) == {"Credential", "SignedHeaders", "Signature"}, "authorization")
        date, names = call.headers["x-amz-date"], part["SignedHeaders"].split(";")
        scope = [date[:8], "eu-central-1", self.service, "aws4_request"]
        self.expect(part["Credential"].split("/") == ["AKIDEXAMPLE", *scope], part["Credential"])
        self.expect(names == sorted(names) and {"host", "x-amz-date", "x-amz-target", "content-type"} <= set(names), "signed headers")
        at = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(at - time.time() - self.skew) > 300:
            raise self.no("InvalidSignatureException", f"Signature expired: {date} is now earlier than a minute ago (5 min.)")
        lines = "".join(f"{n}:{' '.join(call.headers[n].split())}\n" for n in names)
        query = "&".join(sorted(f"{urllib.parse.quote(k, '~')}={urllib.parse.quote(v, '~')}" for k, v in call.query.items()))
        text = "\n".join([call.method, urllib.parse.quote(call.raw_path), query, lines, ";".join(names), hashlib.sha256(call.body).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for one in scope:
            key = self._hmac(key, one)
        text = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope), hashlib.sha256(text.encode()).hexdigest()])
        if not hmac.compare_digest(self._hmac(key, text).hex(), part["Signature"]):
            raise self.no("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")

    def answer(self, call):
        self.expect(call.method == "POST" and call.raw_path == "/" and call.headers["content-type"] == "application/x-amz-json-1.1", str(call))
        self.check_signature(call)
        prefix, verb = call.headers["x-amz-target"].split(".")
        self.expect(prefix == self.prefix, prefix)
        return 200, getattr(self, verb)(call.json())


class SecretsManager(Aws):
    service = prefix = "secretsmanager"
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

    def begin(self):
        first = str(uuid.uuid4())
        self.versions, self.current = {first: json.dumps({"note": "begun"})}, first

    def params(self):
        return {**super().params(), "secret": "web/tls"}

    def fingerprint(self):
        return shown(json.loads(self.versions[self.current]).get("certificate", "").encode())

    def state(self):
        return self.current

    def _find(self, body):
        if body["SecretId"] != "web/tls":
            raise self.no("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")

    def GetSecretValue(self, body):
        self._find(body)
        return {"ARN": "arn:aws:secretsmanager:x", "Name": "web/tls", "VersionId": self.current, "SecretString": self.versions[self.current],
                "VersionStages": ["AWSCURRENT"]}

    def PutSecretValue(self, body):
        self._find(body)
        token, text = body["ClientRequestToken"], body["SecretString"]
        value = json.loads(text)
        self.expect(set(body) == {"SecretId", "ClientRequestToken", "SecretString"} and 32 <= len(token) <= 64, "token")
        self.expect(set(value) == {"fingerprint", "certificate", "private_key"} and value["fingerprint"] == shown(value["certificate"].encode()), "value")
        check_pair(value["certificate"], value["private_key"])
        if token in self.versions:
            if self.versions[token] != text:
                raise self.no("ResourceExistsException", "A resource with the ID you requested already exists.")
            return {"VersionId": token}
        self.versions[token], self.current = text, token
        return {"VersionId": token, "VersionStages": ["AWSCURRENT"]}

    def UpdateSecretVersionStage(self, body):
        self._find(body)
        self.expect(body["VersionStage"] == "AWSCURRENT" and body["MoveToVersionId"] in self.versions, "version")
        if body["RemoveFromVersionId"] != self.current:
            raise self.no("InvalidParameterException", "The parameter RemoveFromVersionId can't be the version that has not the label.")
        self.current = body["MoveToVersionId"]
        return {"Name": "web/tls"}


class Acm(Aws):
    service, prefix = "acm", "CertificateManager"
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"

    def begin(self):
        self.cert_there = own()[0]

    def params(self):
        return {**super().params(), "arn": self.arn}

    def fingerprint(self):
        return shown(self.cert_there.encode())

    def GetCertificate(self, body):
        self.expect(body == {"CertificateArn": self.arn}, "arn")
        return {"Certificate": self.cert_there}

    def ImportCertificate(self, body):
        self.expect(set(body) == {"CertificateArn", "Certificate", "CertificateChain", "PrivateKey"} and body["CertificateArn"] == self.arn, "body")
        cert, chain, key = (base64.b64decode(body[k], validate=True) for k in ("Certificate", "CertificateChain", "PrivateKey"))
        self.expect(len(pki.read_chain(cert)) == 1 and len(pki.read_chain(chain)) >= 1, "leaf and chain")
        check_pair(cert, key)
        self.cert_there = cert.decode()
        return {"CertificateArn": self.arn}


class Tokens(Cloud):
    """OAuth 2.0: tokens end, and each is asked for anew."""

    def __init__(self, folder):
        self.tokens, self.asked_tokens = set(), 0
        super().__init__(folder)

    def give(self):
        self.asked_tokens += 1
        token = f"ey.{uuid.uuid4()}.x"
        self.tokens.add(token)
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token}

    def form(self, call):
        self.expect(call.method == "POST" and call.headers["content-type"] == "application/x-www-form-urlencoded", str(call))
        self.expect("authorization" not in call.headers, "no token for a token")
        return dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True))

    def check_token(self, call):
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, {"error": {"code": "Unauthorized", "message": "AKV10000: the token is expired or invalid"}})


class KeyVault(Tokens):
    secret = "8Q~a+secret/of~the.application"

    def begin(self):
        self.versions, self.deleted = [], False

    def params(self):
        return {"server": self.url, "authority": self.url, "tenant": "00000000-1111", "client_id": "2222-3333", "client_secret": "api-token",
                "certificate": "web"}

    def fingerprint(self):
        return shown(self.versions[-1].encode()) if self.versions else None

    def state(self):
        return self.versions[-1] if self.versions else None

    def answer(self, call):
        if call.path == "/00000000-1111/oauth2/v2.0/token":
            form = self.form(call)
            self.expect(set(form) == {"grant_type", "client_id", "client_secret", "scope"} and form["grant_type"] == "client_credentials", "form")
            self.expect(form["scope"] == "https://vault.azure.net/.default" and form["client_id"] == "2222-3333", "scope")
            if form["client_secret"] != self.secret:
                raise Refused(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
            return self.give()
        self.check_token(call)
        self.expect(call.query == {"api-version": "7.4"}, "version")
        gone = Refused(404, {"error": {"code": "CertificateNotFound", "message": "A certificate with (name/id) web was not found in this key vault."}})
        if (call.method, call.path) == ("POST", "/certificates/web/import"):
            body = call.json()
            if self.deleted:
                raise Refused(409, {"error": {"code": "Conflict", "message": "Certificate web is currently in a deleted but recoverable state"}})
            self.expect(set(body) == {"value", "policy"} and body["policy"]["secret_props"] == {"contentType": "application/x-pem-file"}, "body")
            check_pair(body["value"], body["value"])
            self.versions.append(body["value"])
            return 200, {"id": f"{self.url}/certificates/web/{len(self.versions)}"}
        if call.path == "/deletedcertificates/web":
            if not self.deleted:
                raise gone
            if call.method == "DELETE":
                self.deleted = False
                return 204, None
            self.expect(call.method == "GET", str(call))
            return 200, {"recoveryId": f"{self.url}/deletedcertificates/web", "attributes": {"enabled": True}}
        self.expect(call.path in ("/certificates/web", "/secrets/web"), str(call))
        if not self.versions:
            raise gone
        if call.path == "/secrets/web":
            self.expect(call.method == "GET", str(call))
            return 200, {"value": self.versions[-1], "contentType": "application/x-pem-file", "id": f"{self.url}/secrets/web/1"}
        if call.method == "DELETE":
            self.versions, self.deleted = [], True
            return 200, {"recoveryId": f"{self.url}/deletedcertificates/web"}
        self.expect(call.method == "GET", str(call))
        der = pki.read_chain(self.versions[-1].encode())[0].public_bytes(serialization.Encoding.DER)
        return 200, {"id": f"{self.url}/certificates/web/1", "cer": base64.b64encode(der).decode(), "attributes": {"enabled": True}}


class CertificateManager(Tokens):
    place = "projects/p1/locations/global"
    entry = f"{place}/certificateMaps/web/certificateMapEntries/www"

    def begin(self):
        self.signer = rsa.generate_private_key(65537, 2048)
        self.certs, self.ops, self.points = {f"{self.place}/certificates/old": own()[0]}, {}, f"{self.place}/certificates/old"
        self.secret = json.dumps({"type": "service_account", "client_email": "cw@p1.iam.gserviceaccount.com", "private_key_id": "k1",
                                  "private_key": pki.key_pem(self.signer).decode(), "token_uri": f"{self.url}/token"})

    def params(self):
        return {"server": self.url, "account": "api-token", "project": "p1", "map": "web", "entry": "www"}

    def fingerprint(self):
        return shown(self.certs[self.points].encode())

    def state(self):
        return self.points, sorted(self.certs)

    def token(self, call):
        form = self.form(call)
        self.expect(set(form) == {"grant_type", "assertion"} and form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer", "form")
        head, claims, signature = form["assertion"].split(".")
        decode = lambda t: base64.urlsafe_b64decode(t + "=" * (-len(t) % 4))
        self.signer.public_key().verify(decode(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        self.expect(json.loads(decode(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}, "head")
        claims = json.loads(decode(claims))
        self.expect(claims["iss"] == "cw@p1.iam.gserviceaccount.com" and claims["aud"] == f"{self.url}/token" and claims["exp"] - claims["iat"] == 3600, "claims")
        self.expect(claims["scope"] == "https://www.googleapis.com/auth/cloud-platform" and abs(claims["iat"] - time.time()) < 300, "scope and time")
        return self.give()

    def operation(self, response):
        name = f"{self.place}/operations/operation-{len(self.ops)}"
        self.ops[name] = [1, response]
        return 200, {"name": name, "done": False}

    def answer(self, call):
        if call.path == "/token":
            return self.token(call)
        self.check_token(call)
        self.expect(call.path.startswith("/v1/"), str(call))
        name = call.path[4:]
        if name in self.ops:
            self.ops[name][0] -= 1
            return 200, {"name": name, "done": self.ops[name][0] < 0, **({"response": self.ops[name][1]} if self.ops[name][0] < 0 else {})}
        if name == self.entry:
            if call.method == "PATCH":
                self.expect(call.query == {"updateMask": "certificates"} and call.json()["certificates"][0] in self.certs, "certificates")
                self.points = call.json()["certificates"][0]
                return self.operation({})
            return 200, {"name": self.entry, "certificates": [self.points], "hostname": "www.example.org", "state": "ACTIVE"}
        if call.method == "POST":
            self.expect(name == f"{self.place}/certificates", str(call))
            new, pair = f"{name}/{call.query['certificateId']}", call.json()["selfManaged"]
            check_pair(pair["pemCertificate"], pair["pemPrivateKey"])
            if new in self.certs:
                raise Refused(409, {"error": {"code": 409, "message": f"Resource '{new}' already exists", "status": "ALREADY_EXISTS"}})
            self.certs[new] = pair["pemCertificate"]
            return self.operation({})
        if name not in self.certs:
            raise Refused(404, {"error": {"code": 404, "message": f"Resource '{name}' was not found", "status": "NOT_FOUND"}})
        if call.method == "DELETE":
            self.expect(name != self.points, "not in use")
            del self.certs[name]
            return self.operation({})
        return 200, {"name": name, "pemCertificate": self.certs[name], "selfManaged": {}}


class Fortigate(Cloud):
    secret = "f0rt1token"

    def begin(self):
        self.certs, self.used = {"Fortinet_Factory": own()[0]}, "Fortinet_Factory"

    def params(self):
        return {"server": self.url, "token": "api-token"}

    def fingerprint(self):
        return shown(self.certs[self.used].encode())

    def state(self):
        return self.used, sorted(self.certs)

    def answer(self, call):
        if call.headers.get("authorization") != f"Bearer {self.secret}":
            raise Refused(401, b"<html>401 Unauthorized</html>")
        if (call.method, call.path) == ("GET", "/api/v2/monitor/system/certificate/download"):
            self.expect(set(call.query) == {"vdom", "mkey", "type"} and call.query["type"] == "local-cer", "download")
            if call.query["mkey"] not in self.certs:
                raise Refused(404, {"status": "error", "http_status": 404})
            return 200, self.certs[call.query["mkey"]].encode()
        self.expect(call.query == {"vdom": "root"}, "vdom")
        if call.path == "/api/v2/cmdb/system/global":
            if call.method == "PUT":
                self.expect(set(call.json()) == {"admin-server-cert"}, "one field")
                if call.json()["admin-server-cert"] not in self.certs:
                    raise Refused(500, {"status": "error", "error": -3, "http_status": 500})
                self.used = call.json()["admin-server-cert"]
                return 200, {"status": "success", "http_status": 200}
            return 200, {"status": "success", "results": {"admin-server-cert": self.used, "hostname": "fw"}}
        if call.path == "/api/v2/monitor/vpn-certificate/local/import":
            body = call.json()
            self.expect(call.method == "POST" and set(body) == {"type", "scope", "certname", "file_content", "key_file_content"}, "import")
            cert, key = (base64.b64decode(body[k], validate=True) for k in ("file_content", "key_file_content"))
            check_pair(cert, key)
            if body["certname"] in self.certs or len(body["certname"]) > 35:
                raise Refused(500, {"status": "error", "error": -23, "http_status": 500})
            self.certs[body["certname"]] = cert.decode()
            return 200, {"status": "success", "http_status": 200}
        name = call.path.removeprefix("/api/v2/cmdb/vpn.certificate/local/")
        if name not in self.certs:
            raise Refused(404, {"status": "error", "http_status": 404})
        if call.method == "DELETE":
            self.expect(name != self.used, "not in use")
            del self.certs[name]
            return 200, {"status": "success"}
        return 200, {"status": "success", "results": [{"name": name, "source": "user"}]}


class Netscaler(Cloud):
    secret = "ns\"pass&word"

    def begin(self):
        cert, key = own()
        self.files, self.pairs, self.sids, self.saved = {"old.crt": cert, "old.key": key}, {"web": ("old.crt", "old.key")}, set(), 0

    def params(self):
        return {"server": self.url, "user": "certwright", "password": "api-token", "pair": "web"}

    def fingerprint(self):
        return shown(self.files[self.pairs["web"][0]].encode())

    def state(self):
        return self.pairs["web"]

    def answer(self, call):
        self.expect(call.path.startswith("/nitro/v1/config/"), str(call))
        what = call.path.removeprefix("/nitro/v1/config/")
        if what == "login":
            body = call.json()["login"]
            if body != {"username": "certwright", "password": self.secret, "timeout": 900}:
                raise Refused(401, {"errorcode": 354, "message": "Invalid username or password", "severity": "ERROR"})
            sid = "##" + uuid.uuid4().hex.upper()
            self.sids.add(sid)
            return 201, {"errorcode": 0, "message": "Done", "severity": "NONE", "sessionid": sid}
        sid = urllib.parse.unquote(call.headers.get("cookie", "").removeprefix("NITRO_AUTH_TOKEN="))
        if sid not in self.sids:
            raise Refused(401, {"errorcode": 444, "message": "Session expired or killed. Please login again", "severity": "ERROR"})
        if what == "logout":
            self.sids.remove(sid)
            return 201, {"errorcode": 0}
        if what == "nsconfig":
            self.expect(call.query == {"action": "save"}, "save")
            self.saved += 1
            return 200, None
        if what == "systemfile":
            f = call.json()["systemfile"]
            self.expect(f["filelocation"] == "/nsconfig/ssl" and f["fileencoding"] == "BASE64" and len(f["filename"]) <= 63, "file")
            if f["filename"] in self.files:
                raise Refused(409, {"errorcode": 1642, "message": "File already exists"})
            self.files[f["filename"]] = base64.b64decode(f["filecontent"], validate=True).decode()
            return 201, None
        if what == "sslcertkey":
            p = call.json()["sslcertkey"]
            self.expect(call.method == "POST" and p["certkey"] == "web" and call.query == {"action": "update"} and p["nodomaincheck"] is True, "pair")
            check_pair(self.files[p["cert"]], self.files[p["key"]])
            self.pairs["web"] = p["cert"], p["key"]
            return 200, None
        self.expect(call.method == "GET" and what == "sslcertkey/web", str(call))
        cert, key = self.pairs["web"]
        serial = f"{pki.read_chain(self.files[cert].encode())[0].serial_number:X}"
        return 200, {"errorcode": 0, "sslcertkey": [{"certkey": "web", "cert": cert, "key": key, "serial": serial.zfill(len(serial) + len(serial) % 2)}]}


class Proxmox(Cloud):
    secret = "11111111-2222-3333-4444-555555555555"

    def begin(self):
        self.node, self.custom = own()[0], None

    def params(self):
        return {"server": self.url, "token_id": "cw@pve!deploy", "token": "api-token", "node": "pve1"}

    def fingerprint(self):
        return shown((self.custom or self.node).encode())

    def state(self):
        return self.custom

    def answer(self, call):
        if call.headers.get("authorization") != f"PVEAPIToken=cw@pve!deploy={self.secret}":
            raise Refused(401, {"data": None})
        if (call.method, call.path) == ("GET", "/api2/json/nodes/pve1/certificates/info"):
            return 200, {"data": [{"filename": n, "pem": p} for n, p in (("pve-ssl.pem", self.node), ("pveproxy-ssl.pem", self.custom)) if p]}
        self.expect(call.path == "/api2/json/nodes/pve1/certificates/custom", str(call))
        if call.method == "DELETE":
            self.expect(call.query == {"restart": "1"} and self.custom, "there is one")
            self.custom = None
            return 200, {"data": None}
        form = dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True))
        self.expect(call.method == "POST" and set(form) == {"certificates", "key", "force", "restart"}, str(call))
        check_pair(form["certificates"], form["key"])
        self.custom = form["certificates"]
        return 200, {"data": {"filename": "/etc/pve/local/pveproxy-ssl.pem"}}


class PanOs(Cloud):
    """XML API: a candidate configuration, which a commit makes the running one."""
    secret = "p@n os&pass"

    def begin(self):
        cert, key = own()
        self.api_keys, self.jobs = set(), {}
        self.running = {"certs": {"old": [cert, key]}, "used": "old"}
        self.candidate = copy.deepcopy(self.running)

    def params(self):
        return {"server": self.url, "user": "certwright", "password": "api-token", "profile": "web"}

    def fingerprint(self):
        return shown(self.running["certs"][self.running["used"]][0].encode())

    def state(self):
        return self.running["used"], sorted(self.running["certs"])

    def say(self, text, status="success"):
        return 200, f'<response status="{status}">{text}</response>'.encode()

    def parts(self, call):
        text = b"Content-Type: " + call.headers["content-type"].encode() + b"\r\n\r\n" + call.body
        return {p.get_param("name", header="content-disposition"): p.get_payload(decode=True).decode() for p in email.message_from_bytes(text).walk()
                if not p.is_multipart()}

    def answer(self, call):
        self.expect(call.path == "/api/", str(call))
        kind = call.headers.get("content-type", "")
        form = dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True)) if "urlencoded" in kind else {}
        if form.get("type") == "keygen":
            if (form["user"], form["password"]) != ("certwright", self.secret):
                raise Refused(403, b'<response status="error" code="403"><result><msg>Invalid Credential</msg></result></response>')
            self.api_keys.add("LUFRPT1key")
            return self.say("<result><key>LUFRPT1key</key></result>")
        if call.headers.get("x-pan-key") not in self.api_keys:
            raise Refused(403, b'<response status="error" code="403"><result><msg>Invalid Credential</msg></result></response>')
        if call.query.get("type") == "import":
            return self.take_file(self.parts(call))
        return getattr(self, "_" + {**call.query, **form}["type"])(call, {**call.query, **form})

    def take_file(self, p):
        self.expect(p["format"] == "pem" and len(p["certificate-name"]) <= 31, "name")
        if p["category"] == "certificate":
            self.candidate["certs"][p["certificate-name"]] = [p["file"], None]
        else:
            self.expect(p["category"] == "private-key" and len(p["passphrase"]) > 5, "key")
            check_pair(self.candidate["certs"][p["certificate-name"]][0], p["file"])
            self.candidate["certs"][p["certificate-name"]][1] = p["file"]
        return self.say("<result>Successfully imported</result>")

    def _config(self, call, p):
        profile, cert = "/config/shared/ssl-tls-service-profile/entry[@name='web']", re.fullmatch(r"/config/shared/certificate/entry\[@name='([a-z0-9-]+)'\](/public-key)?",
                                                                                                   p["xpath"])
        if p["action"] == "show" and p["xpath"] == profile + "/certificate":
            return self.say(f'<result total-count="1" count="1"><certificate>{self.running["used"]}</certificate></result>')
        if p["action"] == "show":
            return self.say(f'<result><public-key>{self.running["certs"][cert[1]][0]}</public-key></result>')
        self.expect(call.method == "POST", str(call))
        if p["action"] == "delete":
            self.expect(cert[1] != self.candidate["used"], "not in use")
            self.candidate["certs"].pop(cert[1], None)
            return self.say("<msg>command succeeded</msg>")
        self.expect(p["action"] == "set" and p["xpath"] == profile, p["xpath"])
        name = re.fullmatch("<certificate>([a-z0-9-]+)</certificate>", p["element"])[1]
        if name not in self.candidate["certs"] or self.candidate["certs"][name][1] is None:
            return self.say("<msg><line>not a valid reference</line></msg>", "error")
        self.candidate["used"] = name
        return self.say("<msg>command succeeded</msg>")

    def _commit(self, call, p):
        self.expect(p["action"] == "partial" and p["cmd"] == "<commit><partial><admin><member>certwright</member></admin></partial></commit>", "commit")
        if self.candidate == self.running:
            return self.say("<msg>There are no changes to commit.</msg>")
        self.running = copy.deepcopy(self.candidate)
        self.jobs["7"] = 1
        return self.say("<result><msg><line>Commit job enqueued with jobid 7</line></msg><job>7</job></result>")

    def _op(self, call, p):
        self.expect(p["cmd"] == "<show><jobs><id>7</id></jobs></show>", p["cmd"])
        self.jobs["7"] -= 1
        return self.say(f'<result><job><id>7</id><status>{"ACT" if self.jobs["7"] >= 0 else "FIN"}</status>'
                        f'<result>{"PEND" if self.jobs["7"] >= 0 else "OK"}</result></job></result>')


class F5(Cloud):
    """iControl REST: files are uploaded, become objects, and a profile names these."""
    secret = "f5 p@ss"

    def begin(self):
        self.tokens, self.uploads = set(), {}
        self.certs, self.keys = {"/Common/default.crt": own()[0]}, {"/Common/default.key"}
        self.used = {"cert": "/Common/default.crt", "key": "/Common/default.key", "chain": "none"}

    def params(self):
        return {"server": self.url, "user": "certwright", "password": "api-token", "profile": "web"}

    def fingerprint(self):
        return shown(self.certs[self.used["cert"]].encode())

    def state(self):
        return self.used, sorted(self.certs), sorted(self.keys)

    def answer(self, call):
        if call.path == "/mgmt/shared/authn/login":
            if call.json() != {"username": "certwright", "password": self.secret, "loginProviderName": "tmos"}:
                raise Refused(401, {"code": 401, "message": "Authentication failed."})
            token = uuid.uuid4().hex.upper()
            self.tokens.add(token)
            return 200, {"username": "certwright", "token": {"token": token, "timeout": 1200}}
        token = call.headers.get("x-f5-auth-token")
        if token not in self.tokens:
            raise Refused(401, {"code": 401, "message": "X-F5-Auth-Token does not exist."})
        if call.path.startswith("/mgmt/shared/authz/tokens/"):
            self.expect(call.method == "DELETE" and call.path.endswith("/" + token), str(call))
            self.tokens.remove(token)
            return 200, {}
        if call.path.startswith("/mgmt/shared/file-transfer/uploads/"):
            size = len(call.body)
            self.expect(call.method == "POST" and call.headers["content-range"] == f"0-{size - 1}/{size}", "range")
            self.expect(call.headers["content-type"] == "application/octet-stream", "type")
            self.uploads["/var/config/rest/downloads/" + call.path.rsplit("/", 1)[1]] = call.body.decode()
            return 200, {"totalByteCount": size}
        if call.path == "/mgmt/tm/ltm/profile/client-ssl/~Common~web":
            if call.method == "PATCH":
                new = call.json()
                self.expect(set(new) == {"cert", "key", "chain"} and new["cert"] in self.certs and new["key"] in self.keys, "profile")
                leaf = pki.read_chain(self.certs[new["cert"]].encode())
                self.expect(len(leaf) == 1, "the certificate's object is the leaf alone, or the chain is not served")
                if new["cert"].startswith("/Common/certwright-"):
                    above = pki.read_chain(self.certs[new["chain"]].encode())
                    self.expect(above[0].subject == leaf[0].issuer, "the chain fits the leaf")
                self.used = new
            return 200, {"name": "web", "partition": "Common", **self.used}
        if (call.method, call.path) == ("GET", "/mgmt/tm/sys/file/ssl-cert"):
            prints = {n: pki.fingerprint(pki.read_chain(c.encode())[0]).upper() for n, c in self.certs.items()}
            return 200, {"items": [{"fullPath": n, "fingerprint": "SHA256/" + ":".join(p[i:i + 2] for i in range(0, 64, 2))} for n, p in prints.items()]}
        kind, name = re.fullmatch("/mgmt/tm/sys/file/ssl-(cert|key)(?:/~Common~([a-z0-9.-]+))?", call.path).groups()
        if name is None:
            body = call.json()
            self.expect(call.method == "POST" and set(body) == {"name", "partition", "sourcePath"}, "object")
            name, text = f"/{body['partition']}/{body['name']}", self.uploads[body["sourcePath"].removeprefix("file:")]
            if name in self.certs or name in self.keys:
                raise Refused(409, {"code": 409, "message": f"The requested object ({name}) already exists in partition Common."})
            if kind == "cert":
                self.certs[name] = text
            else:
                check_pair(self.certs[name.removesuffix(".key") + ".crt"], text)
                self.keys.add(name)
            return 200, {"fullPath": name}
        name = f"/Common/{name}"
        if call.method == "DELETE":
            self.expect(name not in self.used.values(), "not in use")
            self.certs.pop(name, None) if kind == "cert" else self.keys.discard(name)
            return 200, None
        raise Refused(405, {"code": 405, "message": "not allowed"})


class Synology(Cloud):
    """DSM 7: answers 200 to all, and says in the body whether it did it; values of set, delete and settings are JSON.  A service that is
    given to the certificate that has it already loses it, as has been seen with the real one."""
    secret = "n@s p&ss"

    def begin(self):
        self.sessions, self.number = {}, 0
        desktop = {"display_name": "DSM Desktop Service", "display_name_i18n": "common:web_desktop", "isPkg": False, "multiple_cert": True,
                   "owner": "root", "service": "default", "subscriber": "system", "user_setable": True}
        web = {**desktop, "display_name": "nas \"web\" {x}", "service": "5f0c", "subscriber": "ReverseProxy"}
        self.certs = {"aB3dE9": {"desc": "by \"hand\"", "is_default": True, "services": [desktop, web], "cert": own()[0]},
                      "00e100": {"desc": "", "is_default": False, "services": [], "cert": own()[0]}}

    def params(self):
        return {"server": self.url, "user": "certwright", "password": "api-token"}

    def _default(self):
        return next(c for c in self.certs.values() if c["is_default"])

    def fingerprint(self):
        """Of what serves all: the default, and each service that another had."""
        used = self._default()
        assert len(used["services"]) == 2, self.state()
        return shown(used["cert"].encode())

    def state(self):
        return sorted((c["desc"], c["is_default"], sorted(s["service"] for s in c["services"]), shown(c["cert"].encode())) for c in self.certs.values())

    def ok(self, data=None):
        return 200, {"success": True, **({"data": data} if data is not None else {})}

    def no(self, code):
        return Refused(200, {"success": False, "error": {"code": code}})

    def answer(self, call):
        self.expect(call.path == "/webapi/entry.cgi", str(call))
        kind = call.headers.get("content-type", "")
        form = dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True, keep_blank_values=True)) if "urlencoded" in kind else {}
        p = {**call.query, **form}
        self.expect(len(p) == len(call.query) + len(form), "nothing twice")
        sid, what = p.pop("_sid", None), (p.pop("api"), p.pop("version"), p.pop("method"))
        if what == ("SYNO.API.Auth", "6", "login"):
            self.expect(call.method == "POST" and not call.query, "no password in an address")
            self.expect((p["format"], p["enable_syno_token"]) == ("sid", "yes"), "login")
            if (p["account"], p["passwd"]) != ("certwright", self.secret):
                raise self.no(400)
            self.number += 1
            self.sessions[f"sid-{self.number}"] = f"token{self.number}"
            return self.ok({"did": "x", "sid": f"sid-{self.number}", "synotoken": f"token{self.number}"})
        if sid not in self.sessions or call.headers.get("x-syno-token") != self.sessions[sid]:
            raise self.no(119)
        if what == ("SYNO.API.Auth", "6", "logout"):
            del self.sessions[sid]
            return self.ok()
        names = {("SYNO.Core.Certificate.CRT", "1", "list"): "list", ("SYNO.Core.Certificate.CRT", "1", "set"): "set",
                 ("SYNO.Core.Certificate.CRT", "1", "delete"): "delete", ("SYNO.Core.Certificate", "1", "import"): "take",
                 ("SYNO.Core.Certificate.Service", "1", "set"): "move"}
        if what not in names:
            raise self.no(103)
        self.expect((call.method == "GET") == (names[what] == "list"), str(call))
        return getattr(self, "_" + names[what])(call, p)

    def _list(self, call, p):
        self.expect(not p, "list")
        return self.ok({"certificates": [{"id": i, **{k: v for k, v in c.items() if k != "cert"}, "renewable": False} for i, c in self.certs.items()]})

    def _take(self, call, p):
        self.expect(not p, "import")
        text = b"Content-Type: " + call.headers["content-type"].encode() + b"\r\n\r\n" + call.body
        part = {x.get_param("name", header="content-disposition"): x.get_payload(decode=True).decode() for x in email.message_from_bytes(text).walk()
                if not x.is_multipart()}
        self.expect(set(part) - {"inter_cert"} == {"key", "cert", "id", "desc"}, "as_default counts as said whatever it says")
        self.expect(part["id"] == "" and part["desc"] not in [c["desc"] for c in self.certs.values()], "a new one, once")
        check_pair(part["cert"], part["key"])
        leaf, above = pki.read_chain(part["cert"].encode()), pki.read_chain(part.get("inter_cert", "").encode())
        self.expect(len(leaf) == 1 and all(a.subject == leaf[0].issuer for a in above[:1]), "leaf and what is above it")
        self.expect("inter_cert" not in part or above, "no empty file")
        self.number += 1
        self.certs[f"{self.number}e{self.number:04}"] = {"desc": part["desc"], "is_default": False, "services": [], "cert": part["cert"]}
        return self.ok({"id": f"{self.number}e{self.number:04}", "restart_httpd": False})

    def _set(self, call, p):
        p = {k: json.loads(v) for k, v in p.items()} # an id without quotes can be a number
        self.expect(set(p) - {"as_default"} == {"id", "desc"} and p.get("as_default", True) is True and type(p["desc"]) is str, f"set {p}")
        if p["id"] not in self.certs:
            raise self.no(5503)
        if "as_default" in p:
            self._default()["is_default"] = False
            self.certs[p["id"]]["is_default"] = True
        self.certs[p["id"]]["desc"] = p["desc"]
        return self.ok({"restart_httpd": True})

    def _move(self, call, p):
        self.expect(set(p) == {"settings"}, "settings")
        for one in json.loads(p["settings"]):
            self.expect(set(one) == {"service", "old_id", "id"} and one["id"] in self.certs, "one of settings")
            held = self.certs[one["old_id"]]["services"]
            self.expect(one["service"] in held, "the whole service, as it was listed")
            held.remove(one["service"])
            if one["id"] != one["old_id"]:
                self.certs[one["id"]]["services"].append(one["service"])
        return self.ok({"restart_httpd": True})

    def _delete(self, call, p):
        self.expect(set(p) == {"ids"}, "delete")
        for i in json.loads(p["ids"]):
            self.expect(not self.certs[i]["is_default"] and not self.certs[i]["services"], "not in use")
            del self.certs[i]
        return self.ok()


KINDS = {"synology": Synology, "aws-acm": Acm, "aws-secrets-manager": SecretsManager, "azure-key-vault": KeyVault, "google-certificate-manager": CertificateManager,
         "f5-bigip": F5, "fortigate": Fortigate, "netscaler": Netscaler, "pan-os": PanOs, "proxmox": Proxmox}
