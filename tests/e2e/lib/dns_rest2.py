"""Servers that stand for DNS providers (the second half of dns/*.yaml): one class for what they have in common, a small one a provider.  Each checks every call
strictly, signatures too, holds the zone's records and answers as the provider's documentation says.  What it did not expect is in `wrong`."""
import base64
import calendar
import email.utils
import functools
import hashlib
import hmac
import re
import time
import urllib.parse
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lib import push
from lib.push import Refused
from xml.sax.saxutils import quoteattr

ZONE, NAME, OTHER = "example.org", "_acme-challenge.www.example.org", "somebody-elses_value"


@functools.cache
def rsa_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def hmac256(key, text):
    return hmac.new(key if isinstance(key, bytes) else key.encode(), text.encode(), hashlib.sha256)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


class Provider(push.Api):
    """`records`: id → [name, type, text, ttl].  Somebody else has a TXT value at our name, and one that is ours elsewhere and in another type."""
    secrets = {"token": "tok-Secret_1"}
    ttl = 300
    ids = "number"

    def __init__(self, folder):
        super().__init__(folder)
        self.records, self.counter, self.changes = {}, 7000, 0
        self.put(NAME, "A", "192.0.2.1")
        self.put(NAME, "SPF", "value-one")
        self.put(NAME, "TXT", OTHER)
        self.put("x." + NAME, "TXT", "value-one")
        self.changes = 0

    @property
    def provider(self):
        return type(self).__name__.lower()

    def params(self):
        return {"server": self.url, "ttl": str(self.ttl), **{k: k for k in self.secrets}}

    def put(self, name, kind, text, ttl=3600):
        self.counter += 1
        self.changes += 1
        key = self.counter if self.ids == "number" else str(uuid.uuid4())
        self.records[key] = [name, kind, text, ttl]
        return key

    def create(self, name, kind, text, ttl):
        """What the API does: only TXT, with the ttl that was wished, and none twice."""
        self.expect(kind == "TXT" and int(ttl) == self.ttl, f"TXT with ttl {self.ttl}, not {kind} with {ttl}")
        self.expect(text not in self.texts(name), "a record that is not there yet")
        return self.put(name, kind, text, int(ttl))

    def delete(self, key):
        self.changes += 1
        if key not in self.records:
            raise Refused(404, self.error("no such record"))
        del self.records[key]

    def at(self, name=None, kind=None):
        return [(k, *r) for k, r in self.records.items() if name in (None, r[0]) and kind in (None, r[1])]

    def texts(self, name=NAME):
        with self.lock:
            return sorted(r[2] for r in self.records.values() if r[0] == name and r[1] == "TXT")

    def rel(self, name):
        return "" if name == ZONE else name.removesuffix("." + ZONE)

    def full(self, relative):
        return ZONE if relative in ("", "@") else f"{relative}.{ZONE}"

    def at_or(self, name):
        return self.rel(name) or "@"

    def error(self, text):
        return {"message": text}

    def no(self, status, text):
        return Refused(status, self.error(text))

    def only(self, given, *keys):
        self.expect(set(given) == set(keys), f"{sorted(keys)}, not {sorted(given)}")

    def typed(self, call):
        self.expect(call.headers.get("content-type") == "application/json", "content type")
        return call.json()

    def bearer(self, call):
        if call.headers.get("authorization") != f"Bearer {self.secrets['token']}":
            raise self.no(401, "bad token")

    def unexpected(self, call):
        self.expect(False, str(call))

    def path(self, call, pattern):
        return re.fullmatch(pattern, call.path)

    def set_of(self, name):
        return [(k, r) for k, r in self.records.items() if r[0] == name and r[1] == "TXT"]

    def replace_set(self, name, texts, ttl):
        """Of providers that have sets: the whole one."""
        self.changes += 1
        self.expect(len(texts) == len(set(texts)) > 0 or not texts, "a set without doubles")
        for key, _ in self.set_of(name):
            del self.records[key]
        for text in texts:
            self.put(name, "TXT", text, ttl)

    def unquote(self, text):
        self.expect(len(text) > 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1], f"a quoted text, not {text}")
        return text[1:-1]


class Vultr(Provider):
    ids = "uuid"

    def error(self, text):
        return {"error": text, "status": 400}

    def answer(self, call):
        self.bearer(call)
        if call.method == "GET" and call.path == f"/v2/domains/{ZONE}":
            return 200, {"domain": {"domain": ZONE, "dns_sec": "disabled"}}
        self.expect(call.path.startswith(f"/v2/domains/{ZONE}/records"), str(call))
        if call.method == "GET":  # two a page
            self.expect(call.query["per_page"] == "500" and set(call.query) <= {"per_page", "cursor"}, str(call.query))
            start = int(base64.b64decode(call.query.get("cursor", "MA==")))
            rows, more = self.at()[start:start + 2], start + 2 < len(self.records)
            return 200, {"records": [{"id": k, "type": t, "name": self.rel(n), "data": f'"{v}"' if t == "TXT" else v, "priority": -1, "ttl": ttl} for k, n, t, v, ttl in rows],
                         "meta": {"total": len(self.records), "links": {"next": base64.b64encode(str(start + 2).encode()).decode() if more else "", "prev": ""}}}
        if call.method == "POST":
            new = self.typed(call)
            self.only(new, "type", "name", "data", "ttl")
            key = self.create(self.full(new["name"]), new["type"], self.unquote(new["data"]), new["ttl"])
            return 201, {"record": {"id": key, **new}}
        self.expect(call.method == "DELETE" and not call.body, str(call))
        self.delete(call.path.rsplit("/", 1)[1])
        return 204, None


