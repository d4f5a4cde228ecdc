// oauth4webapi, unchanged: each request and each answer of the code flow checked by itself.

import * as oauth from "oauth4webapi";
import { authorize, base, check, clients, issuer, refused, scope, signInElsewhere, step } from "./form_login.mjs";

const options = { [oauth.allowInsecureRequests]: base.startsWith("http:") };
const maxAge = 3600;

async function discover(algorithm) {
  const response = await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm });
  return oauth.processDiscoveryResponse(new URL(issuer), response);
}

function describe(client) {
  return {
    client_id: client.id,
    id_token_signed_response_alg: "RS256",
    require_auth_time: true,
    [oauth.clockTolerance]: 0,
  };
}

async function signIn(as, client) {
  const secrets = {
    verifier: oauth.generateRandomCodeVerifier(),
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
  };
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.id,
    redirect_uri: client.redirectUri,
    response_type: "code",
    scope,
    state: secrets.state,
    nonce: secrets.nonce,
    max_age: String(maxAge),
    code_challenge: await oauth.calculatePKCECodeChallenge(secrets.verifier),
    code_challenge_method: "S256",
  });
  return { response: await authorize(url, client.redirectUri), ...secrets };
}

async function redeem(as, client, authentication, signedIn, { verifier, nonce } = signedIn) {
  const parameters = oauth.validateAuthResponse(as, describe(client), signedIn.response, signedIn.state);
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    describe(client),
    authentication,
    parameters,
    client.redirectUri,
    verifier,
    options,
  );
  check(/\bno-store\b/.test(response.headers.get("cache-control")), "tokens may be cached");
  const tokens = await oauth.processAuthorizationCodeResponse(as, describe(client), response, {
    expectedNonce: nonce,
    maxAge,
    requireIdToken: true,
  });
  await oauth.validateApplicationLevelSignature(as, response, options);
  return tokens;
}

async function userInfo(as, client, accessToken, subject) {
  const response = await oauth.userInfoRequest(as, describe(client), accessToken, options);
  return oauth.processUserInfoResponse(as, describe(client), subject, response);
}

async function refresh(as, client, authentication, refreshToken) {
  const response = await oauth.refreshTokenGrantRequest(as, describe(client), authentication, refreshToken, options);
  const tokens = await oauth.processRefreshTokenResponse(as, describe(client), response);
  await oauth.validateApplicationLevelSignature(as, response, options);
  return tokens;
}

async function introspect(as, client, authentication, token) {
  const request = { ...options, requestJwtResponse: false };
  const response = await oauth.introspectionRequest(as, describe(client), authentication, token, request);
  return oauth.processIntrospectionResponse(as, describe(client), response);
}

async function revoke(as, client, authentication, token) {
  const response = await oauth.revocationRequest(as, describe(client), authentication, token, options);
  return oauth.processRevocationResponse(response);
}

async function checkRefusals(as, client) {
  const first = await signIn(as, client);
  await refused(
    async () => oauth.validateAuthResponse(as, describe(client), first.response, "another"),
    (error) => /unexpected "state"/.test(error.message),
    "another state is refused",
  );
  const elsewhere = new URL(first.response);
  elsewhere.searchParams.delete("iss");
  await refused(
    async () => oauth.validateAuthResponse(as, describe(client), elsewhere, first.state),
    (error) => /"iss" \(issuer\) missing/.test(error.message),
    "a response without iss is refused",
  );
  await refused(
    () => redeem(as, client, oauth.None(), first, { verifier: oauth.generateRandomCodeVerifier(), nonce: first.nonce }),
    (error) => error.error === "invalid_grant" && error.status === 400,
    "another verifier is invalid_grant",
  );
  await refused(
    () => redeem(as, client, oauth.None(), first, { verifier: first.verifier, nonce: "another" }),
    (error) => /unexpected ID Token "nonce"/.test(error.message),
    "another nonce is refused",
  );

  const denied = new URL(as.authorization_endpoint);
  denied.search = new URLSearchParams({
    client_id: client.id,
    redirect_uri: client.redirectUri,
    response_type: "code",
    scope: `${scope} unknown`,
    state: first.state,
    code_challenge: await oauth.calculatePKCECodeChallenge(first.verifier),
    code_challenge_method: "S256",
  });
  const response = await authorize(denied, client.redirectUri);
  await refused(
    async () => oauth.validateAuthResponse(as, describe(client), response, first.state),
    (error) => error instanceof oauth.AuthorizationResponseError && error.error === "invalid_scope",
    "an error comes with state and iss too",
  );
}

