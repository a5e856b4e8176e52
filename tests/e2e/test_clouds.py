"""Clouds and appliances, over API servers that check every call: none of these products can run here, and docs/OPERATIONS.md says so.  One hub deploys to all
of them; each undoing by itself takes seconds: all are behind CERTWRIGHT_SOAK."""
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lib import clouds, push

WWW = "www.example.org"
pytestmark = pytest.mark.one_engine  # what differs is the agent's: the hub keeps the same rows as for nginx and for files
UNDONE = sorted(clouds.KINDS) if os.environ.get("CERTWRIGHT_SOAK") else ["aws-secrets-manager", "f5-bigip"]


@pytest.fixture
def make_cloud(make_hub):
    made = []

    def make(*connectors, secret=None):
        hub, apis = make_hub(start=False), []
        hub.agent_settings["prove_s"] = 1
        hub.agent_settings["credentials"] = {}
        for connector in connectors:
            folder = Path(tempfile.mkdtemp(prefix="cw-e2e-", dir="/tmp"))
            folder.chmod(0o755) # the relay has a user of its own
            api = clouds.KINDS[connector](folder)
            apis.append(api)
            made.append(api)
            api.hub, api.connector, text = hub, connector, folder / "secret"
            text.write_text((secret or api.secret) + "\n")
            text.chmod(0o600)
            hub.agent_settings["connectors"].append(connector)
            hub.agent_settings["credentials"][connector] = {"file": str(text), "hosts": [f"127.0.0.1:{api.port}"], "roots": str(api.roots)}
        made.append(push.Ingress(apis[0].folder, lambda: None))
        hub.other = made[-1]
        hub.write_agent()
        hub.start()
        for api in apis:
            sets = [x for k, v in api.params().items() for x in ("--set", f"{k}={api.connector if v == 'api-token' else v}")]
            hub.ok("target", "add", "cloud" if len(apis) == 1 else api.connector, "--connector", api.connector, *sets)
        return apis if len(apis) > 1 else apis[0]
    yield make
    for one in made:
        one.stop()
        shutil.rmtree(one.folder, ignore_errors=True)


def current(api):
    return api.hub.show("cert", WWW)["current_version"]["fingerprint"]


def test_all_of_them_get_it_and_its_renewal(make_cloud):
    apis = make_cloud(*sorted(clouds.KINDS))
    hub = apis[0].hub
    hub.ok("cert", "add", WWW, *(x for a in apis for x in ("--to", a.connector)), timeout=60)
    for verb in ("add", "renew"):
        if verb == "renew":
            hub.ok("cert", "renew", WWW, timeout=60)
        hub.settled(WWW)
        for api in apis:
            assert api.fingerprint() == current(api) and not api.wrong, (api.connector, api.wrong)


@pytest.mark.parametrize("connector", UNDONE)
def test_it_is_there_then_renewed_and_back_when_the_handshake_does_not_show_it(make_cloud, connector):
    api = make_cloud(connector)
    api.hub.ok("cert", "add", WWW, "--to", "cloud")
    first = current(api)
    assert api.fingerprint() == first and not api.wrong, api.wrong
    before = api.state() if hasattr(api, "state") else None
    api.hub.ok("target", "edit", "cloud", "--endpoint", f"127.0.0.1:{api.hub.other.port}") # which serves something else
    done = api.hub.cw("cert", "renew", WWW)
    assert done.code in (1, 6) and not api.wrong, (done, api.wrong)
    if connector in ("aws-acm", "proxmox"): # they never give a key back
        assert api.fingerprint() != first and "the steps of undo are done, but" in api.hub.ok("cert", "steps", WWW).out
    else:
        assert api.fingerprint() == first and api.state() == before


@pytest.mark.parametrize("connector", ["aws-secrets-manager", "azure-key-vault", "netscaler"] if os.environ.get("CERTWRIGHT_SOAK") else ["azure-key-vault"])
def test_a_wrong_credential_is_named_and_never_shown(make_cloud, connector):
    api = make_cloud(connector, secret="wrong-secret-of-ours")
    done = api.hub.cw("cert", "add", WWW, "--to", "cloud")
    words = {"aws-secrets-manager": "does not match the signature", "azure-key-vault": "AADSTS7000215", "netscaler": "Invalid username or password"}
    assert done.code in (3, 6) and words[connector] in done.err and "wrong-secret" not in done.err + api.hub.text(), done


def test_a_clock_that_is_off_is_told_in_the_words_of_aws(make_cloud):
    api = make_cloud("aws-secrets-manager")
    api.skew = 3600
    done = api.hub.cw("cert", "add", WWW, "--to", "cloud")
    assert done.code in (3, 6) and "Signature expired" in done.err, done


def test_a_token_that_is_refused_is_asked_for_once_more_and_throttling_waited_for(make_cloud):
    api = make_cloud("azure-key-vault")
    gone = []

    def end(call):
        if call.method == "POST" and call.path.endswith("/import") and not gone:
            gone.append(True)
            api.tokens.clear()
    api.before += [end, push.once(429, {"error": {"message": "throttled"}}, {"Retry-After": "1"}, method="GET")]
    api.hub.ok("cert", "add", WWW, "--to", "cloud")
    assert gone and api.fingerprint() == current(api) and not api.wrong, api.wrong


def test_what_was_not_there_is_deleted_and_purged(make_cloud):
    api = make_cloud("azure-key-vault")
    api.hub.ok("target", "edit", "cloud", "--endpoint", f"127.0.0.1:{api.hub.other.port}")
    done = api.hub.cw("cert", "add", WWW, "--to", "cloud")
    assert done.code in (1, 6) and api.state() is None and not api.deleted and not api.wrong, (done, api.wrong)


def nas_keeps_its_own(make_cloud):
    api = make_cloud("synology")
    begun = api.state()
    api.hub.ok("target", "edit", "cloud", "--endpoint", f"127.0.0.1:{api.hub.other.port}")
    assert api.hub.cw("cert", "add", WWW, "--to", "cloud").code in (1, 6) and api.state() == begun and not api.wrong, api.wrong
    api, lost = make_cloud("synology"), []

    def lose(call):
        if b"ReverseProxy" in call.body and not lost:
            lost.append(call) # its web server restarts after the first service was moved
            return "drop"
    api.before.append(lose)
    begun = api.state()
    assert api.hub.cw("cert", "add", WWW, "--to", "cloud").code in (1, 3, 6) and lost and api.state() == begun and not api.wrong, (api.state(), api.wrong)
    api = make_cloud("synology")
    api.hub.ok("cert", "add", WWW, "--to", "cloud")
    seen = [current(api)]
    for _ in range(2):
        api.hub.ok("cert", "renew", WWW)
        seen.append(current(api))
    names = {(c["desc"], shown) for c in api.certs.values() if (shown := clouds.shown(c["cert"].encode())) in seen}
    assert names == {("certwright previous", seen[1]), (f"certwright/{seen[2]}", seen[2])} and not api.wrong, (names, api.wrong)
    assert len(api.certs) == 4 and not api.sessions, "and what was there, and nobody stays signed in"


if os.environ.get("CERTWRIGHT_SOAK"): # takes seconds
    def test_a_nas_gets_its_first_default_back_and_keeps_no_more_than_the_one_before(make_cloud):
        nas_keeps_its_own(make_cloud)
