"""The closed loop with the hub's own CA and a real nginx."""
import datetime
import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from lib import pki, wait

WWW = "www.example.org"


def current(hub, name=WWW):
    return hub.show("cert", name)["current_version"]


def exported(hub, name=WWW, *more):
    return pki.read_chain(hub.ok("cert", "export", name, *more).out)


def test_a_name_that_is_added_is_issued_installed_and_served(site, nginx):
    before = pki.fingerprint(nginx.served())
    done = site.ok("cert", "add", WWW, "--to", "nginx")
    assert current(site)["fingerprint"] != before
    nginx.shows(current(site)["fingerprint"])
    assert pki.dns_names(nginx.served()) == [WWW]
    assert re.search(r"is served \(version 1, until .*\); next renewal ", done.out)
    for step in ("added", "key", "issued", "stage", "install", "prove", "done"):
        assert re.search(rf"^ *\S.* {step} ", done.out, re.M), f"no step {step} in\n{done.out}"


def test_what_is_served_is_trusted_by_a_client_that_knows_only_the_root(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    nginx.shows(current(site)["fingerprint"])
    good, words = pki.trusted(nginx.https_port, site.roots())
    assert good, words
    good, words = pki.trusted(nginx.https_port, site.roots(), host="other.example.org")
    assert not good


def test_the_certificate_is_what_rfc_5280_wants(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    leaf = exported(site)[0]
    ext = leaf.extensions
    assert 0 < leaf.serial_number < 1 << 159 and leaf.serial_number.bit_length() > 64
    assert ext.get_extension_for_class(x509.SubjectAlternativeName).critical == (not list(leaf.subject))
    assert ext.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert ExtendedKeyUsageOID.SERVER_AUTH in ext.get_extension_for_class(x509.ExtendedKeyUsage).value
    ext.get_extension_for_class(x509.SubjectKeyIdentifier)
    ext.get_extension_for_class(x509.AuthorityKeyIdentifier)
    crl = ext.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name[0].value
    issuer = ext.get_extension_for_class(x509.AuthorityInformationAccess).value[0].access_location.value
    assert crl == f"http://localhost:{site.status_port}/crl/issuing.crl"
    assert issuer == f"http://localhost:{site.status_port}/ca/issuing.cer"
    published = x509.load_der_x509_certificate(site.status("/ca/issuing.cer").content)
    assert published.subject == leaf.issuer
    published.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(leaf.signature_hash_algorithm))


def test_the_key_stays_on_the_host_with_its_owner_and_mode(site, nginx):
    nginx.block.key.chmod(0o640)
    site.ok("cert", "add", WWW, "--to", "nginx")
    content, uid, gid, mode = pki.state_of(nginx.block.key)
    assert b"PRIVATE KEY" in content
    assert mode & 0o007 == 0, oct(mode)
    leaf = exported(site)[0]
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    assert load_pem_private_key(content, None).public_key().public_numbers() == leaf.public_key().public_numbers()


def test_editing_nothing_does_nothing(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    before, jobs, state = site.show("cert", WWW), site.jobs(), pki.state_of(nginx.block.cert)
    site.ok("cert", "edit", WWW, "--names", WWW)
    after = site.show("cert", WWW)
    assert after == before
    assert [j["id"] for j in site.jobs()] == [j["id"] for j in jobs]
    assert pki.state_of(nginx.block.cert) == state


def test_adding_the_same_name_again_is_refused_and_changes_nothing(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    before = site.show("cert", WWW)
    again = site.cw("cert", "add", WWW, "--to", "nginx")
    assert again.code == 1 and f"{WWW} is managed already" in again.err, again
    assert site.show("cert", WWW) == before


def test_a_new_name_makes_a_new_version(site, nginx):
    nginx.block.names.append("api.example.org")
    nginx.write()
    nginx.reload()
    site.ok("cert", "add", WWW, "--to", WWW)
    first = current(site)
    site.ok("cert", "edit", WWW, "--names", f"{WWW},api.example.org")
    second = current(site)
    assert second["number"] == 2 and second["fingerprint"] != first["fingerprint"]
    nginx.shows(second["fingerprint"])
    assert pki.dns_names(nginx.served()) == ["api.example.org", WWW]


def test_a_new_target_gets_the_version_that_is_there(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    first = current(site)
    site.ok("target", "add", "copy", "--connector", "files", "--set", f"fullchain={site.files}/copy.pem", "--set", f"key={site.files}/copy.key")
    site.ok("cert", "edit", WWW, "--to", f"{WWW},copy")
    assert current(site) == first
    assert pki.fingerprint(pki.read_chain((site.files / "copy.pem").read_bytes())[0]) == first["fingerprint"]
    nginx.shows(first["fingerprint"])
    assert len([j for j in site.jobs() if j["kind"] == "sign"]) == 1


def test_renewal_on_request_replaces_certificate_and_key(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    first, key = exported(site)[0], nginx.block.key.read_bytes()
    site.ok("cert", "renew", WWW)
    second = exported(site)[0]
    assert second.serial_number != first.serial_number
    assert nginx.block.key.read_bytes() != key
    nginx.shows(pki.fingerprint(second))


def test_renewal_keeps_the_key_where_that_is_wished(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx", "--reuse-key")
    first, key = exported(site)[0], nginx.block.key.read_bytes()
    site.ok("cert", "renew", WWW)
    assert exported(site)[0].serial_number != first.serial_number
    assert nginx.block.key.read_bytes() == key


def test_renewal_comes_by_itself_at_two_thirds_of_the_lifetime(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    shown = site.show("cert", WWW)
    at = {k: datetime.datetime.strptime(v, "%Y-%m-%dT%H:%M:%SZ") for k, v in
          {"from": shown["current_version"]["not_before"], "until": shown["current_version"]["not_after"], "renew": shown["renew_at"]}.items()}
    part = (at["renew"] - at["from"]) / (at["until"] - at["from"])
    assert 0.6 < part < 0.7, part
    site.move_clock(int((at["renew"] - pki.now()).total_seconds()) + 10)
    wait.until(lambda: current(site)["number"] == 2, "it is renewed", 10)
    assert site.settled(WWW)["state"] == "done"
    nginx.shows(current(site)["fingerprint"])


def test_rollback_serves_the_version_before(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    first = current(site)
    site.ok("cert", "renew", WWW)
    nginx.shows(current(site)["fingerprint"])
    site.ok("cert", "rollback", WWW)
    assert current(site) == first
    nginx.shows(first["fingerprint"])


def test_rollback_without_a_version_before_says_so(site):
    site.ok("cert", "add", WWW, "--to", "nginx")
    done = site.cw("cert", "rollback", WWW)
    assert done.code == 4 and "only version 1" in done.err


def crl_of(hub):
    answer = hub.status("/crl/issuing.crl")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/pkix-crl"
    return x509.load_der_x509_crl(answer.content)


def crl_number(crl):
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_a_revoked_certificate_is_on_the_next_crl_and_replaced(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    first, before = exported(site)[0], crl_of(site)
    assert before.get_revoked_certificate_by_serial_number(first.serial_number) is None
    site.ok("cert", "revoke", WWW, "--reason", "keyCompromise")
    entry = wait.until(lambda: crl_of(site).get_revoked_certificate_by_serial_number(first.serial_number), "the serial is on the CRL")
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise
    after = crl_of(site)
    assert crl_number(after) > crl_number(before)
    ca = x509.load_der_x509_certificate(site.status("/ca/issuing.cer").content)
    assert after.is_signature_valid(ca.public_key())
    assert current(site)["number"] == 2
    nginx.shows(current(site)["fingerprint"])


def test_an_earlier_version_is_revoked_without_a_new_one(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    first = exported(site)[0]
    site.ok("cert", "renew", WWW)
    second = current(site)
    site.ok("cert", "revoke", WWW, "--version", "1")
    wait.until(lambda: crl_of(site).get_revoked_certificate_by_serial_number(first.serial_number), "the serial is on the CRL")
    assert current(site) == second


def test_crl_numbers_rise_over_a_restart(site):
    site.ok("cert", "add", WWW, "--to", "nginx")
    site.ok("cert", "revoke", WWW)
    before = crl_number(crl_of(site))
    site.restart()
    assert crl_number(crl_of(site)) >= before
    site.ok("cert", "revoke", WWW)
    wait.until(lambda: crl_number(crl_of(site)) > before, "the CRL's number rises")


def test_export_gives_leaf_and_chain_but_never_a_key(site, tmp_path):
    site.ok("cert", "add", WWW, "--to", "nginx")
    text = site.ok("cert", "export", WWW).out
    chain = pki.read_chain(text)
    assert len(chain) == 2 and chain[0].issuer == chain[1].subject
    assert "PRIVATE KEY" not in text
    site.ok("cert", "export", WWW, "--out", tmp_path / "x.pem")
    assert (tmp_path / "x.pem").read_text() == text


def test_an_earlier_version_can_be_exported(site):
    site.ok("cert", "add", WWW, "--to", "nginx")
    first = exported(site)
    site.ok("cert", "renew", WWW)
    assert exported(site, WWW, "--version", "1") == first
    assert exported(site) != first


def test_remove_leaves_the_files_and_what_is_served(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    files = pki.state_of(nginx.block.cert), pki.state_of(nginx.block.key)
    site.ok("cert", "remove", WWW)
    assert site.cw("cert", "show", WWW).code == 4
    assert (pki.state_of(nginx.block.cert), pki.state_of(nginx.block.key)) == files
    site.ok("cert", "add", WWW, "--to", "nginx")
    assert current(site)["number"] == 1


def test_a_paused_certificate_is_left_alone_until_it_is_resumed(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    first = current(site)
    site.ok("cert", "pause", WWW, "--reason", "christmas")
    refused = site.cw("cert", "renew", WWW)
    assert refused.code != 0 and "christmas" in refused.err
    assert "paused: christmas" in site.why() and "cert resume" in site.why()
    site.move_clock(80 * 86400)
    assert "cert resume" in site.ok("status").out
    assert current(site) == first
    site.ok("cert", "resume", WWW)
    wait.until(lambda: current(site)["number"] == 2, "what was due is done", 10)


def test_dry_run_names_every_file_and_command_and_does_nothing(site, nginx):
    before = pki.state_of(nginx.block.cert), pki.state_of(nginx.block.key)
    jobs = [j for j in site.jobs() if j["kind"] != "discover"]
    said = site.ok("cert", "add", WWW, "--to", "nginx", "--dry-run").out
    assert str(nginx.block.cert) in said and str(nginx.block.key) in said
    assert "nginx-check" in said and "nginx-reload" in said
    assert site.cw("cert", "show", WWW).code == 4
    assert (pki.state_of(nginx.block.cert), pki.state_of(nginx.block.key)) == before
    assert [j for j in site.jobs() if j["kind"] not in ("discover", "deploy")] == jobs


def test_no_wait_prints_the_id_at_once(site, nginx):
    done = site.ok("cert", "add", WWW, "--to", "nginx", "--no-wait")
    assert site.show("cert", WWW)["id"] == done.out.strip()
    assert site.settled(WWW)["state"] == "done"
    nginx.shows(current(site)["fingerprint"])


def test_several_server_blocks_are_found_and_each_gets_its_own(nginx, make_hub):
    nginx.add("shop.example.org", "store.example.org")
    nginx.add("mail.example.org", port=wait.free_port())
    nginx.reload()
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    found = {t["name"]: t for t in hub.ok("target", "list", "-o", "json").json()}
    assert set(found) == {WWW, "shop.example.org", "mail.example.org"}
    assert sorted(found["shop.example.org"]["names"]) == ["shop.example.org", "store.example.org"]
    assert found["mail.example.org"]["endpoints"][0]["port"] == nginx.blocks[2].port
    assert found[WWW]["parameters"] == {"certificate": str(nginx.block.cert), "key": str(nginx.block.key)}
    others = [pki.state_of(b.cert) for b in nginx.blocks[::2]]
    hub.ok("cert", "add", "shop.example.org", "store.example.org", "--to", "nginx")
    nginx.shows(current(hub, "shop.example.org")["fingerprint"], "store.example.org")
    assert [pki.state_of(b.cert) for b in nginx.blocks[::2]] == others
    hub.ok("cert", "add", "mail.example.org", "--to", "nginx")
    nginx.shows(current(hub, "mail.example.org")["fingerprint"], "mail.example.org", nginx.blocks[2].port)


def test_blocks_that_share_their_files_are_proved_on_each_name(nginx, make_hub):
    nginx.add("api.example.org", stem=WWW)
    nginx.reload()
    hub = make_hub(nginx=nginx)
    hub.ok("target", "discover")
    hub.ok("cert", "add", WWW, "api.example.org", "--to", "nginx")
    for name in (WWW, "api.example.org"):
        nginx.shows(current(hub)["fingerprint"], name)


def add(hub, *argv):
    hub.ok("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/out.pem", "--set", f"key={hub.files}/out.key")
    hub.ok("cert", "add", *argv, "--to", "out")
    return pki.read_chain((hub.files / "out.pem").read_bytes())[0]


def test_an_rsa_key_is_made_where_it_is_asked_for(hub):
    leaf = add(hub, WWW, "--key-kind", "rsa-2048")
    assert isinstance(leaf.public_key(), rsa.RSAPublicKey) and leaf.public_key().key_size == 2048


def test_a_p384_key_is_made_where_it_is_asked_for(hub):
    assert isinstance(add(hub, WWW, "--key-kind", "ec-p384").public_key().curve, ec.SECP384R1)


def test_a_change_of_the_key_kind_issues_anew(hub):
    add(hub, WWW)
    hub.ok("cert", "edit", WWW, "--key-kind", "ec-p384")
    leaf = pki.read_chain((hub.files / "out.pem").read_bytes())[0]
    assert isinstance(leaf.public_key().curve, ec.SECP384R1) and current(hub)["number"] == 2


def test_a_client_certificate_has_the_usage_of_clients_alone(hub):
    leaf = add(hub, "client.example.org", "--profile", "tls-client")
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_mutual_certificate_has_both_usages(hub):
    leaf = add(hub, "node.example.org", "--profile", "tls-mutual")
    assert set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


def test_addresses_can_be_names(hub):
    leaf = add(hub, "gw.example.org", "192.0.2.7", "2001:db8::7")
    assert pki.dns_names(leaf) == ["gw.example.org"] and pki.ip_names(leaf) == ["192.0.2.7", "2001:db8::7"]


def test_the_own_ca_issues_a_wildcard_of_the_leftmost_label_only(hub):
    assert pki.dns_names(add(hub, "*.example.org")) == ["*.example.org"]
    for bad in ("www.*.example.org", "w*.example.org", "*"):
        assert hub.cw("cert", "add", bad, "--to", "out").code == 2, bad


def test_a_name_beyond_ascii_becomes_its_a_label(hub):
    assert pki.dns_names(add(hub, "xn--bcher-kva.example.org")) == ["xn--bcher-kva.example.org"]


def test_the_subject_has_a_name_where_it_is_asked_for(hub):
    leaf = add(hub, WWW, "--common-name", WWW)
    assert leaf.subject.rfc4514_string() == f"CN={WWW}"
    assert not leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_a_profile_of_ones_own_decides_the_lifetime(hub):
    hub.ok("profile", "add", "short", "--validity", "6d", "--key-kind", "ec-p384")
    leaf = add(hub, WWW, "--profile", "short")
    assert leaf.not_valid_after - leaf.not_valid_before + datetime.timedelta(seconds=1) == datetime.timedelta(days=6)
    assert isinstance(leaf.public_key().curve, ec.SECP384R1)
    shown = hub.show("cert", WWW)
    renew = datetime.datetime.strptime(shown["renew_at"], "%Y-%m-%dT%H:%M:%SZ")
    assert 0.45 < (renew - leaf.not_valid_before) / (leaf.not_valid_after - leaf.not_valid_before) < 0.55


def test_name_constraints_are_in_the_ca_and_honoured(make_hub):
    hub = make_hub("--permit-dns", "example.org")
    ca = x509.load_der_x509_certificate(hub.status("/ca/issuing.cer").content)
    constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical and [n.value for n in constraints.value.permitted_subtrees] == ["example.org"]
    assert pki.dns_names(add(hub, WWW)) == [WWW]
    refused = hub.cw("cert", "add", "www.example.net")
    assert refused.code == 3 and "www.example.net" in refused.err + refused.out, refused


def test_the_signers_ceiling_holds_whatever_the_hub_asks(hub):
    hub.ok("ca", "ceilings", "issuing", "--permit-dns", "example.org")
    assert hub.show("ca", "issuing")["ceilings"]["permitted_dns"] == ["example.org"]
    refused = hub.cw("cert", "add", "www.example.net")
    assert refused.code == 3, refused
    assert "ceiling" in hub.why("www.example.net") or "example.net" in hub.why("www.example.net")
    hub.ok("ca", "ceilings", "issuing", "--permit-dns", "any")
    hub.ok("cert", "retry", "www.example.net")


def test_a_certificate_can_be_issued_and_deployed_nowhere(hub):
    hub.ok("cert", "add", WWW)
    assert "deployed nowhere" in hub.why()
    assert pki.dns_names(exported(hub)[0]) == [WWW]


def test_the_deployment_says_where_it_was_seen(site, nginx):
    site.ok("cert", "add", WWW, "--to", "nginx")
    one = site.ok("cert", "deployments", WWW, "-o", "json").json()[0]
    assert one["state"] == "served" and not one["rolled_back"]
    assert [(s["address"], s["port"], s["name"], s["verdict"], s["fingerprint"]) for s in one["served"]] == [
        ("127.0.0.1", nginx.https_port, WWW, "served", current(site)["fingerprint"])]
