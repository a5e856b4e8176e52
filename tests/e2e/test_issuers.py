"""Issuers that are no ACME CA, each behind the same managed certificate: Vault's PKI engine, EST, AD CS, and people.  None of the servers
is in Debian: docs/OPERATIONS.md says which were never run against the real one."""
import re
import tempfile
from pathlib import Path

import pytest
from cryptography import x509

from lib import issuers, pki, wait

WWW = "www.example.org"
KINDS = {"vault-pki": (issuers.VaultPki, ["role=web", "token=ca-token"], ""),
         "est": (issuers.Est, ["user=certwright", "password=ca-token"], "/.well-known/est/web"),
         "ad-cs": (issuers.AdCs, ["user=certwright", "password=ca-token", "template=WebServer"], "/certsrv")}


@pytest.fixture
def make_issuer(make_hub):
    made = []

    def make(protocol, secret=None, only=False):
        kind, sets, path = KINDS[protocol]
        folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
        folder.chmod(0o755)
        api = kind(folder)
        made.append(api)
        token = folder / "token"
        token.write_text((secret or api.token) + "\n")
        token.chmod(0o600)
        grant = {"names": ["example.org"] if only else ["*"], "parameters": dict([sets[-1].split("=")])}
        hub = make_hub(enroll={protocol: grant}, credentials={"ca-token": {"file": str(token), "hosts": [f"127.0.0.1:{api.port}"], "roots": str(api.roots)}})
        hub.ok("issuer", "add", "corp", "--by", protocol, "--set", f"server={api.url}{path}", *(x for s in sets for x in ("--set", s)))
        hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem", "--set", f"key={hub.files}/a.key")
        return hub, api

    yield make
    for api in made:
        api.stop()


def add(hub, *names, code=0):
    done = hub.cw("cert", "add", *(names or (WWW,)), "--to", "out", "--issuer", "corp", timeout=40)
    assert done.code == code, done
    return done


def served(hub, api):
    chain = pki.read_chain((hub.files / "a.pem").read_bytes())
    assert chain[0] == api.ca.issued[chain[0].serial_number] and chain[1] == api.ca.ca and len(chain) == 2
    assert api.wrong == []
    return chain[0]


@pytest.mark.parametrize("protocol", KINDS)
def test_an_issuer_that_is_no_acme_ca_issues_and_renews(make_issuer, protocol):
    hub, api = make_issuer(protocol)
    add(hub, WWW, "api.example.org", "192.0.2.7")
    first = served(hub, api)
    assert pki.dns_names(first) == ["api.example.org", WWW] and [str(i) for i in pki.ip_names(first)] == ["192.0.2.7"]
    hub.ok("cert", "renew", WWW)
    assert served(hub, api).serial_number != first.serial_number


def test_vault_refuses_a_name_and_revokes_a_serial(make_issuer):
    hub, api = make_issuer("vault-pki")
    add(hub)
    leaf = served(hub, api)
    hub.ok("cert", "revoke", WWW, "--reason", "superseded")
    wait.until(lambda: leaf.serial_number in api.ca.revoked, "Vault has revoked it", 20)
    done = hub.cw("cert", "add", "www.example.net", "--issuer", "corp", timeout=40)
    assert done.code == 6
    assert "common name www.example.net not allowed by this role" in done.err + done.out
    assert api.token not in hub.log.read_text()


def test_a_host_says_what_may_be_asked_for_with_its_credential(make_issuer):
    hub, api = make_issuer("ad-cs", only=True)
    done = hub.cw("cert", "add", "www.example.net", "--issuer", "corp", timeout=40)
    assert done.code == 3 and "issuer ad-cs may not be asked for www.example.net from this host" in done.err + done.out, done
    hub.ok("issuer", "edit", "corp", "--set", "template=Domain-Admin")
    done = hub.cw("cert", "add", WWW, "--issuer", "corp", timeout=40)
    assert done.code == 3 and "parameter template of issuer ad-cs must be WebServer here" in done.err + done.out, done
    assert not api.calls


def test_a_credential_that_the_issuer_refuses_is_told_in_its_words(make_issuer):
    hub, api = make_issuer("ad-cs", secret="wrong")
    done = add(hub, code=6)
    assert re.search(r"credential ca-token was refused \(401\)", done.err + done.out), done


def test_a_request_that_is_denied_is_told_in_the_issuers_words(make_issuer):
    hub, api = make_issuer("ad-cs")
    api.denied = True
    done = add(hub, code=6)
    assert "it refused: Denied by Policy Module 0x80094800, WebServer" in done.err + done.out, done


