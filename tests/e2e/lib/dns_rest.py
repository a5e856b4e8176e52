"""DNS providers that cannot run here: servers that check every call strictly, signatures computed anew, and answer as theirs do.  Each
holds the TXT records of one zone; `plain(name)` is what a resolver would see."""
import base64
import datetime
import hashlib
import hmac
import json
import re
import time
import urllib.parse
import xml.etree.ElementTree as ET
from email.utils import parsedate_to_datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lib import pki
from lib.push import Api, Refused

ZONE = "example.org"
NAME = f"_acme-challenge.{ZONE}"
RELATIVE = "_acme-challenge"


def unquoted(text):
    """The value of a TXT record that is written as in a zone file."""
    if not text.startswith('"'):
        return text
    assert re.fullmatch(r'"[^"]*"( +"[^"]*")*', text), text
    return "".join(re.findall(r'"([^"]*)"', text))


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, text, how=hashlib.sha256):
    return hmac.new(key.encode() if isinstance(key, str) else key, text.encode(), how).digest()


class Provider(Api):
    """`provider`: name of the description.  `secrets`: parameters of type credential, and their texts.  `quoted`: its values stand in quotes.
    `ttl`: what it expects of new names."""
    provider, quoted, ttl = None, False, 60
    secrets = {"token": "token-0123456789abcdef"}
    more = {}
    busy = 429

    def __init__(self, folder):
        super().__init__(folder)
        self.begin()

    def begin(self):
        pass

    def parameters(self):
        return {"server": self.url, **self.more, **{name: name.replace("_", "-") for name in self.secrets}}

    def disown(self):
        """From now on the credential is another one than that of the host."""
        self.secrets = {k: v[:-9] + "xxxxxxxxx" for k, v in self.secrets.items()}

    def raw(self, value):
        return f'"{value}"' if self.quoted else value

    def plain(self, name=NAME):
        return sorted(unquoted(x) for x in self.texts(name))

    def error(self, status, text):
        return Refused(status, {"message": text})

    def denied(self):
        return self.error(401, "the token is not valid")

    def check_auth(self, call):
        if call.headers.get("authorization") != f"Bearer {self.secrets['token']}":
            raise self.denied()

    def answer(self, call):
        self.check_auth(call)
        for method, pattern, handler in self.routes:
            found = re.fullmatch(pattern, call.path)
            if call.method == method and found:
                return getattr(self, handler)(call, *found.groups())
        self.expect(False, str(call))

    def body(self, call, *keys):
        self.expect(call.headers.get("content-type") == "application/json", f"content type of {call}")
        body = call.json()
        self.expect(set(body) == set(keys), f"body of {call}: {body}")
        return body


class Records(Provider):
    """Each value is a record with an id.  `adds_quotes`: it takes values without quotes and shows them with."""
    adds_quotes = False

    def begin(self):
        self.records, self.n = {}, 1000

    def texts(self, name=NAME):
        return [r["text"] for r in self.records.values() if r["name"] == name and r["type"] == "TXT"]

    def put(self, value, name=NAME, kind="TXT"):
        self.n += 1
        self.records[self.n] = {"id": self.n, "name": name, "type": kind, "text": value}
        return self.n

    def drop(self, number):
        if int(number) not in self.records:
            raise self.error(404, "no such record")
        del self.records[int(number)]

    def new(self, text):
        """A record of ours."""
        self.expect(text.startswith('"') == (self.quoted and not self.adds_quotes), f"quotes: {text}")
        text = f'"{text}"' if self.adds_quotes else text
        self.expect(text not in self.texts(), f"{text} is there already")
        return self.put(text)


class Sets(Provider):
    """All values of a name are one object.  `sets`: name → [ttl, texts]."""

    def begin(self):
        self.sets = {}

    def texts(self, name=NAME):
        return self.sets.get(name, [0, []])[1]

    def put(self, value, name=NAME):
        self.sets.setdefault(name, [self.ttl, []])[1].append(value)

    def write(self, name, ttl, texts):
        self.expect(len(set(texts)) == len(texts) and texts, f"{texts}")
        self.expect(all(x.startswith('"') == self.quoted for x in texts), f"quotes: {texts}")
        self.sets[name] = [ttl if ttl is not None else self.sets[name][0], list(texts)]

    def there(self, name=NAME):
        if name not in self.sets:
            raise self.error(404, "no such record set")
        return self.sets[name]


# --- one record each