class Porkbun(Provider):
    secrets = {"key": "pk1_abc", "secret": "sk1_def"}
    ttl = 600

    def error(self, text):
        return {"status": "ERROR", "message": text}

    def answer(self, call):
        self.expect(call.method == "POST", str(call))
        given = self.typed(call)
        if (given.pop("apikey"), given.pop("secretapikey")) != ("pk1_abc", "sk1_def"):
            raise self.no(400, "Invalid API key. (002)")
        if call.path == f"/api/json/v3/dns/retrieve/{ZONE}":
            self.only(given)
            return 200, {"status": "SUCCESS", "records": [{"id": str(k), "name": n, "type": t, "content": v, "ttl": str(ttl), "prio": "0", "notes": ""} for k, n, t, v, ttl in self.at()]}
        if call.path == f"/api/json/v3/dns/create/{ZONE}":
            self.only(given, "type", "name", "content", "ttl")
            self.expect(isinstance(given["ttl"], str), "ttl is a text here")
            return 200, {"status": "SUCCESS", "id": self.create(self.full(given["name"]), given["type"], given["content"], given["ttl"])}
        self.expect(call.path.startswith(f"/api/json/v3/dns/delete/{ZONE}/"), str(call))
        self.only(given)
        self.delete(int(call.path.rsplit("/", 1)[1]))
        return 200, {"status": "SUCCESS"}