def test_a_request_that_is_not_decided_is_asked_about_until_it_is(make_issuer):
    hub, api = make_issuer("ad-cs")
    api.manager = True
    hub.ok("cert", "add", WWW, "--to", "out", "--issuer", "corp", "--no-wait")
    wait.until(lambda: "has not decided yet" in hub.ok("cert", "why", WWW).out, "it is told that it is pending", 20)
    asked = len(api.calls)
    api.manager = False
    hub.move_clock(400)
    hub.ok("target", "discover")  # a poll that waits does not see that the clock was moved
    wait.until(lambda: (hub.files / "a.pem").exists(), "it is installed", 30)
    served(hub, api)
    assert len([c for c in api.calls[asked:] if c.path.endswith("certfnsh.asp")]) == 0


@pytest.mark.one_engine
def test_who_never_decides_gives_way_before_the_certificate_ends(make_issuer):
    hub, api = make_issuer("est")
    add(hub)
    hub.ok("cert", "edit", WWW, "--issuer", "corp,ca")
    api.hold = 1000
    hub.move_clock(29 * 86400)
    hub.cw("cert", "renew", WWW)
    wait.until(lambda: "issued by ca" in hub.why(), "the next one issues", 20)
    assert "has not decided since" in "".join(s["text"] for s in hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=0").json()["items"])


@pytest.mark.parametrize("protocol", KINDS)
def test_an_issuer_is_tested_before_it_is_asked(make_issuer, protocol):
    hub, api = make_issuer(protocol)
    assert "corp: issuer: it answers, and takes the credential" in hub.ok("issuer", "test", "corp", "--name", WWW).out
    assert not api.ca.issued and api.wrong == []
    hub.ok("issuer", "edit", "corp", "--set", f"server={api.url}/nowhere")
    done = hub.cw("issuer", "test", "corp")
    assert done.code == 6 and "fail" in done.out, done


@pytest.mark.one_engine
def test_a_second_choice_that_takes_the_credential_no_more_is_told(make_issuer):
    hub, api = make_issuer("vault-pki")
    hub.ok("cert", "add", WWW, "--issuer", "ca,corp")
    wait.until(lambda: "standby_at" in hub.show("issuer", "corp"), "it was looked at", 15)
    assert "standby_error" not in hub.show("issuer", "corp") and not api.ca.issued
    hub.ok("issuer", "edit", "corp", "--set", f"server={api.url}/nowhere")
    hub.move_clock(86400)
    wait.until(lambda: "issuer corp stands by for another one and would not work now" in hub.cw("status").out, "it is told", 15)
    hub.ok("issuer", "edit", "corp", "--set", f"server={api.url}")
    wait.until(lambda: "corp" not in hub.cw("status").out, "all is well", 15)


def test_a_name_that_the_host_does_not_grant_is_told_by_the_test(make_issuer):
    hub, _ = make_issuer("est", only=True)
    hub.ok("issuer", "test", "corp", "--name", WWW)
    assert "www.example.net" in hub.cw("issuer", "test", "corp", "--name", "www.example.net").err


def test_a_request_is_asked_about_when_the_issuer_said(make_issuer):
    hub, api = make_issuer("est")
    api.hold, api.again = 1, 7200
    hub.ok("cert", "add", WWW, "--to", "out", "--issuer", "corp", "--no-wait")
    wait.until(lambda: "asked again at" in hub.why(), "it is pending", 20)
    told = [s["text"] for s in hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=0").json()["items"] if s["step"] == "pending"]
    assert told == ["the issuer has not decided yet; asked again every 7200 s"], told


def enrolled(hub):
    return [s["text"] for s in hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=0").json()["items"] if s["step"] == "enroll"]


ONCE = [("ad-cs", "relay:relay.enroll_said"), ("vault-pki", "agent:agent.enroll_told"),
        *[pytest.param(*p, marks=pytest.mark.soak) for p in (("est", "relay:relay.enroll_said"), ("est", "relay:relay.after_enroll"),
                                                             ("vault-pki", "relay:relay.enroll_noted"), ("vault-pki", "relay:relay.enroll_asking"))]]


def add_again(hub):
    """Its first try fails; the next one is done as if the pause were over."""
    hub.ok("cert", "add", WWW, "--to", "out", "--issuer", "corp", "--no-wait")
    wait.until(lambda: "1 try so far" in hub.why() or (hub.files / "a.pem").exists(), "it was tried", 20)
    hub.move_clock(60)
    hub.ok("target", "discover")  # a poll that waits does not see that the clock was moved
    wait.until(lambda: (hub.files / "a.pem").exists(), "it is installed", 20)


@pytest.mark.one_engine
@pytest.mark.parametrize("protocol, point", ONCE)
def test_an_issuer_is_asked_once_whatever_is_killed(make_issuer, protocol, point):
    hub, api = make_issuer(protocol)
    hub.restart(failpoint=f"{point}=kill")
    add_again(hub)
    served(hub, api)
    sent = [c for c in api.calls if c.method == "POST"]
    assert len(api.ca.issued) == len(sent) == 1, sent
    told = "may have issued" if point.endswith("asking") else "the issuer had answered already; it is not asked again"
    assert any(told in t for t in enrolled(hub)), enrolled(hub)
    assert list((hub.state / "agent" / "enroll").glob("*.json"))


@pytest.mark.one_engine
def test_an_issuer_whose_answer_does_not_come_may_have_issued_and_that_is_said(make_issuer):
    hub, api = make_issuer("vault-pki")

    def issues_and_hangs_up(call):
        if call.method == "POST" and not api.ca.issued:
            api.ca.sign(call.json()["csr"])
            return "drop"

    api.before.append(issues_and_hangs_up)
    add_again(hub)
    assert len(api.ca.issued) == 2 and any("may have issued a certificate that nobody has" in t for t in enrolled(hub)), enrolled(hub)


@pytest.mark.soak
def test_an_issuer_that_was_not_reached_has_issued_nothing(make_issuer):
    hub, api = make_issuer("est")
    api.before.append(lambda call: "drop" if call.path.endswith("cacerts") and len(api.calls) == 0 and not api.calls.append(call) else None)
    add_again(hub)
    assert len(api.ca.issued) == 1 and not any("nobody has" in t for t in enrolled(hub)), enrolled(hub)


@pytest.mark.soak
def test_an_answer_that_never_came_to_be_on_disk_is_lost_and_that_is_said(make_issuer):
    hub, api = make_issuer("vault-pki")
    hub.restart(failpoint="relay:relay.enroll_lost=kill")
    add_again(hub)
    assert len(api.ca.issued) == 2 and any("may have issued a certificate that nobody has" in t for t in enrolled(hub))


def test_people_bring_the_certificate(make_hub):
    hub, ca = make_hub(), issuers.Signer()
    hub.ok("issuer", "add", "paper", "--manual")
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem", "--set", f"key={hub.files}/a.key")
    assert "somebody has to bring the certificate" in hub.ok("cert", "add", WWW, "--to", "out", "--issuer", "paper").out
    assert f"certwright cert csr {WWW}" in hub.cw("status").out
    request = hub.ok("cert", "csr", WWW).out
    assert x509.load_pem_x509_csr(request.encode()).is_signature_valid
    assert "cert take" in hub.ok("cert", "why", WWW).out
    other = hub.folder / "other.pem"
    other.write_text(issuers.pem(pki.Root("Somebody").issue([WWW])[0]))
    done = hub.cw("cert", "take", WWW, "--chain", other)
    assert done.code != 0 and "another key" in done.err
    chain = hub.folder / "chain.pem"
    chain.write_text(issuers.pem(ca.root, ca.ca, ca.sign(request)))  # in any order
    hub.ok("cert", "take", WWW, "--chain", chain)
    assert [c for c in pki.read_chain((hub.files / "a.pem").read_bytes())][1] == ca.ca
    assert hub.cw("cert", "csr", WWW).code != 0


def begins_by_hand(hub, *options):
    """Served with a certificate of our own CA; the next one is to be brought by people first."""
    hub.ok("issuer", "add", "paper", "--manual", *options)
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/a.pem", "--set", f"key={hub.files}/a.key")
    hub.ok("cert", "add", WWW, "--to", "out", "--issuer", "ca")
    hub.ok("cert", "edit", WWW, "--issuer", "paper,ca")
    hub.cw("cert", "renew", WWW)
    wait.until(lambda: "somebody has to bring the certificate" in hub.why(), "it waits for people", 10)


def served_now(hub):
    return pki.read_chain((hub.files / "a.pem").read_bytes())[0]


def gives_way(hub, first, words):
    wait.until(lambda: "issued by ca" in hub.why() and served_now(hub) != first, "the next one issues", 20)
    assert any(words in s["text"] for s in hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=0").json()["items"])


@pytest.mark.one_engine
def test_people_are_waited_for_until_the_certificate_would_end(make_hub):
    hub = make_hub()
    begins_by_hand(hub)
    first = served_now(hub)
    left = (first.not_valid_after - pki.now().replace(tzinfo=None)).total_seconds()
    hub.move_clock(int(left * 0.8))
    assert "another issuer is asked instead at" in hub.why()
    request = hub.ok("cert", "csr", WWW).out
    hub.move_clock(int(left) - 86400)
    gives_way(hub, first, "nobody has brought a certificate since")
    chain = hub.folder / "chain.pem"
    chain.write_text(issuers.pem(issuers.Signer().sign(request)))
    assert "does not wait for a certificate" in hub.cw("cert", "take", WWW, "--chain", chain).err


@pytest.mark.one_engine
def test_people_are_waited_for_as_long_as_was_said(make_hub):
    hub = make_hub()
    begins_by_hand(hub, "--failover-within", "2d")
    first = served_now(hub)
    assert hub.show("issuer", "paper")["failover"]["within_s"] == 2 * 86400
    hub.move_clock(86400)
    hub.ok("cert", "csr", WWW)
    hub.move_clock(2 * 86400 + 60)
    gives_way(hub, first, "nobody has brought a certificate since")
