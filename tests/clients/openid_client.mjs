// openid-client, unchanged: discovery, code with PKCE, signed id tokens, userinfo, refresh, introspection, revocation.

import * as oidc from "openid-client";
import { authorize, base, check, clients, issuer, refused, scope, signInElsewhere, step } from "./form_login.mjs";

const maxAge = 3600;

function configure(client, authentication) {
  const settings = {
    id_token_signed_response_alg: "RS256",
    require_auth_time: true,
    [oidc.clockTolerance]: 0,
  };
  const execute = [oidc.enableNonRepudiationChecks];
  if (base.startsWith("http:")) execute.push(oidc.allowInsecureRequests);
  return oidc.discovery(new URL(issuer), client.id, settings, authentication, { execute });
}

async function signIn(config, client) {
  const secrets = {
    pkceCodeVerifier: oidc.randomPKCECodeVerifier(),
    expectedState: oidc.randomState(),
    expectedNonce: oidc.randomNonce(),
  };
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: client.redirectUri,
    scope,
    state: secrets.expectedState,
    nonce: secrets.expectedNonce,
    max_age: String(maxAge),
    code_challenge: await oidc.calculatePKCECodeChallenge(secrets.pkceCodeVerifier),
    code_challenge_method: "S256",
  });
  return { response: await authorize(url, client.redirectUri), checks: { ...secrets, maxAge, idTokenExpected: true } };
}

async function checkRefusals(config, client) {
  const first = await signIn(config, client);
  await refused(
    () => oidc.authorizationCodeGrant(config, first.response, { ...first.checks, expectedState: "another" }),
    (error) => /unexpected "state"/.test(error.cause?.message ?? error.message),
    "another state is refused",
  );
  const elsewhere = new URL(first.response);
  elsewhere.searchParams.set("iss", "https://attacker.example");
  await refused(
    () => oidc.authorizationCodeGrant(config, elsewhere, first.checks),
    (error) => /"iss"/.test(error.cause?.message ?? error.message),
    "another issuer is refused",
  );
  await refused(
    () => oidc.authorizationCodeGrant(config, first.response, { ...first.checks, expectedNonce: "another" }),
    (error) => /"nonce"/.test(error.cause?.message ?? error.message),
    "another nonce is refused",
  );
  const second = await signIn(config, client);
  await refused(
    () =>
      oidc.authorizationCodeGrant(config, second.response, {
        ...second.checks,
        pkceCodeVerifier: oidc.randomPKCECodeVerifier(),
      }),
    (error) => error.error === "invalid_grant" && error.status === 400,
    "another verifier is invalid_grant",
  );
}

async function run(config, client, title) {
  const { response, checks } = await signIn(config, client);
  const tokens = await oidc.authorizationCodeGrant(config, response, checks);
  const claims = tokens.claims();
  check(tokens.scope === scope && tokens.expires_in > 0 && tokens.refresh_token, "incomplete answer");
  check(claims.at_hash, "no at_hash");
  step(`${title}: code exchanged, id token valid`);

  const user = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
  check(user.email === claims.email && user.email_verified === claims.email_verified, "userinfo differs", user);
  step(`${title}: userinfo is about the same person`);

  await signInElsewhere();
  const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  const again = renewed.claims();
  for (const claim of ["iss", "sub", "aud", "auth_time", "email"]) {
    check(again[claim] === claims[claim], `${claim} changed`, [claims[claim], again[claim]]);
  }
  check(renewed.refresh_token !== tokens.refresh_token && renewed.scope === scope, "not rotated");
  step(`${title}: refresh keeps sub and auth_time`);

  if (client.secret) {
    const state = await oidc.tokenIntrospection(config, renewed.access_token);
    check(state.active && state.client_id === client.id && state.sub === claims.sub, "introspection differs", state);
    const replaced = await oidc.tokenIntrospection(config, tokens.access_token);
    check(replaced.active === false && Object.keys(replaced).length === 1, "an old token is active", replaced);
    step(`${title}: introspection knows the new token and not the old one`);
  }

  await oidc.tokenRevocation(config, renewed.refresh_token, { token_type_hint: "refresh_token" });
  await refused(
    () => oidc.refreshTokenGrant(config, renewed.refresh_token),
    (error) => error.error === "invalid_grant",
    `${title}: a revoked refresh token is invalid_grant`,
  );
  await refused(
    () => oidc.fetchUserInfo(config, renewed.access_token, claims.sub),
    (error) => error.status === 401 && error.cause[0].parameters.error === "invalid_token",
    `${title}: its access token is refused with a challenge`,
  );
}

console.log(`openid-client against ${base}`);
for (const client of await clients()) {
  const methods = client.secret
    ? {
        client_secret_basic: oidc.ClientSecretBasic(client.secret),
        client_secret_post: oidc.ClientSecretPost(client.secret),
      }
    : { none: oidc.None() };
  for (const [method, authentication] of Object.entries(methods)) {
    const config = await configure(client, authentication);
    check(config.serverMetadata().supportsPKCE("S256"), "PKCE is not advertised");
    if (method === "none") await checkRefusals(config, client);
    await run(config, client, `${client.label}, ${method}`);
  }
}
console.log("openid-client: ok");
