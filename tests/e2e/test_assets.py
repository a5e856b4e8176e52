"""What was found as assets of vulnerability managers, as their documents have it (docs/INVENTORY.md)."""
import json

import pytest

from lib import pki
from test_access import der64

PLACES = [("a.example.net", "192.0.2.10:443"), ("b.example.net", "[2001:db8::1]:8443"), ("c.example.net", "c.example.net:443"), ("*.d.example.net", None),
          ("=cmd|x!A1", None)]


@pytest.mark.one_engine
def test_hosts_are_told_once_each_in_the_form_that_a_product_takes(hub):
    rows = []
    for i, (name, place) in enumerate(PLACES):
        found, _ = pki.self_signed([name, "e.example.net", "192.0.2.99"] if not place and name[0] == "*" else [name], days=3)
        rows += [{"row": str(2 * i), "der": der64(found), **({"place": place} if place else {})}]
    rows.append({**rows[0], "row": "99", "place": "192.0.2.10:8443"})  # another port of the same host
    assert hub.unix("POST", "/api/v1/imports", {"list": "all", "rows": rows}).status_code == 200

    def told(form, *what):
        done = hub.cw(*what, "-o", form)
        assert done.code == 0, done
        return done
    certs, places = ("cert", "list", "--found", "--where", "source = import and not managed"), ("endpoint", "list")
    tenable = json.loads(told("tenable", *certs).out)
    assert list(tenable) == ["assets", "source"] and tenable["source"] == "certwright"
    assert sorted(tenable["assets"], key=str) == [{"fqdn": ["c.example.net"]}, {"fqdn": ["e.example.net"]}, {"ipv4": ["192.0.2.10"]}, {"ipv4": ["192.0.2.99"]}]
    done = told("qualys", *certs)
    assert sorted(done.out.splitlines()) == ["192.0.2.10", "192.0.2.99"] and "left out: it takes IPv4" in done.err, done
    assert sorted(json.loads(told("rapid7", *certs).out)) == ["192.0.2.10", "192.0.2.99", "2001:db8::1", "c.example.net", "e.example.net"]
    assert {"192.0.2.10", "2001:db8::1", "c.example.net"} <= set(json.loads(told("rapid7", *places).out))
    assert json.loads(told("rapid7", "cert", "list", "--where", "name = nothing.example.net").out) == []
    assert "cmd" not in told("tenable", *certs).out + told("rapid7", *certs).out, "a name that is none is no host"
    assert hub.cw("rule", "list", "-o", "tenable").code == 2 and hub.cw("cert", "list", "-o", "qualys").code == 2
