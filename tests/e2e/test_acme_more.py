"""The rest of ACME against Pebble: tls-alpn-01, IP addresses, external account binding, and what can become of an account."""

import ipaddress
import json

import pytest

from lib import pki, wait
from test_acme import WWW, issuer

KID, MAC = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def account(hub, *words, code=0, name="pebble"):
    done = hub.cw("issuer", "account", name, *words, "-o", "json", timeout=60)
    assert done.code == code, done
    return done.json() if code == 0 else done


def alpn(hub_maker, http_port, **more):
    return hub_maker(tls_alpn={"address": "127.0.0.1", "port": http_port}, **more)


def test_tls_alpn_proves_a_name(make_hub, pebble, http_port):
    hub = alpn(make_hub, http_port)
    issuer(hub, pebble, "--via", "listener", "--challenge", "tls-alpn-01")
    hub.ok("cert", "add", WWW, "api.example.org", "--issuer", "pebble", timeout=40)
    assert hub.show("cert", WWW)["current_version"]["number"] == 1
    assert "answering tls-alpn-01" in hub.ok("cert", "steps", WWW).out


def test_addresses_are_proved_by_http_and_by_tls(make_hub, pebble, http_port):
    hub = alpn(make_hub, http_port)
    issuer(hub, pebble, "--via", "listener")
    hub.ok("issuer", "add", "alpn", "--acme", pebble.directory, "--agree", "--roots", pebble.all_roots, "--grant", "127.0.0.0/8", "--via", "listener",
           "--challenge", "tls-alpn-01")
    for by in ("pebble", "alpn"):
        hub.ok("cert", "add", "127.0.0.1", "--name", f"ip-{by}", "--issuer", by, timeout=40)
        assert pki.ip_names(pki.read_chain(hub.ok("cert", "export", f"ip-{by}").out)[0]) == ["127.0.0.1"]


@pytest.mark.skipif("::1" not in [str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in open("/proc/net/if_inet6")], reason="this host has no ::1")
def test_an_ipv6_address_is_proved(make_hub, pebble, http_port):
    here = {"address": "::1", "port": http_port}
    hub = make_hub(http01=here, tls_alpn=here)
    issuer(hub, pebble, "--via", "listener")
    for method in ("http-01", "tls-alpn-01"):
        hub.ok("issuer", "edit", "pebble", "--challenge", method)
        hub.ok("cert", "add", "::1", "--name", method, "--issuer", "pebble", timeout=40)
        assert pki.ip_names(pki.read_chain(hub.ok("cert", "export", method).out)[0]) == ["::1"]


def test_a_host_that_does_not_allow_tls_alpn_says_what_would(make_hub, pebble):
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener", "--challenge", "tls-alpn-01")
    hub.cw("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    assert "tls_alpn: {port: 443}" in hub.why(), hub.why()


def test_a_ca_of_customers_binds_the_account(make_hub, own_pebble, tmp_path):
    """The key is in no answer, audit entry or log, and a wrong one is told with what mends it."""
    pebble, right, wrong = own_pebble(bindings={KID: MAC}), tmp_path / "right", tmp_path / "wrong"
    right.write_text(MAC + "\n")
    wrong.write_text(MAC[::-1] + "\n")
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener")
    hub.cw("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    assert "--eab-key-file" in hub.why() and hub.show("cert", WWW)["paused"], hub.why()
    hub.ok("issuer", "edit", "pebble", "--eab-kid", KID, "--eab-key-file", wrong)
    wait.until(lambda: "does not take the external account binding" in hub.why() and hub.show("cert", WWW)["paused"], "it tries again by itself", 20)
    assert "certwright issuer edit pebble --eab-kid" in hub.why(), hub.why()
    hub.ok("issuer", "edit", "pebble", "--eab-kid", KID, "--eab-key-file", right)
    wait.until(lambda: "current_version" in hub.show("cert", WWW), "it goes on by itself", 20)
    shown = hub.show("issuer", "pebble")
    assert shown["eab_kid"] == KID
    everywhere = json.dumps([shown, hub.audit(), hub.jobs()]) + hub.text()
    assert MAC not in everywhere and MAC[::-1] not in everywhere


def test_the_account_is_shown_gets_another_key_and_ends(make_hub, own_pebble):
    pebble = own_pebble()
    hub = make_hub()
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    shown = account(hub)
    assert shown["status"] == "valid" and shown["contacts"] == ["mailto:ops@example.org"], shown
    # Another key for the same account; orders go on with it.
    assert account(hub, "rollover")["account_url"] == shown["account_url"]
    hub.ok("cert", "renew", WWW, timeout=40)
    assert hub.show("cert", WWW)["current_version"]["number"] == 2
    hub.ok("issuer", "edit", "pebble", "--contact", "pki@example.org")
    assert account(hub, "update")["contacts"] == ["mailto:pki@example.org"]
    # It ends only by its name, and certificates say so.
    assert account(hub, "deactivate", code=2)
    assert account(hub, "deactivate", "--confirm", "pebble")["status"] == "deactivated"
    hub.cw("cert", "renew", WWW, timeout=40)
    assert "issuer account pebble renew" in hub.why() and hub.show("cert", WWW)["paused"], hub.why()
    renewed = account(hub, "renew")
    assert renewed["status"] == "valid" and renewed["account_url"] != shown["account_url"]
    wait.until(lambda: hub.show("cert", WWW)["current_version"]["number"] == 3, "it goes on by itself", 30)


@pytest.mark.parametrize("verb", ["rollover"])
def test_a_key_change_that_nobody_noted_is_noted_the_next_time(make_hub, own_pebble, verb):
    """The relay dies when the CA has taken the new key."""
    pebble = own_pebble(nonce_reject=0)
    hub = make_hub(start=False)
    hub.start(failpoint="relay:relay.after_key_change=kill")
    issuer(hub, pebble, "--via", "listener")
    hub.ok("cert", "add", WWW, "--issuer", "pebble", timeout=40)
    before = account(hub)["account_url"]
    assert account(hub, verb)["account_url"] == before
    hub.ok("cert", "renew", WWW, timeout=40)
    assert hub.show("cert", WWW)["current_version"]["number"] == 2


def test_an_account_of_another_client_goes_on_here(make_hub, own_pebble, tmp_path):
    """Its key in PEM, and as certbot keeps it; the account is found by it."""
    pebble = own_pebble()
    hub = make_hub()
    urls = []
    for name, form in (("pem", pki.account_pem), ("certbot", pki.account_jwk)):
        (tmp_path / name).write_text(form())
        for i in range(2):
            hub.ok("issuer", "add", f"{name}{i}", "--acme", pebble.directory, "--agree", "--roots", pebble.all_roots, "--grant", "127.0.0.0/8",
                   "--via", "listener", "--account-key-file", tmp_path / name)
            hub.ok("cert", "add", WWW, "--name", f"{name}{i}", "--issuer", f"{name}{i}", timeout=40)
            urls.append(hub.show("issuer", f"{name}{i}")["account_url"])
    assert urls[0] == urls[1] and urls[2] == urls[3] and urls[0] != urls[2], urls
    (tmp_path / "broken").write_text("{}")
    done = hub.cw("issuer", "add", "x", "--acme", pebble.directory, "--agree", "--account-key-file", tmp_path / "broken")
    assert done.code != 0 and "account's key" in done.err, done
