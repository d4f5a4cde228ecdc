"""Authlib, unchanged: discovery, code with PKCE, strict id tokens, userinfo, refresh, introspection, revocation."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2 import rfc8414, rfc9207
from authlib.oidc import rpinitiated
from authlib.oidc.core import CodeIDToken, UserInfo
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from form_login import BASE, ISSUER, SCOPE, TIMEOUT, Client, authorize, clients, sign_in_elsewhere, step
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

MAX_AGE = 3600


def discover() -> OpenIDProviderMetadata:
    """Both metadata documents, each valid by Authlib's rules, and agreeing."""
    reply = requests.get(get_well_known_url(ISSUER, external=True), timeout=TIMEOUT)
    reply.raise_for_status()
    assert reply.headers["Content-Type"].split(";")[0] == "application/json", reply.headers["Content-Type"]
    metadata = OpenIDProviderMetadata(reply.json())
    metadata.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata, rpinitiated.OpenIDProviderMetadata])
    assert metadata["issuer"] == ISSUER, metadata["issuer"]

    address = rfc8414.get_well_known_url(ISSUER, external=True)
    reply = requests.get(address, timeout=TIMEOUT)
    reply.raise_for_status()
    oauth = rfc8414.AuthorizationServerMetadata(reply.json())
    oauth.validate(metadata_classes=[rfc9207.AuthorizationServerMetadata])
    differing = {key for key in metadata.keys() & oauth.keys() if metadata[key] != oauth[key]}
    assert differing <= {"grant_types_supported"}, differing
    return metadata


def fetch_keys(metadata: OpenIDProviderMetadata) -> KeySet:
    reply = requests.get(metadata["jwks_uri"], timeout=TIMEOUT)
    reply.raise_for_status()
    return KeySet.import_key_set(reply.json())


def verify(
    id_token: str, keys: KeySet, metadata: OpenIDProviderMetadata, client: Client, access_token: str, nonce: str | None
) -> CodeIDToken:
    """The claims of an id token; no leeway, no unknown header parameter, every claim that can be demanded demanded."""
    algorithms = metadata["id_token_signing_alg_values_supported"]
    token = jwt.decode(id_token, keys, registry=JWSRegistry(algorithms=algorithms, strict_check_header=True))
    options = {
        "iss": {"essential": True, "value": metadata["issuer"]},
        "aud": {"essential": True, "value": client.id},
        "sub": {"essential": True},
        "exp": {"essential": True},
        "iat": {"essential": True},
        "auth_time": {"essential": True},
        "at_hash": {"essential": True},
    }
    if nonce is not None:
        options["nonce"] = {"essential": True, "value": nonce}
    params = {"client_id": client.id, "access_token": access_token, "nonce": nonce, "max_age": MAX_AGE}
    claims = CodeIDToken(token.claims, token.header, options, params)
    claims.validate(leeway=0)
    assert isinstance(claims["aud"], str) and "azp" not in claims, claims
    return claims


def expect_oauth_error(error: str, call: Callable[..., object], **named: object) -> None:
    try:
        call(**named)
    except AuthlibBaseError as refusal:
        assert refusal.error == error, (refusal.error, refusal.description)
    else:
        raise AssertionError(f"no {error}")


def session_for(client: Client, metadata: OpenIDProviderMetadata, method: str) -> OAuth2Session:
    return OAuth2Session(
        client.id,
        client.secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        scope=SCOPE,
        redirect_uri=client.redirect_uri,
        code_challenge_method="S256",
        token_endpoint=metadata["token_endpoint"],
        default_timeout=TIMEOUT,
    )


def sign_in(session: OAuth2Session, metadata: OpenIDProviderMetadata) -> tuple[str, dict[str, str]]:
    """The authorization response, and the state, nonce and verifier that belong to it."""
    secrets = {"nonce": generate_token(32), "code_verifier": generate_token(64)}
    url, secrets["state"] = session.create_authorization_url(
        metadata["authorization_endpoint"], max_age=MAX_AGE, **secrets
    )
    response = authorize(url, session.redirect_uri)
    assert parse_qs(urlsplit(response).query)["iss"] == [metadata["issuer"]], "RFC 9207: another issuer answered"
    return response, secrets


def run(client: Client, method: str, metadata: OpenIDProviderMetadata, keys: KeySet) -> None:
    session = session_for(client, metadata, method)
    title = f"{client.label}, {method}"
    response, secrets = sign_in(session, metadata)
    step(f"{title}: authorization response with state and iss")

    expect_oauth_error("mismatching_state", session.fetch_token, authorization_response=response, state="another")
    step(f"{title}: another state is refused")
    expect_oauth_error(
        "invalid_grant",
        session.fetch_token,
        authorization_response=response,
        state=secrets["state"],
        code_verifier=generate_token(64),
    )
    step(f"{title}: another verifier is invalid_grant")

    token = dict(
        session.fetch_token(
            authorization_response=response, state=secrets["state"], code_verifier=secrets["code_verifier"]
        )
    )
    assert token["token_type"] == "Bearer" and token["scope"] == SCOPE, token["scope"]
    claims = verify(token["id_token"], keys, metadata, client, token["access_token"], secrets["nonce"])
    step(f"{title}: code exchanged, id token valid")

    try:
        verify(token["id_token"], keys, metadata, client, token["access_token"], "another")
    except JoseError:
        step(f"{title}: another nonce is refused")
    else:
        raise AssertionError("Authlib took an id token of another nonce")

    user = UserInfo(session.get(metadata["userinfo_endpoint"]).json())
    assert user.sub == claims["sub"] and user.email == claims["email"], user
    step(f"{title}: userinfo is about the same person")

    sign_in_elsewhere()
    renewed = dict(session.refresh_token())
    assert renewed["refresh_token"] != token["refresh_token"] and renewed["scope"] == SCOPE
    again = verify(renewed["id_token"], keys, metadata, client, renewed["access_token"], None)
    for claim in ("iss", "sub", "aud", "auth_time", "email"):
        assert again[claim] == claims[claim], claim
    assert "nonce" not in again and again["iat"] >= claims["iat"]
    step(f"{title}: refresh keeps sub and auth_time")

    if client.secret is not None:
        introspect(session, metadata, client, title)

    reply = session.revoke_token(
        metadata["revocation_endpoint"], token=renewed["refresh_token"], token_type_hint="refresh_token"
    )
    assert reply.status_code == 200, reply.text
    expect_oauth_error("invalid_grant", session.refresh_token)
    refused = session.get(metadata["userinfo_endpoint"])
    assert refused.status_code == 401, refused.status_code
    challenge = refused.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ") and 'error="invalid_token"' in challenge, challenge
    step(f"{title}: revocation ends refresh and access token")


def introspect(session: OAuth2Session, metadata: OpenIDProviderMetadata, client: Client, title: str) -> None:
    state = session.introspect_token(metadata["introspection_endpoint"], token=session.token["access_token"]).json()
    assert state["active"] is True and state["client_id"] == client.id and state["iss"] == ISSUER, state
    step(f"{title}: introspection knows the token")


def main() -> None:
    print(f"Authlib against {BASE}")
    metadata = discover()
    keys = fetch_keys(metadata)
    step("discovery and keys")
    for client in clients():
        methods = ["none"] if client.secret is None else ["client_secret_basic", "client_secret_post"]
        for method in methods:
            run(client, method, metadata, keys)
    print("authlib: ok")


if __name__ == "__main__":
    main()
