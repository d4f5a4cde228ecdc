// oidc-client-ts at the version of the web console, unchanged: sign-in, userinfo, silent renewal, revocation, sign-out.

import { InMemoryWebStorage, OidcClient, User, UserManager, WebStorageStateStore } from "oidc-client-ts";
import { authorize, base, browser, check, publicClient, refused, scope, signInElsewhere, step } from "./form_login.mjs";

const store = () => new WebStorageStateStore({ store: new InMemoryWebStorage() });

/** The console's settings, and userinfo beside. */
function settingsFor(client) {
  return {
    authority: `${base}/o/`,
    client_id: client.id,
    redirect_uri: client.redirectUri,
    response_mode: "query",
    response_type: "code",
    scope,
    loadUserInfo: true,
    validateSubOnSilentRenew: true,
    stateStore: store(),
    userStore: store(),
    automaticSilentRenew: false,
  };
}

function claimsOf(idToken) {
  return JSON.parse(Buffer.from(idToken.split(".")[1], "base64url").toString());
}

async function signIn(client, oidc, request = {}) {
  const { url } = await oidc.createSigninRequest({ state: { page: "/patients" }, ...request });
  check(/[?&]code_challenge_method=S256(&|$)/.test(url), "no PKCE");
  return (await authorize(url, client.redirectUri)).href;
}

function sameClaims(before, after) {
  for (const claim of ["iss", "sub", "aud", "auth_time", "email"]) {
    check(before[claim] !== undefined && after[claim] === before[claim], `${claim} changed`, [
      before[claim],
      after[claim],
    ]);
  }
  check(before.azp === undefined && after.azp === undefined, "azp appeared");
}

console.log(`oidc-client-ts against ${base}`);
const client = await publicClient();
const settings = settingsFor(client);
const oidc = new OidcClient(settings);

const nonce = crypto.randomUUID();
const address = await signIn(client, oidc, { nonce });
const response = await oidc.processSigninResponse(address);
const claims = claimsOf(response.id_token);
check(claims.nonce === nonce && claims.iss === `${base}/o` && claims.aud === client.id, "wrong id token", claims);
check(response.userState.page === "/patients" && response.expires_in > 0 && response.scope === scope, "wrong answer");
step("code exchanged");
check(
  response.profile.sub === claims.sub && response.profile.email_verified !== undefined,
  "no userinfo",
  response.profile,
);
step("userinfo loaded, of the same person");
await refused(
  () => oidc.processSigninResponse(address),
  (error) => /No matching state/.test(error.message),
  "a response counts once",
);

const profile = await fetch(`${base}/api/v1/users/profile`, {
  headers: { authorization: `Bearer ${response.access_token}` },
});
check(parseInt(claims.sub) === (await profile.json()).id, "sub is not the id of the profile");
step("sub is the profile's id");

await signInElsewhere();
const renewed = await oidc.useRefreshToken({ state: response, timeoutInSeconds: 10 });
sameClaims(claims, claimsOf(renewed.id_token));
check(
  renewed.refresh_token !== response.refresh_token && renewed.access_token !== response.access_token,
  "not rotated",
);
step("refresh keeps sub and auth_time");

const manager = new UserManager(settings);
await manager.storeUser(new User(renewed));
const user = await manager.signinSilent();
sameClaims(claims, claimsOf(user.id_token));
check(!user.expired && user.profile.email === claims.email, "wrong user");
step("silent renewal of a stored user");

const silent = await oidc.processSigninResponse(await signIn(client, oidc, { prompt: "none" }));
sameClaims(claims, claimsOf(silent.id_token));
step("prompt=none within the session");

await manager.revokeTokens();
await manager.removeUser();
await refused(
  () => oidc.useRefreshToken({ state: user }),
  (error) => error.error === "invalid_grant",
  "revoked tokens are invalid_grant",
);

const { url } = await oidc.createSignoutRequest({ id_token_hint: silent.id_token });
const signedOut = await browser.request(url);
check(signedOut.status < 400, "sign-out failed", signedOut.status);
const after = await signIn(client, oidc, { prompt: "none" });
await refused(
  () => oidc.processSigninResponse(after),
  (error) => error.error === "login_required",
  "prompt=none after sign-out is login_required",
);
console.log("oidc-client-ts: ok");
