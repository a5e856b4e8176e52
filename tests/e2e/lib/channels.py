"""Where notifications go: a mail server that wants STARTTLS and a login, a syslog daemon with TLS, and services over HTTPS that check
every call as theirs do."""
import base64
import email
import email.policy
import hashlib
import hmac
import json
import re
import socket
import ssl
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from lib import pki, process, wait
from lib.mail import CAREFREE
from lib.push import Api, Refused

USER, PASSWORD = "certwright", "pass phrase-0123456789"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Smtp:
    """`tls`: "starttls", "tls" or "none".  `refuse`: what it says to RCPT instead of taking it; `login`: a password is wanted."""

    def __init__(self, folder, tls="starttls", login=True, name="smtp"):
        self.root, self.mails, self.refuse, self.logins = pki.Root("Mail root"), [], None, []
        (folder / name).mkdir()
        cert, key, self.roots = self.root.write(folder / name, ["127.0.0.1"], name)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.tls, self.login, self.port = tls, login, wait.free_port()
        self.controller = None
        self.start()

    def start(self):
        outer = self

        class Server(Controller):
            def factory(self):
                return SMTP(outer, hostname="mail.example.org", tls_context=outer.context if outer.tls == "starttls" else None,
                            require_starttls=outer.tls == "starttls", authenticator=outer.check, auth_required=outer.login,
                            auth_require_tls=outer.tls == "starttls", enable_SMTPUTF8=False)

            def _trigger_server(self):  # to see whether it runs; its own would trust nobody's certificate
                with socket.create_connection((self.hostname, self.port), 5) as s:
                    (CAREFREE.wrap_socket(s) if self.ssl_context else s).recv(100)
        self.controller = Server(self, hostname="127.0.0.1", port=self.port, ssl_context=self.context if self.tls == "tls" else None, ready_timeout=10)
        self.controller.start()

    def stop(self):
        if self.controller:
            self.controller.stop()
        self.controller = None

    def check(self, server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append((mechanism, good, session.ssl is not None))
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.mail_from, sorted(envelope.rcpt_tos), message))
        return "250 taken"

    def to(self, address):
        return [m for _, to, m in self.mails if address in to]