class Cloudflare(Records):
    provider, quoted = "cloudflare", True
    routes = [("GET", "/client/v4/user/tokens/verify", "verify"), ("GET", "/client/v4/accounts/acc1/tokens/verify", "verify"),
              ("GET", "/client/v4/zones", "zones"), ("GET", "/client/v4/zones/z1/dns_records", "list"),
              ("POST", "/client/v4/zones/z1/dns_records", "create"), ("DELETE", r"/client/v4/zones/z1/dns_records/r(\d+)", "delete")]

    def error(self, status, text):
        return Refused(status, {"success": False, "errors": [{"code": 1000, "message": text}], "result": None})

    def ok(self, result, **info):
        return 200, {"success": True, "errors": [], "messages": [], "result": result, **info}

    def verify(self, call):
        return self.ok({"id": "t1", "status": "active", "expires_on": "2031-01-02T03:04:05Z"})

    def zones(self, call):
        self.expect(call.query == {"name": ZONE}, call.query)
        return self.ok([{"id": "z1", "name": ZONE, "status": "active"}])

    def list(self, call):
        page = int(call.query.pop("page", "1"))
        self.expect(call.query == {"type": "TXT", "name": NAME, "per_page": "100"}, call.query)
        rows = [{"id": f"r{r['id']}", "type": "TXT", "name": NAME, "content": r["text"], "ttl": 60} for r in self.records.values() if r["name"] == NAME]
        return self.ok(rows[page * 2 - 2:page * 2], result_info={"page": page, "total_pages": (len(rows) + 1) // 2})

    def create(self, call):
        body = self.body(call, "type", "name", "content", "ttl")
        self.expect((body["type"], body["name"], body["ttl"]) == ("TXT", NAME, 60), body)
        return self.ok({"id": f"r{self.new(body['content'])}"})

    def delete(self, call, number):
        self.drop(number)
        return self.ok({"id": f"r{number}"})


class DigitalOcean(Records):
    provider, ttl = "digitalocean", 30
    routes = [("GET", "/v2/domains/example.org", "domain"), ("GET", "/v2/domains/example.org/records", "list"),
              ("POST", "/v2/domains/example.org/records", "create"), ("DELETE", r"/v2/domains/example.org/records/(\d+)", "delete")]

    def domain(self, call):
        return 200, {"domain": {"name": ZONE, "ttl": 1800}}

    def row(self, r):
        return {"id": r["id"], "type": r["type"], "name": RELATIVE, "data": r["text"], "ttl": 30}

    def list(self, call):
        self.expect(call.query == {"type": "TXT", "name": NAME, "per_page": "200"}, call.query)
        return 200, {"domain_records": [self.row(r) for r in self.records.values() if r["name"] == NAME], "links": {}, "meta": {"total": 1}}

    def create(self, call):
        body = self.body(call, "type", "name", "data", "ttl")
        self.expect((body["type"], body["name"], body["ttl"]) == ("TXT", RELATIVE, 30), body)
        return 201, {"domain_record": self.row(self.records[self.new(body["data"])])}

    def delete(self, call, number):
        self.drop(number)
        return 204, None


class Ovh(Records):
    provider, quoted, adds_quotes = "ovh", True, True
    secrets = {"application_secret": "as-0123456789", "consumer_key": "ck-0123456789"}
    more = {"application_key": "ak1"}
    skew = 1000
    routes = [("GET", "/1.0/auth/currentCredential", "credential"), ("GET", "/1.0/domain/zone/example.org/record", "list"),
              ("GET", r"/1.0/domain/zone/example.org/record/(\d+)", "one"), ("POST", "/1.0/domain/zone/example.org/record", "create"),
              ("DELETE", r"/1.0/domain/zone/example.org/record/(\d+)", "delete"), ("POST", "/1.0/domain/zone/example.org/refresh", "refresh")]

    def begin(self):
        super().begin()
        self.shown = []

    def plain(self, name=NAME):
        self.expect(sorted(self.shown) == sorted(self.texts(name)), "the zone was not refreshed")
        return super().plain(name)

    def put(self, *args, **more):
        number = super().put(*args, **more)
        if getattr(self, "outside", True):
            self.shown = list(self.texts())
        return number

    def answer(self, call):
        if call.path == "/1.0/auth/time":
            self.expect("x-ovh-signature" not in call.headers, "the time needs no signature")
            return 200, str(int(time.time()) + self.skew).encode()
        return super().answer(call)

    def check_auth(self, call):
        h = call.headers
        self.expect(abs(int(h["x-ovh-timestamp"]) - time.time() - self.skew) < 30, "time")
        query = f"?{call.raw_query}" if call.raw_query else ""
        text = "+".join([self.secrets["application_secret"], self.secrets["consumer_key"], call.method, f"{self.url}{call.raw_path}{query}",
                         call.body.decode(), h["x-ovh-timestamp"]])
        good = h["x-ovh-application"] == "ak1" and h["x-ovh-consumer"] == self.secrets["consumer_key"]
        if not good or h["x-ovh-signature"] != "$1$" + hashlib.sha1(text.encode()).hexdigest():
            raise Refused(403, {"errorCode": "INVALID_SIGNATURE", "message": "Invalid signature"})

    def denied(self):
        return Refused(403, {"errorCode": "NOT_GRANTED_CALL", "message": "This call has not been granted"})

    def credential(self, call):
        return 200, {"status": "validated", "expiration": "2031-01-02T03:04:05+01:00",
                     "rules": [{"method": "GET", "path": "/domain/zone/example.org/*"}]}

    def list(self, call):
        self.expect(call.query == {"fieldType": "TXT", "subDomain": RELATIVE}, call.query)
        return 200, [r["id"] for r in self.records.values() if r["name"] == NAME]

    def one(self, call, number):
        if int(number) not in self.records:
            raise self.error(404, "This service does not exist")
        r = self.records[int(number)]
        return 200, {"id": r["id"], "zone": ZONE, "subDomain": RELATIVE, "fieldType": "TXT", "target": r["text"], "ttl": 60}

    def create(self, call):
        body = self.body(call, "fieldType", "subDomain", "target", "ttl")
        self.expect((body["fieldType"], body["subDomain"], body["ttl"]) == ("TXT", RELATIVE, 60), body)
        self.outside = False
        number = self.new(body["target"])
        self.outside = True
        return 200, {"id": number}

    def delete(self, call, number):
        self.drop(number)
        return 200, None

    def refresh(self, call):
        self.expect(not call.body, "refresh has no body")
        self.shown = list(self.texts())
        return 200, None


class Hetzner(Records):
    provider, quoted = "hetzner", True
    routes = [("GET", "/v1/zones/example.org", "zone"), ("GET", "/v1/zones/example.org/rrsets/_acme-challenge/TXT", "see"),
              ("POST", "/v1/zones/example.org/rrsets/_acme-challenge/TXT/actions/add_records", "add"),
              ("POST", "/v1/zones/example.org/rrsets/_acme-challenge/TXT/actions/remove_records", "remove"), ("GET", r"/v1/actions/(\d+)", "action")]

    def error(self, status, text):
        return Refused(status, {"error": {"code": "x", "message": text, "details": None}})

    def zone(self, call):
        return 200, {"zone": {"id": 7, "name": ZONE, "mode": "primary"}}

    def see(self, call):
        if not self.texts():
            raise self.error(404, "rrset not found")
        return 200, {"rrset": {"id": f"{RELATIVE}/TXT", "name": RELATIVE, "type": "TXT", "ttl": None,
                               "records": [{"value": x, "comment": ""} for x in self.texts()]}}

    def add(self, call):
        body = self.body(call, "records", *([] if self.texts() else ["ttl"]))
        self.expect(body.get("ttl", 60) == 60 and [set(r) for r in body["records"]] == [{"value"}], body)
        return 201, {"action": {"id": self.new(body["records"][0]["value"]), "status": "running"}}

    def remove(self, call):
        body = self.body(call, "records")
        for r in [r for r in self.records.values() if r["text"] == body["records"][0]["value"]]:
            self.drop(r["id"])
        return 201, {"action": {"id": 1, "status": "running"}}

    def action(self, call, number):
        return 200, {"action": {"id": int(number), "status": "success", "error": None}}


class Ionos(Records):
    provider, quoted, adds_quotes = "ionos", True, True
    secrets = {"key": "prefix0.secret0123456789"}
    routes = [("GET", "/dns/v1/zones", "zones"), ("GET", "/dns/v1/zones/z-1", "zone"), ("POST", "/dns/v1/zones/z-1/records", "create"),
              ("DELETE", r"/dns/v1/zones/z-1/records/r-(\d+)", "delete")]

    def error(self, status, text):
        return Refused(status, [{"code": "X", "message": text}])

    def check_auth(self, call):
        if call.headers.get("x-api-key") != self.secrets["key"]:
            raise self.denied()

    def zones(self, call):
        return 200, [{"name": "other.example", "id": "z-0", "type": "NATIVE"}, {"name": ZONE, "id": "z-1", "type": "NATIVE"}]

    def zone(self, call):
        self.expect(call.query == {"recordName": NAME, "recordType": "TXT"}, call.query)
        return 200, {"id": "z-1", "name": ZONE, "records": [{"id": f"r-{r['id']}", "name": NAME, "type": "TXT", "content": r["text"]}
                                                           for r in self.records.values() if r["name"] == NAME]}

    def create(self, call):
        rows = call.json()
        self.expect(len(rows) == 1 and {**rows[0], "content": ""} == {"name": NAME, "type": "TXT", "content": "", "ttl": 300, "prio": 0, "disabled": False}, rows)
        return 201, [{"id": f"r-{self.new(rows[0]['content'])}", **rows[0]}]

    def delete(self, call, number):
        self.drop(number)
        return 200, None


class DnsSimple(Records):
    provider = "dnsimple"
    more = {"account": "1010"}
    routes = [("GET", "/v2/1010/zones/example.org", "zone"), ("GET", "/v2/1010/zones/example.org/records", "list"),
              ("POST", "/v2/1010/zones/example.org/records", "create"), ("DELETE", r"/v2/1010/zones/example.org/records/(\d+)", "delete")]

    def zone(self, call):
        return 200, {"data": {"id": 1, "name": ZONE}}

    def list(self, call):
        page = int(call.query.pop("page", "1"))
        self.expect(call.query == {"name": RELATIVE, "type": "TXT", "per_page": "100"}, call.query)
        rows = [{"id": r["id"], "type": "TXT", "name": RELATIVE, "content": r["text"]} for r in self.records.values() if r["name"] == NAME]
        return 200, {"data": rows[page - 1:page], "pagination": {"current_page": page, "total_pages": max(1, len(rows))}}

    def create(self, call):
        body = self.body(call, "name", "type", "content", "ttl")
        self.expect((body["name"], body["type"], body["ttl"]) == (RELATIVE, "TXT", 60), body)
        return 201, {"data": {"id": self.new(body["content"])}}

    def delete(self, call, number):
        self.drop(number)
        return 204, None


class DnsMadeEasy(Records):
    provider, quoted, adds_quotes = "dnsmadeeasy", True, True
    secrets = {"secret_key": "c9b5625f-9834-4ff8-baba-4ed5f32cae55"}
    more = {"api_key": "1c1a3c91-4770-4ce7-96f4-54c0eb0e457a"}
    routes = [("GET", "/V2.0/dns/managed/name", "domain"), ("GET", "/V2.0/dns/managed/77/records", "list"),
              ("POST", "/V2.0/dns/managed/77/records", "create"), ("DELETE", r"/V2.0/dns/managed/77/records/(\d+)", "delete")]

    def error(self, status, text):
        return Refused(status, {"error": [text]})

    def check_auth(self, call):
        h = call.headers
        at = parsedate_to_datetime(h["x-dnsme-requestdate"])
        self.expect(abs(at.timestamp() - time.time()) < 30 and h["x-dnsme-requestdate"].endswith(" GMT"), h["x-dnsme-requestdate"])
        good = mac(self.secrets["secret_key"], h["x-dnsme-requestdate"], hashlib.sha1).hex()
        if h["x-dnsme-apikey"] != self.more["api_key"] or h["x-dnsme-hmac"] != good:
            raise self.denied()

    def domain(self, call):
        self.expect(call.query == {"domainname": ZONE}, call.query)
        return 200, {"id": 77, "name": ZONE}

    def list(self, call):
        self.expect(call.query == {"recordName": RELATIVE, "type": "TXT"}, call.query)
        rows = [{"id": r["id"], "type": "TXT", "name": RELATIVE, "value": r["text"], "ttl": 60} for r in self.records.values() if r["name"] == NAME]
        return 200, {"data": rows, "page": 0, "totalPages": 1, "totalRecords": len(rows)}

    def create(self, call):
        body = self.body(call, "name", "type", "value", "ttl", "gtdLocation")
        self.expect((body["name"], body["type"], body["ttl"], body["gtdLocation"]) == (RELATIVE, "TXT", 60, "DEFAULT"), body)
        return 201, {"id": self.new(body["value"]), **body}

    def delete(self, call, number):
        self.drop(number)
        return 200, None


class Linode(Records):
    provider, ttl = "linode", 300
    routes = [("GET", "/v4/domains", "domains"), ("GET", "/v4/domains/55/records", "list"), ("POST", "/v4/domains/55/records", "create"),
              ("DELETE", r"/v4/domains/55/records/(\d+)", "delete")]

    def error(self, status, text):
        return Refused(status, {"errors": [{"reason": text}]})

    def domains(self, call):
        if "x-filter" in call.headers:
            self.expect(json.loads(call.headers["x-filter"]) == {"domain": ZONE} and not call.query, "filter")
        else:
            self.expect(call.query == {"page_size": "25"}, call.query)
        return 200, {"data": [{"id": 55, "domain": ZONE, "type": "master"}], "page": 1, "pages": 1, "results": 1}

    def list(self, call):
        page = int(call.query.pop("page", "1"))
        self.expect(call.query == {"page_size": "500"}, call.query)
        rows = [{"id": i, "type": "A", "name": f"host{i}", "target": "192.0.2.1"} for i in range(3)]
        rows += [{"id": r["id"], "type": "TXT", "name": RELATIVE, "target": r["text"]} for r in self.records.values() if r["name"] == NAME]
        return 200, {"data": rows[page * 3 - 3:page * 3], "page": page, "pages": (len(rows) + 2) // 3, "results": len(rows)}

    def create(self, call):
        body = self.body(call, "type", "name", "target", "ttl_sec")
        self.expect((body["type"], body["name"], body["ttl_sec"]) == ("TXT", RELATIVE, 300), body)
        return 200, {"id": self.new(body["target"]), **body}

    def delete(self, call, number):
        self.drop(number)
        return 200, {}


# --- sets

class Route53(Sets):
    provider, quoted, busy = "route53", True, None
    secrets = {"secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
    more = {"access_key": "AKIDEXAMPLE"}
    space = "https://route53.amazonaws.com/doc/2013-04-01/"
    routes = [("GET", "/2013-04-01/hostedzonesbyname", "zones"), ("GET", "/2013-04-01/hostedzone/Z2", "zone"),
              ("GET", "/2013-04-01/hostedzone/(Z1|Z2)/rrset", "list"), ("POST", "/2013-04-01/hostedzone/(Z1|Z2)/rrset/", "change"),
              ("GET", "/2013-04-01/change/C1", "status")]
    private = False

    def xml(self, inner, root):
        return 200, f'<?xml version="1.0"?>\n<{root} xmlns="{self.space}">{inner}</{root}>'.encode()

    def error(self, status, text, code="InvalidInput"):
        return Refused(status, f'<?xml version="1.0"?>\n<ErrorResponse xmlns="{self.space}"><Error><Type>Sender</Type><Code>{code}</Code>'
                       f"<Message>{text}</Message></Error><RequestId>x</RequestId></ErrorResponse>".encode())

    def denied(self):
        return self.error(403, "The request signature we calculated does not match the signature you provided.", "SignatureDoesNotMatch")

    def check_auth(self, call):
        kind, rest = call.headers["authorization"].split(" ", 1)
        part = dict(x.split("=", 1) for x in rest.split(", "))
        date, names = call.headers["x-amz-date"], part["SignedHeaders"].split(";")
        scope = [date[:8], "us-east-1", "route53", "aws4_request"]
        self.expect(kind == "AWS4-HMAC-SHA256" and part["Credential"].split("/") == ["AKIDEXAMPLE", *scope], part["Credential"])
        self.expect(names == sorted(names) and {"host", "x-amz-date"} <= set(names), names)
        at = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        self.expect(abs(at - time.time()) < 300, "time")
        lines = "".join(f"{n}:{' '.join(call.headers[n].split())}\n" for n in names)
        query = "&".join(sorted(f"{urllib.parse.quote(k, '~')}={urllib.parse.quote(v, '~')}" for k, v in call.query.items()))
        text = "\n".join([call.method, urllib.parse.quote(call.raw_path), query, lines, ";".join(names), hashlib.sha256(call.body).hexdigest()])
        key = ("AWS4" + self.secrets["secret_key"]).encode()
        for one in scope:
            key = mac(key, one)
        text = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope), hashlib.sha256(text.encode()).hexdigest()])
        if mac(key, text).hex() != part["Signature"]:
            raise self.denied()

    def hosted(self, number, private):
        return f"<HostedZone><Id>/hostedzone/{number}</Id><Name>example.org.</Name><Config><PrivateZone>{str(private).lower()}</PrivateZone></Config></HostedZone>"

    def zones(self, call):
        self.expect(call.query == {"dnsname": ZONE, "maxitems": "1"}, call.query)
        return self.xml(f"<HostedZones>{self.hosted('Z1', self.private)}</HostedZones>", "ListHostedZonesByNameResponse")

    def zone(self, call):
        return self.xml(self.hosted("Z2", False), "GetHostedZoneResponse")

    def set_xml(self, name, ttl, texts):
        escaped = "".join(f"<ResourceRecord><Value>{x.replace('&', '&amp;').replace('<', '&lt;')}</Value></ResourceRecord>" for x in texts)
        return (f"<ResourceRecordSet><Name>{name}.</Name><Type>TXT</Type><TTL>{ttl}</TTL>"
                f"<ResourceRecords>{escaped}</ResourceRecords></ResourceRecordSet>")

    def list(self, call, zone):
        self.expect(call.query == {"name": f"{NAME}.", "type": "TXT", "maxitems": "1"}, call.query)
        # Route 53 begins at the name, and goes on with others.
        rows = [(NAME, *self.sets[NAME])] if NAME in self.sets else [("a.example.org", 999, ['"another name"'])]
        return self.xml(f"<ResourceRecordSets>{self.set_xml(*rows[0])}</ResourceRecordSets><IsTruncated>true</IsTruncated>", "ListResourceRecordSetsResponse")

    def change(self, call, zone):
        self.expect(call.headers["content-type"] == "application/xml", "content type")
        root = ET.fromstring(call.body)
        find = lambda at, path: at.findall("/".join(f"{{{self.space}}}{x}" for x in path.split("/")))
        self.expect(root.tag == f"{{{self.space}}}ChangeResourceRecordSetsRequest", root.tag)
        after = dict(self.sets)
        for one in find(root, "ChangeBatch/Changes/Change"):
            text = lambda path: find(one, path)[0].text
            name, ttl = text("ResourceRecordSet/Name").removesuffix("."), int(text("ResourceRecordSet/TTL"))
            values = [x.text for x in find(one, "ResourceRecordSet/ResourceRecords/ResourceRecord/Value")]
            self.expect(name == NAME and text("ResourceRecordSet/Type") == "TXT" and all(v.startswith('"') for v in values), call.body)
            if text("Action") == "DELETE":
                if after.get(name) != [ttl, values]:
                    raise self.error(400, "Tried to delete resource record set but it was not found", "InvalidChangeBatch")
                del after[name]
            else:
                self.expect(text("Action") == "CREATE", text("Action"))
                if name in after:
                    raise self.error(400, "Tried to create resource record set but it already exists", "InvalidChangeBatch")
                after[name] = [ttl, values]
        self.sets = after
        return self.xml("<ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status></ChangeInfo>", "ChangeResourceRecordSetsResponse")

    def status(self, call):
        return self.xml("<ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status></ChangeInfo>", "GetChangeResponse")


class _Tokens(Sets):
    """OAuth 2.0."""
    given = "ey.0123456789.abcdefghijk"

    def check_auth(self, call):
        if call.headers.get("authorization") != f"Bearer {self.given}":
            raise self.denied()

    def form(self, call, *keys):
        self.expect(call.method == "POST" and call.headers["content-type"] == "application/x-www-form-urlencoded", str(call))
        form = dict(urllib.parse.parse_qsl(call.body.decode(), strict_parsing=True))
        self.expect(set(form) == set(keys), form)
        return form

    def give(self):
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": self.given}

    def error(self, status, text):
        return Refused(status, {"error": {"code": str(status), "message": text}})


class OvhOAuth2(Ovh):
    """The same API, by a service account."""
    provider = "ovh-oauth2"
    secrets = {"client_secret": "cs-0123456789+/abcdef"}
    more = {"client_id": "EU.0123456789abcdef"}
    given, form, give, check_auth = _Tokens.given, _Tokens.form, _Tokens.give, _Tokens.check_auth

    def parameters(self):
        return {**super().parameters(), "login": self.url}

    def answer(self, call):
        if call.path == "/auth/oauth2/token":
            form = self.form(call, "grant_type", "client_id", "client_secret", "scope")
            self.expect((form["grant_type"], form["client_id"], form["scope"]) == ("client_credentials", self.more["client_id"], "all"), form)
            if form["client_secret"] != self.secrets["client_secret"]:
                raise Refused(401, {"error": "invalid_client", "error_description": "client authentication failed"})
            return self.give()
        return super().answer(call)


class Azure(_Tokens):
    provider = "azure"
    secrets = {"client_secret": "8Q~a+secret/of~the.application"}
    more = {"tenant": "0000-1111", "client_id": "2222-3333", "subscription": "4444-5555", "resource_group": "group one"}
    base = "/subscriptions/4444-5555/resourceGroups/group one/providers/Microsoft.Network/dnsZones/example.org"
    routes = [("GET", base, "zone"), ("GET", f"{base}/TXT/{RELATIVE}", "see"), ("PUT", f"{base}/TXT/{RELATIVE}", "create"),
              ("PATCH", f"{base}/TXT/{RELATIVE}", "change"), ("DELETE", f"{base}/TXT/{RELATIVE}", "delete")]

    def parameters(self):
        return {**super().parameters(), "login": self.url}

    def tag(self):
        return hashlib.sha256(json.dumps(self.sets.get(NAME)).encode()).hexdigest()[:20]

    def answer(self, call):
        if call.path == "/0000-1111/oauth2/v2.0/token":
            form = self.form(call, "grant_type", "client_id", "client_secret", "scope")
            self.expect((form["grant_type"], form["client_id"], form["scope"]) == ("client_credentials", "2222-3333", f"{self.url}/.default"), form)
            if form["client_secret"] != self.secrets["client_secret"]:
                raise Refused(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
            return self.give()
        self.expect(call.query == {"api-version": "2018-05-01"}, call.query)
        return super().answer(call)

    def zone(self, call):
        return 200, {"name": ZONE, "properties": {}}

    def shown(self):
        ttl, texts = self.there()
        return {"name": RELATIVE, "etag": self.tag(), "properties": {"TTL": ttl, "fqdn": f"{NAME}.", "metadata": {"by": "us"}, "TXTRecords": [
            {"value": x.split("|")} for x in texts]}}

    def see(self, call):
        return 200, self.shown()

    def records(self, body):
        self.expect(all(set(r) == {"value"} for r in body["TXTRecords"]), body)
        return ["|".join(r["value"]) for r in body["TXTRecords"]]

    def create(self, call):
        self.expect(call.headers["if-none-match"] == "*", "If-None-Match")
        if NAME in self.sets:
            raise self.error(412, "The Record set exists already and hence cannot be created again.")
        p = self.body(call, "properties")["properties"]
        self.expect(set(p) == {"TTL", "TXTRecords"} and p["TTL"] == 60, p)
        self.write(NAME, 60, self.records(p))
        return 201, self.shown()

    def _match(self, call):
        self.there()
        if call.headers["if-match"] != self.tag():
            raise self.error(412, "The condition is not met")

    def change(self, call):
        self._match(call)
        p = self.body(call, "properties")["properties"]
        self.expect(set(p) == {"TXTRecords"}, p)
        self.write(NAME, None, self.records(p))
        return 200, self.shown()

    def delete(self, call):
        self._match(call)
        del self.sets[NAME]
        return 200, None


class Google(_Tokens):
    provider, quoted = "google", True
    base = "/dns/v1/projects/p1/managedZones"
    more = {"project": "p1"}
    routes = [("GET", base, "zones"), ("GET", f"{base}/zone-one/rrsets", "see"), ("POST", f"{base}/zone-one/changes", "change"),
              ("GET", f"{base}/zone-one/changes/17", "done")]

    def begin(self):
        super().begin()
        self.signer = rsa.generate_private_key(65537, 2048)
        self.secrets = {"account": json.dumps({"type": "service_account", "client_email": "cw@p1.iam.gserviceaccount.com", "private_key_id": "k1",
                                               "private_key": pki.key_pem(self.signer).decode(), "token_uri": f"{self.url}/token"})}

    def answer(self, call):
        if call.path == "/token":
            form = self.form(call, "grant_type", "assertion")
            head, claims, signature = form["assertion"].split(".")
            decode = lambda t: base64.urlsafe_b64decode(t + "=" * (-len(t) % 4))
            try:
                self.signer.public_key().verify(decode(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature:
                raise Refused(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}) from None
            self.expect(json.loads(decode(claims))["scope"] == "https://www.googleapis.com/auth/ndev.clouddns.readwrite", "scope")
            return self.give()
        return super().answer(call)

    def disown(self):
        self.signer = rsa.generate_private_key(65537, 2048)

    def zones(self, call):
        self.expect(call.query == {"dnsName": f"{ZONE}."}, call.query)
        return 200, {"kind": "dns#managedZonesListResponse", "managedZones": [
            {"id": "1", "name": "inside", "dnsName": f"{ZONE}.", "visibility": "private"},
            {"id": "2", "name": "zone-one", "dnsName": f"{ZONE}.", "visibility": "public"}]}

    def shown(self):
        return [{"name": f"{NAME}.", "type": "TXT", "ttl": self.sets[NAME][0], "rrdatas": self.sets[NAME][1]}] if NAME in self.sets else []

    def see(self, call):
        self.expect(call.query == {"name": f"{NAME}.", "type": "TXT"}, call.query)
        return 200, {"kind": "dns#resourceRecordSetsListResponse", "rrsets": self.shown()}

    def change(self, call):
        body = call.json()
        self.expect(set(body) <= {"additions", "deletions"} and body, body)
        if body.get("deletions", []) != (self.shown() if "deletions" in body else []):
            raise self.error(412, "Precondition not met for 'entity.change.deletions[0]'")
        if "deletions" not in body and self.shown():
            raise self.error(409, "The resource 'entity.change.additions[0]' already exists")
        self.sets.pop(NAME, None)
        for one in body.get("additions", []):
            self.expect(set(one) == {"name", "type", "ttl", "rrdatas"} and (one["name"], one["type"]) == (f"{NAME}.", "TXT"), one)
            self.write(NAME, one["ttl"], one["rrdatas"])
        return 200, {"id": "17", "status": "pending"}

    def done(self, call):
        return 200, {"id": "17", "status": "done"}


class GoDaddy(Sets):
    provider, ttl = "godaddy", 600
    secrets = {"secret": "secret-0123456789"}
    more = {"key": "key1"}
    routes = [("GET", "/v1/domains/example.org/records/NS/@", "ns"), ("GET", f"/v1/domains/example.org/records/TXT/{RELATIVE}", "see"),
              ("PUT", f"/v1/domains/example.org/records/TXT/{RELATIVE}", "replace"), ("DELETE", f"/v1/domains/example.org/records/TXT/{RELATIVE}", "delete")]

    def check_auth(self, call):
        if call.headers.get("authorization") != f"sso-key key1:{self.secrets['secret']}":
            raise self.denied()

    def ns(self, call):
        return 200, [{"data": "ns1.example.net", "name": "@", "ttl": 3600, "type": "NS"}]

    def see(self, call):
        return 200, [{"data": x, "name": RELATIVE, "ttl": 600, "type": "TXT"} for x in self.texts()]

    def replace(self, call):
        rows = call.json()
        self.expect(all({"data", "ttl"} <= set(r) <= {"data", "ttl", "name", "type"} and r["ttl"] == 600 for r in rows), rows)
        self.write(NAME, 600, [r["data"] for r in rows])
        return 200, None

    def delete(self, call):
        self.there()
        del self.sets[NAME]
        return 204, None


class Gandi(Sets):
    provider, quoted, ttl = "gandi", True, 300
    path = f"/v5/livedns/domains/example.org/records/{RELATIVE}/TXT"
    routes = [("GET", "/v5/livedns/domains/example.org", "zone"), ("GET", path, "see"), ("PUT", path, "replace"), ("DELETE", path, "delete")]

    def zone(self, call):
        return 200, {"fqdn": ZONE}

    def see(self, call):
        ttl, texts = self.there()
        return 200, {"rrset_name": RELATIVE, "rrset_type": "TXT", "rrset_ttl": ttl, "rrset_values": texts}

    def replace(self, call):
        body = self.body(call, "rrset_values", "rrset_ttl")
        self.expect(body["rrset_ttl"] == self.sets.get(NAME, [300])[0], body)
        self.write(NAME, body["rrset_ttl"], body["rrset_values"])
        return 201, {"message": "DNS Record Created"}

    def delete(self, call):
        self.there()
        del self.sets[NAME]
        return 204, None


class Desec(Sets):
    provider, quoted, ttl = "desec", True, 3600
    routes = [("GET", "/api/v1/domains/example.org/rrsets/@/NS/", "ns"), ("GET", f"/api/v1/domains/example.org/rrsets/{RELATIVE}/TXT/", "see"),
              ("POST", "/api/v1/domains/example.org/rrsets/", "create"), ("PATCH", f"/api/v1/domains/example.org/rrsets/{RELATIVE}/TXT/", "change"),
              ("DELETE", f"/api/v1/domains/example.org/rrsets/{RELATIVE}/TXT/", "delete")]

    def error(self, status, text):
        return Refused(status, {"detail": text})

    def check_auth(self, call):
        if call.headers.get("authorization") != f"Token {self.secrets['token']}":
            raise self.denied()

    def ns(self, call):
        return 200, {"records": ["ns1.desec.io."], "ttl": 3600}

    def see(self, call):
        ttl, texts = self.there()
        return 200, {"domain": ZONE, "subname": RELATIVE, "type": "TXT", "ttl": ttl, "records": texts}

    def create(self, call):
        body = self.body(call, "subname", "type", "ttl", "records")
        self.expect((body["subname"], body["type"], body["ttl"]) == (RELATIVE, "TXT", 3600) and NAME not in self.sets, body)
        self.write(NAME, 3600, body["records"])
        return 201, body

    def change(self, call):
        self.there()
        self.write(NAME, None, self.body(call, "records")["records"])
        return 200, {}

    def delete(self, call):
        self.sets.pop(NAME, None)
        return 204, None


class Akamai(Sets):
    provider, quoted = "akamai", True
    secrets = {"client_secret": "SOMESECRETsomesecretSOMESECRETsomesecret0123="}
    more = {"client_token": "akab-client", "access_token": "akab-access"}
    path = f"/config-dns/v2/zones/example.org/names/{NAME}/types/TXT"
    routes = [("GET", "/config-dns/v2/zones/example.org", "zone"), ("GET", path, "see"), ("POST", path, "create"), ("PUT", path, "replace"), ("DELETE", path, "delete")]

    def error(self, status, text):
        return Refused(status, {"title": "x", "status": status, "detail": text})

    def check_auth(self, call):
        whole = call.headers["authorization"]
        head, sent = whole.split("signature=")
        kind, rest = head.split(" ", 1)
        part = dict(x.split("=", 1) for x in rest.rstrip(";").split(";"))
        self.expect(kind == "EG1-HMAC-SHA256" and (part["client_token"], part["access_token"]) == ("akab-client", "akab-access"), whole)
        at = datetime.datetime.strptime(part["timestamp"], "%Y%m%dT%H:%M:%S+0000").replace(tzinfo=datetime.timezone.utc).timestamp()
        self.expect(abs(at - time.time()) < 30 and part["nonce"], "time and nonce")
        content = base64.b64encode(sha256(call.body)).decode() if call.method == "POST" and call.body else ""
        query = f"?{call.raw_query}" if call.raw_query else ""
        text = "\t".join([call.method, "https", call.headers["host"], call.raw_path + query, "", content, head])
        key = base64.b64encode(mac(self.secrets["client_secret"], part["timestamp"])).decode()
        if base64.b64encode(mac(key, text)).decode() != sent:
            raise self.error(401, "The signature does not match")

    def zone(self, call):
        return 200, {"zone": ZONE, "type": "PRIMARY"}

    def see(self, call):
        ttl, texts = self.there()
        return 200, {"name": NAME, "type": "TXT", "ttl": ttl, "rdata": texts}

    def _body(self, call, ttl):
        body = self.body(call, "name", "type", "ttl", "rdata")
        self.expect((body["name"], body["type"], body["ttl"]) == (NAME, "TXT", ttl), body)
        self.write(NAME, ttl, body["rdata"])
        return body

    def create(self, call):
        if NAME in self.sets:
            raise self.error(409, "Record set already exists")
        return 201, self._body(call, 60)

    def replace(self, call):
        return 200, self._body(call, self.there()[0])

    def delete(self, call):
        self.there()
        del self.sets[NAME]
        return 204, None


class Ns1(Sets):
    provider = "ns1"
    secrets = {"key": "qACMD09OJXBxT7XOuRs8"}
    path = f"/v1/zones/example.org/{NAME}/TXT"
    routes = [("GET", "/v1/zones/example.org", "zone"), ("GET", path, "see"), ("PUT", path, "create"), ("POST", path, "change"), ("DELETE", path, "delete")]

    def check_auth(self, call):
        if call.headers.get("x-nsone-key") != self.secrets["key"]:
            raise self.denied()

    def zone(self, call):
        self.expect(call.query == {"records": "false"}, call.query)
        return 200, {"zone": ZONE}

    def shown(self):
        return {"domain": NAME, "type": "TXT", "ttl": self.sets[NAME][0], "answers": [{"answer": [x], "id": f"a{len(x)}"} for x in self.sets[NAME][1]]}

    def see(self, call):
        self.there()
        return 200, self.shown()

    def _answers(self, rows):
        self.expect(all({"answer"} <= set(r) <= {"answer", "id"} and len(r["answer"]) == 1 for r in rows), rows)
        return [r["answer"][0] for r in rows]

    def create(self, call):
        self.expect(NAME not in self.sets, "record already exists")
        body = self.body(call, "zone", "domain", "type", "ttl", "answers")
        self.expect((body["zone"], body["domain"], body["type"], body["ttl"]) == (ZONE, NAME, "TXT", 60), body)
        self.write(NAME, 60, self._answers(body["answers"]))
        return 200, self.shown()

    def change(self, call):
        self.there()
        self.write(NAME, None, self._answers(self.body(call, "answers")["answers"]))
        return 200, self.shown()

    def delete(self, call):
        self.there()
        del self.sets[NAME]
        return 200, {}


class AzureIdentity(Azure):
    """The token comes from the metadata service of the machine: `service` is that, on the address that is the same on each."""
    provider = "azure-identity"
    secrets = {"identity": "system"}
    more = {k: v for k, v in Azure.more.items() if k not in ("tenant", "client_id")}

    def parameters(self):
        return Provider.parameters(self)

    def token(self, handler):
        """As https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token has it."""
        at = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(at.query, strict_parsing=True))
        wanted = {"api-version": "2018-02-01", "resource": f"{self.url}/"}
        if handler.headers.get("Metadata") != "true" or at.path != "/metadata/identity/oauth2/token" or query.pop("client_id", "0-1") != "0-1" or query != wanted:
            return 400, {"error": "invalid_request", "error_description": "Identity not found"}
        return 200, {"access_token": self.given, "client_id": "0-1", "expires_in": "86399", "expires_on": "1506484173", "ext_expires_in": "86399",
                     "not_before": "1506397773", "resource": query["resource"], "token_type": "Bearer"}


KINDS = [Cloudflare, DigitalOcean, Ovh, OvhOAuth2, Hetzner, Ionos, DnsSimple, DnsMadeEasy, Linode, Route53, Azure, Google, GoDaddy, Gandi, Desec, Akamai, Ns1]


class AcmeDns(Provider):
    """Keeps the two newest values of a name."""
    provider = "acme-dns"
    secrets = {"password": "htB9mR9DYgcu9bX_afHF62erXaH2TS7bg9KW3F7Z"}
    more = {"username": "c36f50e8-4632-44f0-83fe-e070fef28a10"}
    subdomain = "8e5700ea-a4bf-41c7-8a77-e990661dcc6a"

    def begin(self):
        self.values = []

    def answer(self, call):
        if call.path == "/health":
            return 200, None
        self.expect((call.method, call.path) == ("POST", "/update"), str(call))
        if call.headers.get("x-api-key") != self.secrets["password"] or call.headers.get("x-api-user") != self.more["username"]:
            raise Refused(401, {"error": "forbidden"})
        body = self.body(call, "subdomain", "txt")
        self.expect(body["subdomain"] == self.subdomain and len(body["txt"]) == 43, body)
        self.values = [*self.values, body["txt"]][-2:]
        return 200, {"txt": body["txt"]}
