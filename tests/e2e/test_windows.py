"""Maintenance windows: a deployment waits for the window of its target, is done when it opens, and not when it has closed again."""
import datetime
import re

import pytest

from lib import wait

WWW, HOUR = "www.example.org", 3600


def utc(hub):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=getattr(hub, "ahead", 0))


def window(hub, begins_in, ends_in):
    """A window of the hub's day, in seconds from now; rounded down to minutes."""
    begins, ends = (utc(hub) + datetime.timedelta(seconds=s) for s in (begins_in, ends_in))
    return f"{begins:%H:%M}-{ends:%H:%M}"


def pass_by(hub, seconds):
    hub.ahead = getattr(hub, "ahead", 0) + seconds
    hub.move_clock(hub.ahead)


def state(hub):
    return hub.unix("GET", f"/api/v1/managed-certificates/{WWW}/events?after=-1").json()


def conditions(hub):
    return {c["type"]: c for c in hub.show("cert", WWW)["conditions"]}


@pytest.fixture
def site(make_hub):
    hub = make_hub()
    hub.cert = hub.files / "site.pem"
    hub.ok("target", "add", "site", "--connector", "files", "--set", f"combined={hub.cert}")
    return hub


def served(hub):
    return wait.until(lambda: state(hub)["state"] == "done", "it is deployed", 15)


def test_a_deployment_waits_for_its_window(site):
    site.ok("target", "edit", "site", "--window", window(site, 2 * HOUR, 4 * HOUR))
    plan = site.ok("cert", "add", WWW, "--to", "site", "--dry-run").out
    assert re.search(r"window +site is changed in its maintenance window, from \S+Z on", plan), plan
    done = site.ok("cert", "add", WWW, "--to", "site")
    assert "waits for the maintenance window of site" in done.out + done.err, done
    assert not site.cert.exists() and state(site)["state"] == "waiting"
    assert "waits for the maintenance window" in site.ok("cert", "why", WWW).out
    pass_by(site, HOUR)
    assert not site.cert.exists()
    pass_by(site, HOUR + 60)
    served(site)
    assert site.cert.exists()


def test_what_was_not_done_while_the_window_was_open_waits_for_the_next(site):
    """The agent is away while it is open."""
    site.ok("target", "edit", "site", "--window", window(site, 2 * HOUR, 4 * HOUR))
    site.ok("cert", "add", WWW, "--to", "site")
    site.stop()
    pass_by(site, 5 * HOUR)
    site.start()
    pass_by(site, 60)
    assert wait.until(lambda: conditions(site).get("waiting"), "it waits for tomorrow", 10)
    assert not site.cert.exists()
    pass_by(site, 22 * HOUR)
    served(site)


def test_somebody_says_now_and_that_is_on_record(site):
    site.ok("target", "edit", "site", "--window", window(site, 2 * HOUR, 4 * HOUR))
    site.ok("cert", "add", WWW, "--to", "site")
    assert site.cw("cert", "retry", WWW, "--now").code == 0
    served(site)
    assert site.cert.exists()
    assert "deployment.now" in [e["action"] for e in site.audit()]
    assert "outside its maintenance window" in site.ok("cert", "steps", WWW).out
    assert site.cw("cert", "retry", WWW, "--now").code != 0, "nothing waits any more"


def test_a_certificate_that_would_expire_before_is_not_held_back(site):
    site.ok("cert", "add", WWW, "--to", "site")
    first = site.cert.read_bytes()
    ends = datetime.datetime.fromisoformat(site.show("cert", WWW)["current_version"]["not_after"].replace("Z", "+00:00"))
    # A weekly window that was missed: the next one opens after the end.
    left = (ends - utc(site)).total_seconds()
    day = (ends + datetime.timedelta(days=1)).strftime("%a")
    site.ok("target", "edit", "site", "--window", f"{day} 02:00-04:00 Europe/Berlin")
    pass_by(site, int(left) - 20 * HOUR)
    served(site)
    wait.until(lambda: site.cert.read_bytes() != first, "it is renewed", 15)
    assert "before the next one opens" in site.ok("cert", "steps", WWW).out


def test_windows_are_shown_changed_and_refused(site):
    def refused(text, says):
        done = site.cw("target", "edit", "site", "--window", text)
        assert done.code != 0 and says in done.err, done
    site.ok("target", "edit", "site", "--window", "Sat,Sun 02:00-04:00 Europe/Berlin", "--window", "Mon-Fri 03:00-04:00")
    assert site.show("target", "site")["windows"] == ["Sat,Sun 02:00-04:00 Europe/Berlin", "Mon-Fri 03:00-04:00"]
    refused("Sat 02:00-04:00 Europe/Entenhausen", "no time zone Europe/Entenhausen")
    refused("weekends", "the days of a window")
    # Taken away while something waits: it waits no more.
    site.ok("target", "edit", "site", "--window", window(site, 2 * HOUR, 4 * HOUR))
    site.ok("cert", "add", WWW, "--to", "site")
    assert not site.cert.exists()
    site.ok("target", "edit", "site", "--window", "")
    served(site)
    assert site.cert.exists()
