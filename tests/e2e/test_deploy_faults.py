"""What goes wrong on the host: each ends with the old certificate served, the files as they were, and words that say why."""
import os

from lib import pki, wait

WWW = "www.example.org"


def files(nginx):
    return pki.state_of(nginx.block.cert), pki.state_of(nginx.block.key)


def add(site, *more, code=6):
    done = site.cw("cert", "add", WWW, "--to", WWW, *more)
    assert done.code == code, done
    return done


def deployment(site):
    return site.ok("cert", "deployments", WWW, "-o", "json").json()[0]


def test_a_configuration_that_is_broken_before_is_left_untouched(site, nginx):
    before, old = files(nginx), pki.fingerprint(nginx.served())
    nginx.more = "this_is_no_directive on;"
    nginx.write()
    add(site)
    assert files(nginx) == before
    assert "unknown directive" in site.why() and "this_is_no_directive" in site.why()
    assert "broken before" in site.why()
    assert pki.fingerprint(nginx.served()) == old


def test_a_configuration_that_was_mended_is_served_after_a_retry(site, nginx):
    nginx.more = "this_is_no_directive on;"
    nginx.write()
    add(site)
    nginx.more = ""
    nginx.write()
    site.ok("cert", "retry", WWW)
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])
    assert "failed" not in site.why()
    assert len([j for j in site.jobs() if j["kind"] == "sign"]) == 1, "what was issued is used, not issued again"


def share_key(nginx):
    """Another block uses the same key with a certificate of its own: nginx refuses as soon as the key is another."""
    other = nginx.add("other.example.org")
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    key = load_pem_private_key(nginx.block.key.read_bytes(), None)
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    cert = (x509.CertificateBuilder().subject_name(pki.name("other")).issuer_name(pki.name("other")).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(pki.now() - pki.DAY).not_valid_after(pki.now() + pki.DAY)
            .add_extension(pki.san(["other.example.org"]), False).sign(key, hashes.SHA256()))
    other.cert.write_bytes(pki.pem(cert))
    other.key.unlink()
    other.key = nginx.block.key
    nginx.write()
    nginx.reload()
    return other


def test_a_configuration_that_breaks_by_the_install_is_rolled_back_exactly(site, nginx):
    share_key(nginx)
    if os.geteuid() == 0:
        os.chown(nginx.block.cert, 33, 33)
    nginx.block.cert.chmod(0o640)
    nginx.block.key.chmod(0o400)
    before, old = files(nginx), pki.fingerprint(nginx.served())
    add(site)
    assert files(nginx) == before
    assert deployment(site)["rolled_back"]
    assert "key values mismatch" in site.why(), site.why()
    assert "next try" in site.why()
    assert pki.fingerprint(nginx.served()) == old
    assert not list(nginx.certs.glob(".*")), "nothing of ours is left beside the files"


def test_what_was_rolled_back_is_served_once_it_is_repaired_and_retried(site, nginx):
    other = share_key(nginx)
    add(site)
    other.key = nginx.certs / "other.key"
    other.key.write_bytes(nginx.block.key.read_bytes())
    nginx.write()
    nginx.reload()
    site.ok("cert", "retry", WWW)
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])


def test_a_failed_deployment_is_tried_again_by_itself(site, nginx):
    nginx.command("check", "echo 'nginx: [emerg] on holiday' >&2; exit 1")
    add(site)
    assert "on holiday" in site.why()
    nginx.command("check", "exec " + nginx.real("check"))
    site.move_clock(120)
    wait.until(lambda: not site.show("cert", WWW)["failures"], "it was tried again", 10)
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])


def test_a_reload_that_keeps_the_old_certificate_is_rolled_back_and_told(site, nginx):
    nginx.command("reload", "exit 0")
    before, old = files(nginx), pki.fingerprint(nginx.served())
    add(site)
    assert files(nginx) == before and deployment(site)["rolled_back"]
    assert f"port {nginx.https_port}" in site.why() and "shows another certificate" in site.why()
    assert pki.fingerprint(nginx.served()) == old


def test_a_reload_that_fails_is_rolled_back_with_its_words(site, nginx):
    nginx.command("reload", "echo 'the reload has no mood' >&2; exit 3")
    before = files(nginx)
    add(site)
    assert files(nginx) == before and deployment(site)["rolled_back"]
    assert "the reload has no mood" in site.why()


def test_a_renewal_that_cannot_be_installed_leaves_the_version_before_served(site, nginx):
    add(site, code=0)
    first, before = site.show("cert", WWW)["current_version"], files(nginx)
    nginx.command("reload", "exit 1")
    assert site.cw("cert", "renew", WWW).code == 6
    assert files(nginx) == before
    nginx.shows(first["fingerprint"])
    nginx.command("reload", "exec " + nginx.real("reload"))
    site.ok("cert", "retry", WWW)
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])
    assert site.show("cert", WWW)["current_version"]["number"] == 2


def test_a_dead_nginx_is_told_and_served_once_it_lives_again(site, nginx):
    before = files(nginx)
    nginx.stop()
    add(site, code=1) # not 6: nobody can say that the old one is served
    assert files(nginx) == before
    assert "nothing answers" in site.why() and "cannot be reached" in site.why()
    status = site.ok("status").out
    assert WWW in status and "certwright cert why" in status
    nginx.start()
    site.ok("cert", "retry", WWW)
    nginx.shows(site.show("cert", WWW)["current_version"]["fingerprint"])
    assert "All is well" in site.ok("status").out


def test_a_path_that_the_host_does_not_grant_is_refused_there(make_hub):
    hub = make_hub()
    hub.ok("target", "add", "etc", "--connector", "files", "--set", "fullchain=/etc/cw-e2e-not-granted.pem")
    done = hub.cw("cert", "add", WWW, "--to", "etc")
    assert done.code == 3, done
    assert "agent.yaml" in hub.why() and "paths" in hub.why()
    assert not os.path.exists("/etc/cw-e2e-not-granted.pem")


def test_a_command_that_the_host_does_not_grant_is_refused_there(make_hub):
    hub = make_hub()
    hub.ok("target", "discover")  # the agent has told what it may
    out = ("target", "add", "out", "--connector", "files", "--set", f"fullchain={hub.files}/x.pem", "--set", "reload=rm-rf")
    refused = hub.cw(*out)
    assert refused.code == 2 and "rm-rf" in refused.err, "the hub knows what the agent has told"
    hub.agent_settings["commands"]["rm-rf"] = ["/bin/true"]
    hub.write_agent()
    hub.restart()
    hub.ok("target", "discover")
    hub.ok(*out)
    del hub.agent_settings["commands"]["rm-rf"]  # and the host has the last word
    hub.write_agent()
    hub.restart()
    done = hub.cw("cert", "add", WWW, "--to", "out")
    assert done.code == 3, done
    assert "rm-rf" in hub.why()
    assert not (hub.files / "x.pem").exists()


def test_a_status_line_names_the_problem_and_the_command_that_mends_it(site, nginx):
    nginx.command("reload", "exit 1")
    add(site)
    rows = site.ok("status", "-o", "json").json()["problems"]
    assert [r for r in rows if r["object"] == WWW and f"certwright cert retry {WWW}" in r["command"]], rows