def totp(secret, when):
    """RFC 6238."""
    mac = hmac.new(base64.b32decode(secret), int(when // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at:at + 4], 'big') & 0x7fffffff) % 10 ** 6:06}"


class Inwx(Provider):
    """With a second factor where `secrets` has one."""
    secrets = {"password": "pa ss&word", "factor": "JBSWY3DPEHPK3PXP"}

    def __init__(self, folder):
        super().__init__(folder)
        self.sessions, self.locked, self.logins = set(), set(), 0

    def params(self):
        return {**super().params(), "user": "ops"}

    def error(self, text):
        return {"code": 2400, "msg": text}

    def take(self, handler, body):
        self.handler = handler
        super().take(handler, body)

    def _send(self, handler, status, body, headers):
        if isinstance(body, dict) and "cookie" in body:
            headers = {**headers, "Set-Cookie": f"domrobot={body.pop('cookie')}; path=/; Secure; HttpOnly"}
        super()._send(handler, status, body, headers)

    def answer(self, call):
        self.expect((call.method, call.path) == ("POST", "/jsonrpc/"), str(call))
        asked = self.typed(call)
        self.only(asked, "method", "params")
        p = asked["params"]
        if asked["method"] == "account.login":
            if p != {"user": "ops", "pass": self.secrets["password"], "lang": "en"}:
                return 200, {"code": 2200, "msg": "Authentication error"}
            two = "factor" in self.secrets
            (self.locked if two else self.sessions).add(sid := uuid.uuid4().hex)
            self.logins += 1
            return 200, {"code": 1000, "msg": "Command completed successfully", "resData": {"tfa": "GOOGLE-AUTH" if two else "0"}, "cookie": sid}
        sid = (call.headers.get("cookie") or "").removeprefix("domrobot=")
        if asked["method"] == "account.unlock":
            if sid not in self.locked or p not in [{"tan": totp(self.secrets["factor"], time.time() - s)} for s in (0, 30)]:
                return 200, {"code": 2200, "msg": "Authentication error"}
            self.locked.discard(sid)
            self.sessions.add(sid)
            return 200, {"code": 1000, "msg": "Command completed successfully"}
        if sid not in self.sessions:
            return 200, {"code": 2201, "msg": "Authorization error"}
        if asked["method"] == "account.logout":
            self.sessions.discard(sid)
            return 200, {"code": 1500, "msg": "Command completed successfully; ending session"}
        good = {"code": 1000, "msg": "Command completed successfully"}
        if asked["method"] == "nameserver.info":
            if p["domain"] != ZONE:
                return 200, {"code": 2303, "msg": "Object does not exist"}
            rows = [r for r in self.at(p.get("name")) if p.get("type") in (None, r[2])]
            return 200, {**good, "resData": {"roId": 1, "domain": ZONE, **({"record": [{"id": k, "name": n, "type": t, "content": v, "ttl": ttl, "prio": 0} for k, n, t, v, ttl in rows]} if rows else {})}}
        if asked["method"] == "nameserver.createRecord":
            self.only(p, "domain", "name", "type", "content", "ttl")
            return 200, {**good, "resData": {"id": self.create(p["name"], p["type"], p["content"], p["ttl"])}}
        self.expect(asked["method"] == "nameserver.deleteRecord" and isinstance(p["id"], int), str(asked))
        self.delete(p["id"])
        return 200, good


class Netcup(Provider):
    secrets = {"key": "nc-key", "password": "nc-pass"}

    def __init__(self, folder):
        super().__init__(folder)
        self.sessions, self.logins = set(), 0

    def params(self):
        return {"server": self.url, "customer": "12345", "key": "key", "password": "password"}

    def take(self, handler, body):
        self.expect(handler.path.endswith("?JSON"), handler.path)
        handler.path += "="
        super().take(handler, body)

    def said(self, good, text="", data=""):
        return {"serverrequestid": "x", "status": "success" if good else "error", "statuscode": 2000 if good else 4013, "shortmessage": text, "longmessage": text, "responsedata": data}

    def answer(self, call):
        self.expect((call.method, call.path, call.raw_query) == ("POST", "/run/webservice/servers/endpoint.php", "JSON="), str(call))
        asked = self.typed(call)
        self.only(asked, "action", "param")
        p = asked["param"]
        if (p.pop("customernumber"), p.pop("apikey")) != ("12345", "nc-key"):
            return 200, self.said(False, "The customer number or the key is wrong.")
        if asked["action"] == "login":
            if p != {"apipassword": "nc-pass"}:
                return 200, self.said(False, "The login to the API failed.")
            self.sessions.add(sid := uuid.uuid4().hex)
            self.logins += 1
            return 200, self.said(True, "Login successful", {"apisessionid": sid})
        sid = p.pop("apisessionid")
        if sid not in self.sessions:
            return 200, self.said(False, "The session id is not in a valid format.")
        if asked["action"] == "logout":
            self.sessions.discard(sid)
            return 200, self.said(True, "Logout successful")
        self.expect(p.pop("domainname") == ZONE, "the zone")
        if asked["action"] == "infoDnsZone":
            return 200, self.said(True, "DNS zone found", {"name": ZONE, "ttl": "86400"})
        if asked["action"] == "infoDnsRecords":
            return 200, self.said(True, "DNS records found", {"dnsrecords": [
                {"id": str(k), "hostname": self.at_or(n), "type": t, "priority": "0", "destination": v, "deleterecord": False, "state": "yes"} for k, n, t, v, _ in self.at()]})
        self.expect(asked["action"] == "updateDnsRecords", str(asked))
        [r] = p["dnsrecordset"]["dnsrecords"]
        self.only(r, "id", "hostname", "type", "priority", "destination", "deleterecord", "state")
        if r["deleterecord"]:
            self.expect(self.records[int(r["id"])][:3] == [self.full(r["hostname"]), "TXT", r["destination"]], "the record as it is")
            self.delete(int(r["id"]))
        else:
            self.expect(r["id"] == "", "a new one")
            self.create(self.full(r["hostname"]), r["type"], r["destination"], self.ttl)
        return 200, self.said(True, "DNS records updated")


class TransIP(Provider):
    ttl = 60

    def __init__(self, folder):
        self.secrets = {"key": rsa_key()[1]}
        super().__init__(folder)
        self.tokens, self.nonces = set(), set()

    def params(self):
        return {**super().params(), "login": "example"}

    def error(self, text):
        return {"error": text}

    def login(self, call):
        given = self.typed(call)
        self.only(given, "login", "nonce", "read_only", "expiration_time", "label", "global_key")
        self.expect(given["nonce"] not in self.nonces and 6 <= len(given["nonce"]) <= 32 and given["global_key"] is False and given["read_only"] is False, "a new nonce")
        self.nonces.add(given["nonce"])
        try:
            rsa_key()[0].public_key().verify(base64.b64decode(call.headers["signature"]), call.body, padding.PKCS1v15(), hashes.SHA512())
        except Exception:
            raise self.no(401, "Invalid signature") from None
        self.expect(given["login"] == "example", "login")
        self.tokens.add(token := f"eyJ.{uuid.uuid4().hex}.x")
        return 201, {"token": token}

    def answer(self, call):
        if (call.method, call.path) == ("POST", "/v6/auth"):
            return self.login(call)
        if (call.headers.get("authorization") or "").removeprefix("Bearer ") not in self.tokens:
            raise self.no(401, "Your access token has been revoked.")
        self.expect(call.path == f"/v6/domains/{ZONE}/dns", str(call))
        if call.method == "GET":
            return 200, {"dnsEntries": [{"name": self.at_or(n), "expire": ttl, "type": t, "content": v} for _, n, t, v, ttl in self.at()]}
        e = self.typed(call)["dnsEntry"]
        self.only(e, "name", "expire", "type", "content")
        if call.method == "POST":
            self.create(self.full(e["name"]), e["type"], e["content"], e["expire"])
            return 201, None
        self.expect(call.method == "DELETE", str(call))
        for k, n, t, v, ttl in self.at():
            if (self.at_or(n), ttl, t, v) == (e["name"], e["expire"], e["type"], e["content"]):
                self.delete(k)
                return 204, None
        raise self.no(404, "DNS entry not found")


class Alibaba(Provider):
    secrets = {"access_key": "LTAI-key", "secret_key": "ali-Secret"}
    ttl = 600

    def error(self, text):
        return {"Code": "Refused", "Message": text, "RequestId": "1"}

    def signed(self, call):
        m = re.fullmatch(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})", call.headers.get("authorization", ""))
        self.expect(m, "an authorization")
        names = m[2].split(";")
        self.expect(names == sorted(names) and set(names) >= {"host", *(h for h in call.headers if h.startswith("x-acs-") or h == "content-type")}, "all headers signed")
        self.expect(call.headers["x-acs-content-sha256"] == sha256(call.body) and len(call.headers["x-acs-signature-nonce"]) >= 16, "hash and nonce")
        when = calendar.timegm(time.strptime(call.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ"))
        self.expect(abs(when - time.time()) < 900, "now")
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(call.query.items()))
        text = "\n".join([call.method, call.raw_path, query, "".join(f"{n}:{call.headers[n].strip()}\n" for n in names), m[2], sha256(call.body)])
        if (m[1], m[3]) != ("LTAI-key", hmac256(self.secrets["secret_key"], "ACS3-HMAC-SHA256\n" + sha256(text.encode())).hexdigest()):
            raise self.no(400, "Specified signature is not matched with our calculation.")

    def answer(self, call):
        self.signed(call)
        self.expect(call.path == "/" and not call.body and call.headers["x-acs-version"] == "2015-01-09", str(call))
        action, q = call.headers["x-acs-action"], call.query
        if action == "DescribeDomainRecords":
            self.expect(call.method == "GET" and q["DomainName"] == ZONE and int(q["PageSize"]) <= 500, str(q))
            rows = [r for r in self.at(kind=q.get("TypeKeyWord")) if q.get("RRKeyWord", "") in self.at_or(r[1])]
            return 200, {"TotalCount": len(rows), "PageNumber": 1, "PageSize": int(q["PageSize"]), "RequestId": "1", "DomainRecords": {"Record": [
                {"RecordId": str(k), "RR": self.at_or(n), "DomainName": ZONE, "Type": t, "Value": v, "TTL": ttl, "Status": "ENABLE"} for k, n, t, v, ttl in rows[:int(q["PageSize"])]]}}
        self.expect(call.method == "POST", str(call))
        if action == "AddDomainRecord":
            self.only(q, "DomainName", "RR", "Type", "Value", "TTL")
            return 200, {"RequestId": "1", "RecordId": str(self.create(self.full(q["RR"]), q["Type"], q["Value"], q["TTL"]))}
        self.expect(action == "DeleteDomainRecord", action)
        self.only(q, "RecordId")
        self.delete(int(q["RecordId"]))
        return 200, {"RequestId": "1", "RecordId": q["RecordId"]}


class Tencent(Provider):
    secrets = {"secret_id": "AKID-id", "secret_key": "tc-Secret"}
    ttl = 600

    def failed(self, code, text):
        return 200, {"Response": {"Error": {"Code": code, "Message": text}, "RequestId": "1"}}

    def signed(self, call):
        when = int(call.headers["x-tc-timestamp"])
        self.expect(abs(when - time.time()) < 300, "now")
        day = time.strftime("%Y-%m-%d", time.gmtime(when))
        names = "content-type;host;x-tc-action"
        head = "".join(f"{n}:{call.headers[n].strip().lower()}\n" for n in names.split(";"))
        request = "\n".join([call.method, "/", call.raw_query, head, names, sha256(call.body)])
        key = hmac256(hmac256(hmac256("TC3" + self.secrets["secret_key"], day).digest(), "dnspod").digest(), "tc3_request").digest()
        right = hmac256(key, f"TC3-HMAC-SHA256\n{when}\n{day}/dnspod/tc3_request\n{sha256(request.encode())}").hexdigest()
        return call.headers["authorization"] == f"TC3-HMAC-SHA256 Credential=AKID-id/{day}/dnspod/tc3_request, SignedHeaders={names}, Signature={right}"

    def answer(self, call):
        self.expect((call.method, call.path) == ("POST", "/") and call.headers["x-tc-version"] == "2021-03-23", str(call))
        if not self.signed(call):
            return self.failed("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")
        p, action = self.typed(call), call.headers["x-tc-action"]
        if p.pop("Domain") != ZONE:
            return self.failed("InvalidParameterValue.DomainNotExists", "The domain does not exist.")
        if action == "DescribeRecordList":
            self.expect(isinstance(p.pop("Limit"), int) and set(p) <= {"Subdomain", "RecordType"}, str(p))
            rows = [r for r in self.at(kind=p.get("RecordType")) if p.get("Subdomain") in (None, self.at_or(r[1]))]
            if not rows:
                return self.failed("ResourceNotFound.NoDataOfRecord", "There are no records.")
            return 200, {"Response": {"RecordCountInfo": {"TotalCount": len(rows)}, "RequestId": "1", "RecordList": [
                {"RecordId": k, "Name": self.at_or(n), "Type": t, "Value": v, "TTL": ttl, "Line": "默认", "Status": "ENABLE"} for k, n, t, v, ttl in rows]}}
        if action == "CreateRecord":
            self.only(p, "SubDomain", "RecordType", "RecordLine", "Value", "TTL")
            self.expect(p["RecordLine"] == "默认", "line")
            return 200, {"Response": {"RecordId": self.create(self.full(p["SubDomain"]), p["RecordType"], p["Value"], p["TTL"]), "RequestId": "1"}}
        self.expect(action == "DeleteRecord" and isinstance(p["RecordId"], int), str(p))
        self.delete(p["RecordId"])
        return 200, {"Response": {"RequestId": "1"}}


class Huawei(Provider):
    secrets = {"access_key": "HW-AK", "secret_key": "hw-Secret"}

    def error(self, text):
        return {"code": "DNS.0001", "message": text}

    def signed(self, call):
        m = re.fullmatch(r"SDK-HMAC-SHA256 Access=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})", call.headers.get("authorization", ""))
        self.expect(m and {"host", "x-sdk-date"} <= set(m[2].split(";")) and m[2].split(";") == sorted(m[2].split(";")), "an authorization")
        self.expect(abs(calendar.timegm(time.strptime(call.headers["x-sdk-date"], "%Y%m%dT%H%M%SZ")) - time.time()) < 900, "now")
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(call.query.items()))
        head = "".join(f"{n}:{call.headers[n].strip()}\n" for n in m[2].split(";"))
        text = "\n".join([call.method, call.raw_path.rstrip("/") + "/", query, head, m[2], sha256(call.body)])
        right = hmac256(self.secrets["secret_key"], f"SDK-HMAC-SHA256\n{call.headers['x-sdk-date']}\n{sha256(text.encode())}").hexdigest()
        if (m[1], m[3]) != ("HW-AK", right):
            raise self.no(401, "Signature verification failed")

    def params(self):
        return {**super().params(), "project": "0f5a"}

    def answer(self, call):
        self.signed(call)
        self.expect(call.headers.get("x-project-id") == "0f5a", "the project")
        if (call.method, call.path) == ("GET", "/v2/zones"):
            self.expect(call.query == {"type": "public", "name": ZONE + ".", "search_mode": "equal"}, str(call.query))
            return 200, {"zones": [{"id": "ff80aa", "name": ZONE + ".", "zone_type": "public", "status": "ACTIVE"}], "metadata": {"total_count": 1}}
        m = self.path(call, r"/v2/zones/ff80aa/recordsets(/set-\d+)?")
        self.expect(m, str(call))
        if call.method == "GET":
            name = call.query["name"].rstrip(".")
            self.expect(call.query["search_mode"] == "equal" and call.query["type"] == "TXT", str(call.query))
            rows = self.set_of(name)
            return 200, {"recordsets": [{"id": f"set-{min(k for k, _ in rows)}", "name": name + ".", "type": "TXT", "ttl": rows[0][1][3], "records": [f'"{r[2]}"' for _, r in rows]}] if rows else [],
                         "metadata": {"total_count": len(rows)}}
        if call.method == "DELETE":
            self.expect(not call.body, "no body")
            self.replace_set(self.records[int(m[1][5:])][0], [], 0)
            return 202, {"status": "PENDING_DELETE"}
        p = self.typed(call)
        self.only(p, "name", "type", "ttl", "records")
        name, texts = p["name"].removesuffix("."), [self.unquote(t) for t in p["records"]]
        rows = self.set_of(name)
        self.expect(p["type"] == "TXT" and (call.method == "PUT") == bool(rows) == bool(m[1]), f"{call} of {len(rows)}")
        self.expect(p["ttl"] == (rows[0][1][3] if rows else self.ttl), "the ttl of the set")
        self.replace_set(name, texts, p["ttl"])
        return 202, {"id": "set-1", "status": "PENDING_UPDATE"}


class Infoblox(Provider):
    secrets = {"password": "nios-pass"}
    ttl = 60

    def params(self):
        return {**super().params(), "user": "acme", "view": "external"}

    def error(self, text):
        return {"Error": "AdmConProtoError: " + text, "code": "Client.Ibap.Proto", "text": text}

    def ref(self, key):
        return f"record:txt/ZG5zLmJpbmRfdHh0{key}:{self.records[key][0]}/external"

    def answer(self, call):
        if call.headers.get("authorization") != "Basic " + base64.b64encode(b"acme:nios-pass").decode():
            raise self.no(401, "Authorization Required")
        if (call.method, call.path) == ("GET", "/wapi/v2.12/zone_auth"):
            self.expect(call.query == {"fqdn": ZONE, "view": "external"}, str(call.query))
            return 200, [{"_ref": f"zone_auth/ZG5z:{ZONE}/external", "fqdn": ZONE, "view": "external"}]
        if (call.method, call.path) == ("GET", "/wapi/v2.12/record:txt"):
            name = call.query["name"]
            self.expect(call.query == {"name": name, "view": "external", "_return_fields": "name,text,view"}, str(call.query))
            return 200, [{"_ref": self.ref(k), "name": n, "text": v, "view": "external"} for k, n, _, v, _ in self.at(name, "TXT")]
        if (call.method, call.path) == ("POST", "/wapi/v2.12/record:txt"):
            p = self.typed(call)
            self.only(p, "name", "text", "view", "use_ttl", "ttl")
            self.expect(p["view"] == "external" and p["use_ttl"] is True, str(p))
            return 201, self.ref(self.create(p["name"], "TXT", self.unquote(p["text"]), p["ttl"]))
        self.expect(call.method == "DELETE" and not call.body, str(call))
        for key in list(self.records):
            if call.path == "/wapi/v2.12/" + self.ref(key):
                self.delete(key)
                return 200, call.path
        raise self.no(404, "Reference not found")


class BlueCat(Provider):
    secrets = {"password": "bam-pass"}
    ttl = 60

    def __init__(self, folder):
        super().__init__(folder)
        self.sessions, self.deployed = set(), None

    def params(self):
        return {**super().params(), "user": "api", "view": "external"}

    def error(self, text):
        return {"status": 400, "reason": "Refused", "code": "Refused", "message": text}

    def answer(self, call):
        if (call.method, call.path) == ("POST", "/api/v2/sessions"):
            if self.typed(call) != {"username": "api", "password": "bam-pass"}:
                raise self.no(401, "Ensure that your username and password are correct.")
            self.sessions.add(token := base64.b64encode(f"api:{uuid.uuid4().hex}".encode()).decode())
            return 201, {"id": 1, "type": "UserSession", "apiToken": "t", "basicAuthenticationCredentials": token, "state": "LOGGED_IN"}
        if (call.headers.get("authorization") or "").removeprefix("Basic ") not in self.sessions:
            raise self.no(401, "Invalid authorization")
        if (call.method, call.path) == ("GET", "/api/v2/zones"):
            self.expect(call.query == {"filter": f"absoluteName:eq('{ZONE}')"}, str(call.query))
            views = [(40, "internal"), (41, "external")]
            return 200, {"count": 2, "data": [{"id": i, "type": "Zone", "name": "example", "absoluteName": ZONE, "view": {"id": i + 50, "type": "View", "name": v}} for i, v in views]}
        if call.path == "/api/v2/zones/41/resourceRecords":
            if call.method == "GET":
                m = re.fullmatch(r"absoluteName:eq\('([^']+)'\)", call.query["filter"])
                self.expect(m and call.query["limit"] == "1000", str(call.query))
                return 200, {"count": 1, "data": [{"id": k, "type": "TXTRecord" if t == "TXT" else "HostRecord", "name": self.rel(n), "absoluteName": n,
                                                   **({"text": v} if t == "TXT" else {"addresses": []}), "ttl": ttl} for k, n, t, v, ttl in self.at(m[1])]}
            p = self.typed(call)
            self.only(p, "type", "name", "text", "ttl")
            self.expect(p["type"] == "TXTRecord", str(p))
            return 201, {"id": self.create(self.full(p["name"]), "TXT", p["text"], p["ttl"]), **p}
        if (call.method, call.path) == ("POST", "/api/v2/zones/41/deployments"):
            self.expect(self.typed(call) == {"type": "QuickDeployment"}, "a quick deployment")
            self.deployed = self.texts()
            return 201, {"id": 9, "type": "QuickDeployment", "state": "QUEUED"}
        m = self.path(call, r"/api/v2/resourceRecords/(\d+)")
        self.expect(m and call.method == "DELETE", str(call))
        self.delete(int(m[1]))
        return 204, None


class UltraDNS(Provider):
    secrets = {"password": "ultra-pass"}
    ttl = 120

    def __init__(self, folder):
        super().__init__(folder)
        self.tokens = set()

    def params(self):
        return {**super().params(), "user": "acme"}

    def error(self, text):
        return [{"errorCode": 70002, "errorMessage": text}]

    def answer(self, call):
        if (call.method, call.path) == ("POST", "/authorization/token"):
            self.expect(call.headers["content-type"] == "application/x-www-form-urlencoded", "a form")
            form = dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True))
            if form != {"grant_type": "password", "username": "acme", "password": "ultra-pass"}:
                raise Refused(400, {"errorCode": 60001, "errorMessage": "invalid_grant:Invalid username & password combination."})
            self.tokens.add(token := uuid.uuid4().hex)
            return 200, {"tokenType": "Bearer", "refreshToken": "r", "accessToken": token, "expiresIn": "3600", "access_token": token, "token_type": "Bearer", "expires_in": "3600"}
        if (call.headers.get("authorization") or "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, {"errorCode": 60001, "errorMessage": "invalid_grant:token not found, expired or invalid"})
        if (call.method, call.path) == ("GET", f"/zones/{ZONE}."):
            return 200, {"properties": {"name": ZONE + ".", "type": "PRIMARY"}}
        m = self.path(call, rf"/zones/{re.escape(ZONE)}\./rrsets/TXT/(.+)\.")
        self.expect(m, str(call))
        rows = self.set_of(m[1])
        if call.method == "GET" or (not rows and call.method in ("DELETE", "PUT")):
            if not rows:
                raise self.no(404, "Data not found.")
            return 200, {"zoneName": ZONE + ".", "rrSets": [{"ownerName": m[1] + ".", "rrtype": "TXT (16)", "ttl": rows[0][1][3], "rdata": [r[2] for _, r in rows]}]}
        if call.method == "DELETE":
            self.replace_set(m[1], [], 0)
            return 204, None
        p = self.typed(call)
        self.only(p, "ttl", "rdata")
        self.expect((call.method == "PUT") == bool(rows) and p["ttl"] == (rows[0][1][3] if rows else self.ttl), str(p))
        self.replace_set(m[1], p["rdata"], p["ttl"])
        return 200 if rows else 201, {"message": "Successful"}


class OCI(Provider):
    ttl = 60

    def __init__(self, folder):
        self.secrets = {"key": rsa_key()[1]}
        super().__init__(folder)

    def params(self):
        return {**super().params(), "tenancy": "ocid1.tenancy.oc1..aa", "user": "ocid1.user.oc1..bb", "fingerprint": "20:3b:97"}

    def error(self, text):
        return {"code": "NotAuthenticated", "message": text}

    def signed(self, call):
        m = re.fullmatch(r'Signature version="1",headers="([^"]+)",keyId="([^"]+)",algorithm="rsa-sha256",signature="([^"]+)"', call.headers["authorization"])
        names = "date (request-target) host" + (" content-length content-type x-content-sha256" if call.method in ("POST", "PUT", "PATCH") else "")
        self.expect(m and m[1] == names and m[2] == "ocid1.tenancy.oc1..aa/ocid1.user.oc1..bb/20:3b:97", "an authorization")
        self.expect(abs(email.utils.parsedate_to_datetime(call.headers["date"]).timestamp() - time.time()) < 300, "now")
        if call.body:
            self.expect(call.headers["x-content-sha256"] == base64.b64encode(hashlib.sha256(call.body).digest()).decode(), "hash")
        target = f"{call.method.lower()} {call.raw_path}" + (f"?{call.raw_query}" if call.raw_query else "")
        text = "\n".join(f"{n}: {target if n[0] == '(' else call.headers[n]}" for n in names.split(" "))
        try:
            rsa_key()[0].public_key().verify(base64.b64decode(m[3]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except Exception:
            raise self.no(401, "The required information to complete authentication was not provided or was incorrect.") from None

    def items(self, name):
        return {"items": [{"domain": n, "rtype": t, "rdata": f'"{v}"', "ttl": ttl, "isProtected": False, "recordHash": str(k), "rrsetVersion": "3"} for k, n, t, v, ttl in self.at(name, "TXT")]}

    def answer(self, call):
        self.signed(call)
        if (call.method, call.path) == ("GET", f"/20180115/zones/{ZONE}"):
            return 200, {"name": ZONE, "id": "ocid1.dns-zone.oc1..cc", "lifecycleState": "ACTIVE"}
        m = self.path(call, rf"/20180115/zones/{re.escape(ZONE)}/records/([^/]+)/TXT")
        self.expect(m and call.method in ("GET", "PATCH"), str(call))
        if call.method == "PATCH":
            [item] = self.typed(call)["items"]
            text = self.unquote(item["rdata"])
            self.expect(item["domain"] == m[1] and item["rtype"] == "TXT", str(item))
            if item["operation"] == "ADD":
                self.create(m[1], "TXT", text, item["ttl"])
            else:
                self.expect(item["operation"] == "REMOVE", str(item))
                for k, _, _, v, _ in self.at(m[1], "TXT"):
                    if v == text:
                        self.delete(k)
        return 200, self.items(m[1])


class Scaleway(Provider):
    ids, ttl = "uuid", 60

    def answer(self, call):
        if call.headers.get("x-auth-token") != self.secrets["token"]:
            raise self.no(401, "authentication is denied")
        self.expect(call.path == f"/domain/v2beta1/dns-zones/{ZONE}/records", str(call))
        if call.method == "GET":
            rows = [r for r in self.at(kind=call.query["type"]) if call.query.get("name") in (None, self.rel(r[1]))]
            return 200, {"total_count": len(rows), "records": [{"id": k, "name": self.rel(n), "type": t, "data": f'"{v}"', "ttl": ttl, "priority": 0, "comment": None} for k, n, t, v, ttl in rows]}
        p = self.typed(call)
        self.expect(call.method == "PATCH" and p["return_all_records"] is False and len(p["changes"]) == 1, str(p))
        [change] = p["changes"]
        if "add" in change:
            [r] = change["add"]["records"]
            self.only(r, "name", "type", "data", "ttl")
            self.create(self.full(r["name"]), r["type"], self.unquote(r["data"]), r["ttl"])
        else:
            self.only(change["delete"], "id")
            self.delete(change["delete"]["id"])
        return 200, {"records": []}


class Infomaniak(Provider):
    def error(self, text):
        return {"result": "error", "error": {"code": "refused", "description": text}}

    def source(self, text):
        self.expect(text, "the apex is .")
        return ZONE if text == "." else self.full(text)

    def answer(self, call):
        self.bearer(call)
        m = self.path(call, rf"/2/zones/{re.escape(ZONE)}/records(/\d+)?")
        self.expect(m, str(call))
        if call.method == "GET":
            return 200, {"result": "success", "data": [{"id": k, "source": self.rel(n) or ".", "type": t, "ttl": ttl, "target": f'"{v}"' if t == "TXT" else v} for k, n, t, v, ttl in self.at()]}
        if call.method == "POST":
            p = self.typed(call)
            self.only(p, "type", "source", "target", "ttl")
            return 201, {"result": "success", "data": {"id": self.create(self.source(p["source"]), p["type"], p["target"], p["ttl"])}}
        self.expect(call.method == "DELETE" and not call.body, str(call))
        self.delete(int(m[1][1:]))
        return 200, {"result": "success", "data": True}


class Bunny(Provider):
    ttl = 60

    def error(self, text):
        return {"ErrorKey": "refused", "Message": text}

    def answer(self, call):
        if call.headers.get("accesskey") != self.secrets["token"]:
            raise self.no(401, "The request authorization failed")
        if (call.method, call.path) == ("GET", "/dnszone"):
            self.expect(call.query == {"search": ZONE, "perPage": "1000"}, str(call.query))
            return 200, {"Items": [{"Id": 11, "Domain": "other-" + ZONE, "Records": []}, {"Id": 12, "Domain": ZONE, "Records": []}], "CurrentPage": 1, "TotalItems": 2, "HasMoreItems": False}
        if (call.method, call.path) == ("GET", "/dnszone/12"):
            return 200, {"Id": 12, "Domain": ZONE, "Records": [{"Id": k, "Type": 3 if t == "TXT" else 0, "Ttl": ttl, "Value": v, "Name": self.rel(n)} for k, n, t, v, ttl in self.at()]}
        if (call.method, call.path) == ("PUT", "/dnszone/12/records"):
            p = self.typed(call)
            self.only(p, "Type", "Name", "Value", "Ttl")
            self.expect(p["Type"] == 3, str(p))
            return 201, {"Id": self.create(self.full(p["Name"]), "TXT", p["Value"], p["Ttl"])}
        m = self.path(call, r"/dnszone/12/records/(\d+)")
        self.expect(m and call.method == "DELETE", str(call))
        self.delete(int(m[1]))
        return 204, None


class ClouDNS(Provider):
    secrets = {"password": "cl ou+dns"}
    ttl = 60

    def params(self):
        return {**super().params(), "sub_user": "4711"}

    def failed(self, text):
        return 200, {"status": "Failed", "statusDescription": text}

    def answer(self, call):
        self.expect(call.method == "POST" and call.headers["content-type"] == "application/x-www-form-urlencoded" and not call.raw_query, str(call))
        form = dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True))
        if (form.pop("sub-auth-id", None), form.pop("auth-password", None)) != ("4711", self.secrets["password"]):
            return self.failed("Invalid authentication, incorrect auth-id or auth-password.")
        if call.path == "/dns/login.json":
            self.only(form)
            return 200, {"status": "Success", "statusDescription": "Success login."}
        self.expect(form.pop("domain-name") == ZONE, "the zone")
        if call.path == "/dns/get-zone-info.json":
            return 200, {"name": ZONE, "type": "master", "zone": "domain", "status": "1"}
        if call.path == "/dns/records.json":
            form.setdefault("host", "")
            self.only(form, "host", "type")
            rows = [r for r in self.at(self.full(form["host"]), form["type"])]
            return 200, {str(k): {"id": str(k), "type": t, "host": self.rel(n), "record": v, "failover": "0", "ttl": str(ttl), "status": 1} for k, n, t, v, ttl in rows} or []
        if call.path == "/dns/add-record.json":
            form.setdefault("host", "")
            self.only(form, "record-type", "host", "record", "ttl")
            return 200, {"status": "Success", "statusDescription": "The record was added successfully.", "data": {"id": self.create(self.full(form["host"]), form["record-type"], form["record"], form["ttl"])}}
        self.expect(call.path == "/dns/delete-record.json", str(call))
        self.only(form, "record-id")
        self.delete(int(form["record-id"]))
        return 200, {"status": "Success", "statusDescription": "The record was deleted successfully."}


class DuckDNS(Provider):
    """One value a name."""

    def __init__(self, folder):
        super().__init__(folder)
        self.txt = ""

    def params(self):
        return {"server": self.url, "token": "token", "domain": ZONE}

    def answer(self, call):
        self.expect((call.method, call.path) == ("GET", "/update") and call.query["verbose"] == "true", str(call))
        self.expect(set(call.query) <= {"domains", "token", "txt", "clear", "verbose"} and call.query["txt"], "nothing that changes the address")
        if call.query["token"] != self.secrets["token"] or call.query["domains"] != ZONE:
            return 200, b"KO"
        self.txt = "" if call.query.get("clear") == "true" else call.query["txt"]
        return 200, f"OK\n{self.txt}\nUPDATED".encode()


class NameCom(Provider):
    def params(self):
        return {**super().params(), "user": "acme"}

    def answer(self, call):
        if call.headers.get("authorization") != "Basic " + base64.b64encode(f"acme:{self.secrets['token']}".encode()).decode():
            raise self.no(401, "Unauthenticated")
        if (call.method, call.path) == ("GET", f"/v4/domains/{ZONE}"):
            return 200, {"domainName": ZONE, "expireDate": "2030-01-01T00:00:00Z"}
        m = self.path(call, rf"/v4/domains/{re.escape(ZONE)}/records(/\d+)?")
        self.expect(m, str(call))
        if call.method == "GET":  # two a page
            page = int(call.query.get("page", "1"))
            self.expect(call.query["perPage"] in ("1", "1000"), str(call.query))
            rows = self.at()[2 * page - 2:2 * page]
            return 200, {**({"records": [{"id": k, "domainName": ZONE, "host": self.rel(n), "fqdn": n + ".", "type": t, "answer": v, "ttl": ttl} for k, n, t, v, ttl in rows]} if rows else {}),
                         **({"nextPage": page + 1, "lastPage": (len(self.records) + 1) // 2} if 2 * page < len(self.records) else {})}
        if call.method == "POST":
            p = self.typed(call)
            self.only(p, "host", "type", "answer", "ttl")
            return 200, {"id": self.create(self.full(p["host"]), p["type"], p["answer"], p["ttl"]), **p}
        self.expect(call.method == "DELETE" and not call.body, str(call))
        self.delete(int(m[1][1:]))
        return 200, {}


class NameSilo(Provider):
    secrets = {"key": "silo-key"}
    ttl, ids = 3600, "uuid"

    def said(self, code, detail, **more):
        return 200, {"request": {"operation": "x", "ip": "192.0.2.9"}, "reply": {"code": code, "detail": detail, **more}}

    def answer(self, call):
        q = dict(call.query)
        self.expect(call.method == "GET" and q.pop("version") == "1" and q.pop("type") == "json", str(call))
        if q.pop("key") != self.secrets["key"]:
            return self.said(110, "Invalid API Key")
        self.expect(q.pop("domain") == ZONE, "the zone")
        if call.path == "/api/dnsListRecords":
            self.only(q)
            rows = [{"record_id": k, "type": t, "host": n, "value": v, "ttl": str(ttl), "distance": 0} for k, n, t, v, ttl in self.at()]
            return self.said(300, "success", resource_record=rows if len(rows) > 1 else rows[0] if rows else None)
        if call.path == "/api/dnsAddRecord":
            q.setdefault("rrhost", "")
            self.only(q, "rrtype", "rrhost", "rrvalue", "rrttl")
            return self.said(300, "success", record_id=self.create(self.full(q["rrhost"]), q["rrtype"], q["rrvalue"], q["rrttl"]))
        self.expect(call.path == "/api/dnsDeleteRecord", str(call))
        self.only(q, "rrid")
        self.delete(q["rrid"])
        return self.said(300, "success")


class Hostinger(Provider):
    def answer(self, call):
        self.bearer(call)
        self.expect(call.path == f"/api/dns/v1/zones/{ZONE}", str(call))
        if call.method == "GET":
            sets = {}
            for _, n, t, v, ttl in self.at():
                sets.setdefault((n, t), {"name": self.at_or(n), "type": t, "ttl": ttl, "records": []})["records"].append({"content": f'"{v}"' if t == "TXT" else v, "is_disabled": False})
            return 200, list(sets.values())
        p = self.typed(call)
        if call.method == "DELETE":
            [f] = p["filters"]
            self.only(f, "name", "type")
            self.expect(f["type"] == "TXT", str(f))
            self.replace_set(self.full(f["name"]), [], 0)
            return 200, {"message": "Request accepted"}
        [z] = p["zone"]
        self.only(z, "name", "type", "ttl", "records")
        name, texts = self.full(z["name"]), [r["content"].strip('"') for r in z["records"]]
        self.expect(call.method == "PUT" and z["type"] == "TXT" and isinstance(z["ttl"], int), str(p))
        if p["overwrite"]:
            self.replace_set(name, texts, z["ttl"])
        else:
            for text in texts:
                self.create(name, "TXT", text, z["ttl"])
        return 200, {"message": "Request accepted"}


class Namecheap(Provider):
    """All records at once.  `after`: what is done to them, by others or by the server itself, once they are written; `written`: each list."""
    secrets, ttl = {"key": "cheap-key/+="}, 60
    fields = ["HostName", "RecordType", "Address", "MXPref", "TTL"]

    def __init__(self, folder):
        super().__init__(folder)
        self.email, self.written, self.after = "MX", [], []
        self.records = {k: r for k, r in self.records.items() if r[1] != "SPF"}
        for name, kind, text, ttl, pref in (
                ("@", "A", "192.0.2.9", 1799, "10"), ("@", "MX", "mx2.example.net.", 1800, "20"), ("@", "MX", "mx1.example.net.", 1800, "5"), ("*", "CNAME", "web.example.net.", 60, "10"),
                ("@", "CAA", '0 issue "ca.example; a=b"', 300, "10"), ("spf", "TXT", 'v=spf1 include:a&b <c> "d" %20+ \'é\' ~all', 60000, "10"), ("v6", "AAAA", "2001:db8::1", 3600, "10"),
                ("old", "URL301", "https://example.net/?a=1&b=2#c", 1800, "10"), ("www", "FRAME", "http://example.net/", 1800, "10"), ("sub", "NS", "ns1.example.net.", 1800, "10"),
                ("MiXed", "TXT", "value-one", 1800, "10"), ("@", "ALIAS", "example.com.", 300, "10"), ("_acme-challenge.www", "CNAME", "value-one", 300, "10")):
            self.put(self.full(name), kind, text, ttl, pref)
        self.changes = 0

    def put(self, name, kind, text, ttl=3600, pref="10"):
        key = super().put(name, kind, text, ttl)
        self.records[key].append(pref)
        return key

    def params(self):
        return {**super().params(), "user": "cheapuser", "client_ip": "192.0.2.77"}

    def said(self, result, error=""):
        status = "ERROR" if error else "OK"
        return 200, (f'<?xml version="1.0" encoding="utf-8"?>\n<ApiResponse Status="{status}" xmlns="http://api.namecheap.com/xml.response">\n  <Errors>{error}</Errors>\n'
                     f'  <CommandResponse Type="x">\n{result}\n  </CommandResponse>\n  <Server>S</Server>\n</ApiResponse>\n').encode()

    def hosts(self):
        rows = "\n".join(f'<host HostId="{k}" Name={quoteattr(self.at_or(n))} Type="{t}" Address={quoteattr(v)} MXPref="{pref}" TTL="{ttl}" AssociatedAppTitle="" FriendlyName="CNAME Record" '
                         'IsActive="true" IsDDNSEnabled="false" />' for k, n, t, v, ttl, pref in self.at())
        return f'<DomainDNSGetHostsResult Domain="{ZONE}" EmailType="{self.email}" IsUsingOurDNS="true">\n{rows}\n</DomainDNSGetHostsResult>'

    def answer(self, call):
        self.expect(call.path == "/xml.response", str(call))
        if call.method == "POST":
            self.expect(not call.raw_query and call.headers.get("content-type") == "application/x-www-form-urlencoded", "a form alone")
            pairs = urllib.parse.parse_qsl(call.body.decode(), keep_blank_values=True, strict_parsing=True)
        else:
            pairs = list(call.query.items())
        q = dict(pairs)
        self.expect(len(q) == len(pairs), "no name twice")
        who = (q.pop("ApiUser"), q.pop("UserName"), q.pop("ClientIp"), q.pop("SLD"), q.pop("TLD"))
        self.expect(who == ("cheapuser", "cheapuser", "192.0.2.77", "example", "org"), str(who))
        if q.pop("ApiKey") != self.secrets["key"]:
            return self.said("", '<Error Number="1011102">API Key is invalid</Error>')
        command = q.pop("Command")
        if call.method == "GET":
            self.only(q)
            self.expect(command == "namecheap.domains.dns.getHosts", command)
            return self.said(self.hosts())
        self.expect(command == "namecheap.domains.dns.setHosts", command)
        self.email = q.pop("EmailType", "NONE")
        rows = []
        while f"HostName{len(rows) + 1}" in q:
            rows.append([q.pop(f"{f}{len(rows) + 1}") for f in self.fields])
        self.only(q)
        self.changes += 1
        self.written.append(rows)
        self.records = {}
        for name, kind, text, pref, ttl in rows:
            self.expect(text and pref.isdigit() and 60 <= int(ttl) <= 60000, str(rows))
            self.put(self.full(name), kind, text, int(ttl), pref)
        for done in self.after:
            done()
        return self.said(f'<DomainDNSSetHostsResult Domain="{ZONE}" IsSuccess="true"><Warnings /></DomainDNSSetHostsResult>')


KINDS = {k.__name__.lower(): k for k in Provider.__subclasses__()}