async function run(as, client, authentication, title) {
  const signedIn = await signIn(as, client);
  const tokens = await redeem(as, client, authentication, signedIn);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  check(tokens.scope === scope && tokens.expires_in > 0 && tokens.refresh_token, "incomplete answer");
  check(claims.at_hash === (await leftHalf(tokens.access_token)), "at_hash is of another token");
  step(`${title}: code exchanged, id token valid, its signature too`);

  const user = await userInfo(as, client, tokens.access_token, claims.sub);
  check(user.email === claims.email, "userinfo differs", user);
  step(`${title}: userinfo is about the same person`);

  await signInElsewhere();
  const renewed = await refresh(as, client, authentication, tokens.refresh_token);
  const again = oauth.getValidatedIdTokenClaims(renewed);
  for (const claim of ["iss", "sub", "aud", "auth_time", "email"]) {
    check(again[claim] === claims[claim], `${claim} changed`, [claims[claim], again[claim]]);
  }
  check(again.at_hash === (await leftHalf(renewed.access_token)), "at_hash is of another token");
  check(renewed.refresh_token !== tokens.refresh_token && renewed.scope === scope, "not rotated");
  step(`${title}: refresh keeps sub and auth_time`);

  if (client.secret) {
    const state = await introspect(as, client, authentication, renewed.access_token);
    check(state.active && state.client_id === client.id && state.sub === claims.sub, "introspection differs", state);
    const foreign = await introspect(as, client, authentication, "unknown");
    check(foreign.active === false && Object.keys(foreign).length === 1, "an unknown token is described", foreign);
    step(`${title}: introspection knows the token`);
  }

  await revoke(as, client, authentication, renewed.access_token);
  await refused(
    () => userInfo(as, client, renewed.access_token, claims.sub),
    (error) => error instanceof oauth.WWWAuthenticateChallengeError && challengeOf(error) === "invalid_token",
    `${title}: a revoked access token is refused with a challenge`,
  );
  const last = await refresh(as, client, authentication, renewed.refresh_token);
  await revoke(as, client, authentication, last.refresh_token);
  await revoke(as, client, authentication, last.refresh_token);
  await refused(
    () => refresh(as, client, authentication, last.refresh_token),
    (error) => error instanceof oauth.ResponseBodyError && error.error === "invalid_grant",
    `${title}: a revoked refresh token is invalid_grant`,
  );
  await refused(
    () => userInfo(as, client, last.access_token, claims.sub),
    (error) => challengeOf(error) === "invalid_token",
    `${title}: and its access token is refused`,
  );
}

function challengeOf(error) {
  return error.cause.find(({ scheme }) => scheme === "bearer")?.parameters.error;
}

async function leftHalf(token) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return Buffer.from(digest).subarray(0, 16).toString("base64url");
}

async function checkWrongSecret(as, client) {
  for (const [method, make] of Object.entries({
    client_secret_basic: oauth.ClientSecretBasic,
    client_secret_post: oauth.ClientSecretPost,
  })) {
    await refused(
      () => refresh(as, client, make("wrong"), "unknown"),
      (error) =>
        error.status === 401 &&
        (error instanceof oauth.WWWAuthenticateChallengeError
          ? error.cause[0].scheme === "basic" && Boolean(error.cause[0].parameters.realm)
          : error.error === "invalid_client"),
      `confidential client, ${method}: a wrong secret is refused`,
    );
  }
}

console.log(`oauth4webapi against ${base}`);
const as = await discover("oidc");
const metadata = await discover("oauth2");
for (const key of Object.keys(as).filter((key) => key !== "grant_types_supported")) {
  check(JSON.stringify(as[key]) === JSON.stringify(metadata[key]), `the two documents differ in ${key}`);
}
step("discovery by OpenID Connect and by RFC 8414");
for (const client of await clients()) {
  if (!client.secret) {
    await checkRefusals(as, client);
    await run(as, client, oauth.None(), `${client.label}, none`);
  } else {
    await run(as, client, oauth.ClientSecretBasic(client.secret), `${client.label}, client_secret_basic`);
    await run(as, client, oauth.ClientSecretPost(client.secret), `${client.label}, client_secret_post`);
    await checkWrongSecret(as, client);
  }
}
console.log("oauth4webapi: ok");