class Syslog:
    """rsyslog: takes messages over TLS, and over UDP on this host; writes a JSON object a message."""

    def __init__(self, folder):
        folder = folder / "syslog"
        folder.mkdir()
        self.root = pki.Root("Log root")
        cert, key, self.roots = self.root.write(folder, ["127.0.0.1"], "syslog")
        self.tls, self.udp, self.out, self.log = wait.free_port(), wait.free_port(), folder / "syslog.out", folder / "rsyslog.log"
        conf = folder / "rsyslog.conf"
        conf.write_text(
            f'global(workDirectory="{folder}" DefaultNetstreamDriverCAFile="{self.roots}" DefaultNetstreamDriverCertFile="{cert}" '
            f'DefaultNetstreamDriverKeyFile="{key}" parser.escapeControlCharactersOnReceive="off")\n'
            'module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.Authmode="anon")\nmodule(load="imudp")\n'
            'template(name="all" type="list" option.jsonf="on") {\n' +
            " ".join(f'property(outname="{n}" name="{p}" format="jsonf")' for n, p in
                     [("pri", "pri"), ("host", "hostname"), ("app", "app-name"), ("msgid", "msgid"), ("sd", "structured-data"), ("msg", "msg")]) +
            '\n}\n'
            f'input(type="imtcp" port="{self.tls}" address="127.0.0.1")\ninput(type="imudp" port="{self.udp}" address="127.0.0.1")\n'
            f'action(type="omfile" file="{self.out}" template="all")\n')
        self.child = process.start(["/usr/sbin/rsyslogd", "-n", "-f", conf, "-i", folder / "rsyslog.pid"], self.log)
        wait.until(self._listens, f"rsyslog listens: {self.log}", 15)

    def _listens(self):
        assert self.child.poll() is None, self.log.read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.tls)) == 0

    def messages(self):
        return [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def stop(self):
        process.stop(self.child)


class Service(Api):
    """`secrets`: parameters of type credential, and their texts.  `got`: what was told, as (kind, subject, text, key)."""
    name, secrets, more = None, {}, {}

    def __init__(self, folder):
        own = folder / self.name
        own.mkdir()
        super().__init__(own)
        self.got = []
        self.begin()

    def begin(self):
        pass

    def parameters(self):
        return {**self.more, **{name: f"{self.name}-{name}".replace("_", "-") for name in self.secrets}}

    def credentials(self):
        return self.secrets

    def answer(self, call):
        self.expect(call.headers.get("content-type") == "application/json" or call.method == "GET", f"content type of {call}")
        return self.take_call(call)

    def post(self, call, path):
        self.expect((call.method, call.path) == ("POST", path), f"{call}")
        return call.json()

    def keys(self, what, *keys):
        self.expect(isinstance(what, dict) and set(what) == set(keys), f"members: {what}")


class Webhook(Service):
    name, secrets, off_s = "webhook", {"secret": SECRET}, 60

    def parameters(self):
        return {**super().parameters(), "url": f"{self.url}/in"}

    def take_call(self, call):
        body = self.post(call, "/in")
        at, ident = call.headers["webhook-timestamp"], call.headers["webhook-id"]
        signed = hmac.new(base64.b64decode(SECRET[6:]), f"{ident}.{at}.".encode() + call.body, hashlib.sha256).digest()
        self.expect(call.headers["webhook-signature"] == "v1," + base64.b64encode(signed).decode(), "signature")
        self.expect(abs(int(at) - time.time()) < self.off_s, f"timestamp {at}")
        self.keys(body, "type", "timestamp", "data")
        data = body["data"]
        self.keys(data, "id", "key", "state", "severity", "subject", "text", "url", "team", "object")
        self.expect(data["id"] == ident and body["type"] == f"alert.{data['state']}", f"{body}")
        self.got.append((data["state"], data["subject"], data["text"], data["key"]))
        return 200, None


class Slack(Service):
    name = "slack"

    def credentials(self):
        return {"webhook": f"{self.url}/services/T0/B0/secret-0123456789"}

    secrets = {"webhook": None}

    def take_call(self, call):
        body = self.post(call, "/services/T0/B0/secret-0123456789")
        self.keys(body, "text", "unfurl_links", "attachments")
        self.expect(not re.search(r"[<>]", body["text"]), body["text"])
        (one,) = body["attachments"]
        self.expect(re.fullmatch("#[0-9a-f]{6}", one["color"]), one["color"])
        texts = [b["text"] for b in one["blocks"] if b["type"] == "section"]
        self.expect(all(t["type"] == "plain_text" and 0 < len(t["text"]) <= 3000 for t in texts), f"{texts}")
        for b in one["blocks"]:
            if b["type"] == "actions":
                self.expect(b["elements"][0]["url"].startswith("https://"), f"{b}")
        self.got.append(("", texts[0]["text"], texts[1]["text"], ""))
        return 200, b"ok"


class Teams(Service):
    name, secrets = "teams", {"webhook": None}

    def credentials(self):
        return {"webhook": f"{self.url}/workflows/1/triggers/manual/paths/invoke?api-version=1&sig=secret-0123456789"}

    def take_call(self, call):
        body = self.post(call, "/workflows/1/triggers/manual/paths/invoke")
        self.expect(call.query == {"api-version": "1", "sig": "secret-0123456789"}, f"{call.query}")
        (card,) = body["attachments"]
        self.expect(body["type"] == "message" and card["contentType"] == "application/vnd.microsoft.card.adaptive", f"{body}")
        content = card["content"]
        self.expect(content["type"] == "AdaptiveCard" and content["body"][2]["type"] == "FactSet", f"{content}")
        self.got.append(("", content["body"][0]["text"], content["body"][1]["text"], ""))
        return 202, None


class Mattermost(Service):
    name, secrets = "mattermost", {"webhook": None}

    def credentials(self):
        return {"webhook": f"{self.url}/hooks/secret0123456789"}

    def take_call(self, call):
        body = self.post(call, "/hooks/secret0123456789")
        self.keys(body, "username", "attachments")
        (one,) = body["attachments"]
        self.keys(one, "fallback", "color", "title", "title_link", "text")
        self.got.append(("", one["title"], one["text"], ""))
        return 200, b"ok"


class Discord(Service):
    name, secrets = "discord", {"webhook": None}

    def credentials(self):
        return {"webhook": f"{self.url}/api/webhooks/1/secret-0123456789"}

    def take_call(self, call):
        body = self.post(call, "/api/webhooks/1/secret-0123456789")
        self.expect(body["allowed_mentions"] == {"parse": []}, f"{body}")
        (one,) = body["embeds"]
        self.expect(len(one["title"]) <= 256 and len(one["description"]) <= 4096 and isinstance(one["color"], int), f"{one}")
        self.got.append(("", one["title"], one["description"], ""))
        return 204, None


class Ntfy(Service):
    name, secrets = "ntfy", {"topic": "topic-0123456789", "token": "tk_0123456789"}

    def parameters(self):
        return {**super().parameters(), "server": self.url}

    def take_call(self, call):
        body = self.post(call, "/")
        self.expect(call.headers.get("authorization") == "Bearer tk_0123456789", "authorization")
        self.keys(body, "topic", "title", "message", "priority", "tags", "click")
        self.expect(body["topic"] == "topic-0123456789" and 1 <= body["priority"] <= 5, f"{body}")
        self.got.append((body["tags"][1], body["title"], body["message"], ""))
        return 200, {"id": "x"}


class Telegram(Service):
    name, secrets = "telegram", {"token": "123456:secret-0123456789"}

    def parameters(self):
        return {**super().parameters(), "server": self.url, "chat": "-1001"}

    def take_call(self, call):
        body = self.post(call, "/bot123456:secret-0123456789/sendMessage")
        self.keys(body, "chat_id", "text", "disable_web_page_preview")
        self.expect(body["chat_id"] == "-1001" and len(body["text"]) <= 4096, f"{body}")
        subject, text = body["text"].split("\n\n", 1)
        self.got.append(("", subject, text.rsplit("\n\n", 1)[0], ""))
        return 200, {"ok": True}


class PagerDuty(Service):
    name, secrets = "pagerduty", {"routing_key": "0123456789abcdef0123456789abcdef"}

    def parameters(self):
        return {**super().parameters(), "server": self.url}

    def begin(self):
        self.open = {}

    def take_call(self, call):
        body = self.post(call, "/v2/enqueue")
        if body.get("routing_key") != self.secrets["routing_key"]:
            raise Refused(400, {"message": "Invalid routing key"})
        if body["event_action"] == "resolve":
            self.keys(body, "routing_key", "event_action", "dedup_key")
            self.got.append(("resolved", "", "", body["dedup_key"]))
            self.open.pop(body["dedup_key"], None)
            return 202, {"status": "success"}
        p = body["payload"]
        self.expect(p["severity"] in ("critical", "error", "warning", "info") and len(p["summary"]) <= 1024 and p["source"], f"{p}")
        self.open[body["dedup_key"]] = p["summary"]
        self.got.append(("opened", p["summary"], p["custom_details"]["text"], body["dedup_key"]))
        return 202, {"status": "success", "dedup_key": body["dedup_key"]}


class Opsgenie(PagerDuty):
    name, secrets = "opsgenie", {"api_key": "01234567-89ab-cdef-0123-456789abcdef"}

    def take_call(self, call):
        self.expect(call.headers.get("authorization") == f"GenieKey {self.secrets['api_key']}", "authorization")
        body = call.json()
        close = re.fullmatch("/v2/alerts/([^/]+)/close", call.path)
        if close:
            self.expect(call.query == {"identifierType": "alias"}, f"{call.query}")
            self.open.pop(close[1], None)
            self.got.append(("resolved", "", body["note"], close[1]))
            return 202, {"result": "Request will be processed"}
        self.post(call, "/v2/alerts")
        self.expect(len(body["message"]) <= 130 and re.fullmatch("P[1-5]", body["priority"]) and len(body["alias"]) <= 512, f"{body}")
        self.open[body["alias"]] = body["message"]
        self.got.append(("opened", body["message"], body["description"], body["alias"]))
        return 202, {"result": "Request will be processed"}


class ServiceNow(Service):
    name, secrets = "servicenow", {"password": PASSWORD}

    def parameters(self):
        return {**super().parameters(), "server": self.url, "user": "certwright"}

    def begin(self):
        self.open, self.notes = {}, []

    def take_call(self, call):
        who = base64.b64encode(f"certwright:{PASSWORD}".encode()).decode()
        self.expect(call.headers.get("authorization") == f"Basic {who}", "authorization")
        if call.method == "GET":
            self.expect(call.path == "/api/now/table/incident", f"{call}")
            key = re.fullmatch(r"correlation_id=(\w+)\^active=true", call.query["sysparm_query"])[1]
            return 200, {"result": [{"sys_id": f"id-{key}"}] if key in self.open else []}
        body = call.json()
        if call.method == "PATCH":
            key = re.fullmatch(r"/api/now/table/incident/id-(\w+)", call.path)[1]
            self.expect(key in self.open, f"{call}")
            self.notes.append((key, body["work_notes"]))
            return 200, {"result": {}}
        self.post(call, "/api/now/table/incident")
        self.expect(body["urgency"] in "123" and len(body["short_description"]) <= 160, f"{body}")
        self.open[body["correlation_id"]] = body["short_description"]
        self.got.append(("opened", body["short_description"], body["description"].rsplit("\n\n", 1)[0], body["correlation_id"]))
        return 201, {"result": {"sys_id": "x"}}


class Jira(ServiceNow):
    name, secrets = "jira", {"token": PASSWORD}

    def parameters(self):
        return {**super().parameters(), "project": "OPS"}

    def take_call(self, call):
        who = base64.b64encode(f"certwright:{PASSWORD}".encode()).decode()
        self.expect(call.headers.get("authorization") == f"Basic {who}", "authorization")
        if call.method == "GET":
            self.expect(call.path == "/rest/api/2/search/jql", f"{call}")
            key = re.fullmatch(r'project = "OPS" AND labels = "certwright-(\w+)" AND statusCategory != Done', call.query["jql"])[1]
            return 200, {"issues": [{"id": f"id-{key}"}] if key in self.open else []}
        body = call.json()
        comment = re.fullmatch(r"/rest/api/2/issue/id-(\w+)/comment", call.path)
        if comment:
            self.expect(comment[1] in self.open, f"{call}")
            self.notes.append((comment[1], body["body"]))
            return 201, {"id": "1"}
        fields = self.post(call, "/rest/api/2/issue")["fields"]
        self.expect(fields["project"] == {"key": "OPS"} and fields["issuetype"] == {"name": "Task"} and "\n" not in fields["summary"], f"{fields}")
        self.open[fields["labels"][1].removeprefix("certwright-")] = fields["summary"]
        self.got.append(("opened", fields["summary"], fields["description"].split("\n", 1)[1].rsplit("\n{noformat}", 1)[0], ""))
        return 201, {"id": "1"}


SERVICES = [Webhook, Slack, Teams, Mattermost, Discord, Ntfy, Telegram, PagerDuty, Opsgenie, ServiceNow, Jira]
