"""What the OAuth client scripts share: the server, its clients, and a person who signs in with the HTML form."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from functools import cache
from html import unescape
from urllib.parse import urljoin

import requests

BASE = os.environ.get("JHE_URL", "http://localhost:8000").rstrip("/")
ISSUER = f"{BASE}/o"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
EMAIL = "manager_mary@example.com"
PASSWORD = os.environ.get("JHE_DEMO_PASSWORD", "Jhe1234!")
SCOPE = "openid email read write"
TIMEOUT = 30
# One sign-in serves a whole script: the server lets an address try thirty a minute.
BROWSER = requests.Session()


@dataclass(frozen=True)
class Client:
    """A client as its owner knows it: `secret` is None for a public one."""

    id: str
    secret: str | None
    redirect_uri: str

    @property
    def label(self) -> str:
        return "public client" if self.secret is None else "confidential client"


def public_client() -> Client:
    """The console's client, named in the settings that the server hands to browsers."""
    settings = requests.get(f"{BASE}/common/server-settings.js", timeout=TIMEOUT).text
    found = re.search(r'client_id: "([^"]+)"', settings)
    assert found, "the server names no client for the console"
    return Client(found[1], None, f"{BASE}/auth/callback")


def confidential_client() -> Client | None:
    """The client of INTEROP_CLIENT_ID and INTEROP_CLIENT_SECRET, registered for http://127.0.0.1/callback."""
    secret = os.environ.get("INTEROP_CLIENT_SECRET")
    if not secret:
        return None
    # The port is free to choose on a loopback address (RFC 8252, section 7.3).
    return Client(os.environ["INTEROP_CLIENT_ID"], secret, "http://127.0.0.1:49152/callback")


def clients() -> list[Client]:
    """The clients to run a script for; says so when there is no confidential one."""
    confidential = confidential_client()
    if confidential is None:
        print("  skipped: confidential client (INTEROP_CLIENT_SECRET is not set)")
        return [public_client()]
    return [public_client(), confidential]


def authorize(authorization_url: str, redirect_uri: str, email: str = EMAIL) -> str:
    """Goes to the server, signs in where it asks for that; the address that it sends the browser back to."""
    reply = BROWSER.get(authorization_url, allow_redirects=False, timeout=TIMEOUT)
    for _ in range(6):
        if reply.is_redirect:
            target = urljoin(reply.url, reply.headers["Location"])
            if target.split("?")[0] == redirect_uri:
                return target
            reply = BROWSER.get(target, allow_redirects=False, timeout=TIMEOUT)
        elif 'name="allow"' in reply.text:
            reply = consent(BROWSER, reply)
        else:
            reply = submit(BROWSER, reply, email)
    raise AssertionError(f"the sign-in did not lead to {redirect_uri} but to {reply.url}")


def submit(browser: requests.Session, page: requests.Response, email: str = EMAIL) -> requests.Response:
    """Posts the login form of a page to the page's own address, which must lead on."""
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert page.status_code == 200 and token, (page.status_code, page.url)
    form = {"csrfmiddlewaretoken": unescape(token[1]), "username": email, "password": PASSWORD}
    reply = browser.post(page.url, data=form, allow_redirects=False, timeout=TIMEOUT)
    assert reply.is_redirect, f"{email} could not sign in: {reply.status_code}"
    return reply


def consent(browser: requests.Session, page: requests.Response) -> requests.Response:
    """Says yes to a client that asks for it."""
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
    form = {name: unescape(value) for name, value in hidden}
    reply = browser.post(page.url, data={**form, "allow": "Authorize"}, allow_redirects=False, timeout=TIMEOUT)
    assert reply.is_redirect, f"the client was not let in: {reply.status_code}"
    return reply


@cache
def sign_in_elsewhere() -> None:
    """The same person signs in with another browser, at a later second; once in a script."""
    time.sleep(1.1)
    browser = requests.Session()
    submit(browser, browser.get(f"{BASE}/accounts/login/", timeout=TIMEOUT))
    step("the person signs in elsewhere")


def step(text: str) -> None:
    """Says that a step held."""
    print(f"  {text}: ok", flush=True)
