"""requests-oauthlib, unchanged: code with PKCE, userinfo, refresh, automatic refresh, and what oauthlib refuses."""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

import requests
from form_login import BASE, DISCOVERY, SCOPE, TIMEOUT, Client, authorize, clients, step
from oauthlib.oauth2 import InvalidGrantError, MismatchingStateError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

if urlsplit(BASE).hostname in ("localhost", "127.0.0.1", "::1"):
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"


def sign_in(client: Client, metadata: dict) -> tuple[OAuth2Session, str]:
    """A session with its authorization response, not yet exchanged."""
    session = OAuth2Session(client.id, scope=SCOPE.split(), redirect_uri=client.redirect_uri, pkce="S256")
    url, _ = session.authorization_url(metadata["authorization_endpoint"])
    return session, authorize(url, client.redirect_uri)


def exchange(session: OAuth2Session, client: Client, metadata: dict, response: str, in_body: bool) -> dict:
    """Redeems a code; oauthlib raises when the scope of the answer is not the one asked for."""
    return dict(
        session.fetch_token(
            metadata["token_endpoint"],
            authorization_response=response,
            client_secret=client.secret,
            include_client_id=True if in_body else None,
            timeout=TIMEOUT,
        )
    )


def refresh_arguments(client: Client, in_body: bool) -> dict:
    if client.secret is None or not in_body:
        return {"auth": HTTPBasicAuth(client.id, client.secret or "")}
    return {"client_id": client.id, "client_secret": client.secret}


def check_refusals(client: Client, metadata: dict) -> None:
    session, response = sign_in(client, metadata)
    try:
        session.fetch_token(
            metadata["token_endpoint"], authorization_response=response.replace("state=", "state=other")
        )
    except MismatchingStateError:
        step("another state is refused")
    else:
        raise AssertionError("oauthlib took a response of another state")
    token = exchange(session, client, metadata, response, in_body=True)
    try:
        exchange(session, client, metadata, response, in_body=True)
    except InvalidGrantError:
        step("a code is good once")
    else:
        raise AssertionError("a code was exchanged twice")
    first = OAuth2Session(client.id, token=token).get(metadata["userinfo_endpoint"], timeout=TIMEOUT)
    assert first.status_code == 401, first.status_code
    step("its second use ends what the first one gave")


def run(client: Client, metadata: dict, in_body: bool) -> None:
    title = f"{client.label}, {'body' if in_body else 'Basic'}"
    session, response = sign_in(client, metadata)
    token = exchange(session, client, metadata, response, in_body)
    assert token["token_type"] == "Bearer" and token["id_token"] and token["scope"] == SCOPE.split(), token.keys()
    assert token["expires_at"] > time.time()
    step(f"{title}: code exchanged")

    user = session.get(metadata["userinfo_endpoint"], timeout=TIMEOUT)
    user.raise_for_status()
    profile = session.get(f"{BASE}/api/v1/users/profile", timeout=TIMEOUT)
    profile.raise_for_status()
    assert user.json()["sub"] == str(profile.json()["id"]), user.json()
    assert user.json()["email"] == profile.json()["email"]
    step(f"{title}: userinfo and profile agree")

    renewed = dict(session.refresh_token(metadata["token_endpoint"], **refresh_arguments(client, in_body)))
    assert renewed["access_token"] != token["access_token"] and renewed["refresh_token"] != token["refresh_token"]
    assert renewed["id_token"]
    session.get(metadata["userinfo_endpoint"], timeout=TIMEOUT).raise_for_status()
    step(f"{title}: refreshed")
    check_automatic_refresh(client, metadata, renewed, title)


def check_automatic_refresh(client: Client, metadata: dict, token: dict, title: str) -> None:
    """A token that has expired by the client's clock is renewed within the call that needs it."""
    kept: list[dict] = []
    session = OAuth2Session(
        client.id,
        scope=SCOPE.split(),
        token={**token, "expires_at": time.time() - 1},
        auto_refresh_url=metadata["token_endpoint"],
        auto_refresh_kwargs={"client_id": client.id, **({"client_secret": client.secret} if client.secret else {})},
        token_updater=kept.append,
    )
    session.get(metadata["userinfo_endpoint"], timeout=TIMEOUT).raise_for_status()
    assert len(kept) == 1 and kept[0]["access_token"] != token["access_token"]
    step(f"{title}: refreshed by itself")


def main() -> None:
    print(f"requests-oauthlib against {BASE}")
    metadata = requests.get(DISCOVERY, timeout=TIMEOUT).json()
    known = clients()
    check_refusals(known[0], metadata)
    for client in known:
        for in_body in (True, False):
            run(client, metadata, in_body)
    print("requests-oauthlib: ok")


if __name__ == "__main__":
    main()
