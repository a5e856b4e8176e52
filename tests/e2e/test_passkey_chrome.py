"""Passkeys as a real browser makes and uses them: Chromium with its virtual authenticator, at the hub's own origin."""
import pytest

from lib.chrome import Chrome
from lib.people import Browser, first_code

# What a page does: base64url either way, and the requests with the session's CSRF value.
PAGE = """
const bytes = t => Uint8Array.from(atob(t.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
const text = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/[+]/g, '-').replace(/[/]/g, '_').replace(/=/g, '');
const ask = async (method, url, body) => {
    const headers = {'Content-Type': 'application/json'};
    if (window.csrf) headers['X-Certwright-CSRF'] = window.csrf;
    const answer = await fetch('/api/v1' + url, {method, headers, body: body === undefined ? undefined : JSON.stringify(body)});
    const said = answer.status == 204 ? {} : await answer.json();
    window.csrf = (said.session || said).csrf || window.csrf;
    return {status: answer.status, ...said};
};
const make = async name => {
    const w = await ask('POST', '/me/passkey-challenge');
    const made = await navigator.credentials.create({publicKey: {
        challenge: bytes(w.challenge), rp: {id: w.rp_id, name: w.rp_name}, user: {id: bytes(w.user_id), name: w.user_name, displayName: w.display_name},
        pubKeyCredParams: w.algorithms.map(alg => ({type: 'public-key', alg})), timeout: w.timeout_ms,
        excludeCredentials: w.exclude.map(c => ({type: 'public-key', id: bytes(c.id), transports: c.transports})),
        authenticatorSelection: {residentKey: 'required', userVerification: 'preferred'}}});
    return ask('POST', '/me/passkeys', {name, client_data: text(made.response.clientDataJSON), attestation: text(made.response.attestationObject),
                                        transports: made.response.getTransports()});
};
const use = async () => {
    const q = await ask('POST', '/session/passkey-challenge');
    const used = await navigator.credentials.get({publicKey: {
        challenge: bytes(q.challenge), rpId: q.rp_id, userVerification: q.user_verification, timeout: q.timeout_ms,
        allowCredentials: q.credentials.map(c => ({type: 'public-key', id: bytes(c.id), transports: c.transports}))}});
    return ask('POST', '/session/passkey', {credential: text(used.rawId), client_data: text(used.response.clientDataJSON),
                                            authenticator_data: text(used.response.authenticatorData), signature: text(used.response.signature)});
};
"""


@pytest.mark.one_engine
def test_chromium_makes_a_passkey_and_signs_in_with_it(hub):
    chrome = Chrome(hub)
    try:
        chrome.authenticator()
        chrome.go(f"https://localhost:{hub.https_port}/healthz")
        # From the link of init to a passkey, without an authenticator app.
        said = chrome.run(PAGE + """
            await ask('POST', '/invitation', {code: args[0], name: 'anna', password: 'seven quiet otters read maps'});
            const made = await make('laptop');
            const twice = await make('again').catch(e => e.name);
            return {made, twice, me: await ask('GET', '/me')};""", first_code(hub))
        assert said["made"]["status"] == 201 and said["made"]["session"]["state"] == "done", said
        assert said["twice"] == "InvalidStateError"  # the authenticator has one already
        assert said["me"]["name"] == "anna" and said["me"]["passkeys"] == 1 and not said["me"]["totp"]
        # Page scripts do not see the cookie; the browser alone has it.
        assert chrome.run("return document.cookie") == ""
        # A passkey alone, and as the second factor after the password.
        said = chrome.run(PAGE + """
            await ask('DELETE', '/session');
            window.csrf = undefined;
            const alone = await use(), status = await ask('GET', '/status');
            await ask('DELETE', '/session');
            window.csrf = undefined;
            const first = await ask('POST', '/session', {name: 'anna', password: 'seven quiet otters read maps'});
            return {alone, status: status.status, first, second: await use()};""")
        assert said["alone"]["state"] == "done" and said["status"] == 200, said
        assert said["first"]["state"] == "second-factor" and said["first"]["methods"] == ["passkey"] and said["second"]["state"] == "done", said
        # The hub's address is no name that passkeys could be for.
        assert Browser(hub, "127.0.0.1").ask("POST", "/api/v1/session/passkey-challenge").status_code == 422
    finally:
        chrome.stop()
