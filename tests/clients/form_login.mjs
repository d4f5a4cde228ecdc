// What the OAuth client scripts share: the server, its clients, and a person who signs in with the HTML form.

export const base = (process.env.JHE_URL ?? "http://localhost:8000").replace(/\/+$/, "");
export const issuer = `${base}/o`;
export const scope = "openid email read write";
export const email = "manager_mary@example.com";
export const password = process.env.JHE_DEMO_PASSWORD ?? "Jhe1234!";

export function check(holds, text, seen) {
  if (!holds) throw new Error(seen === undefined ? text : `${text}: ${JSON.stringify(seen)}`);
}

export function step(text) {
  console.log(`  ${text}: ok`);
}

/** Fails unless `attempt` rejects with an error that `matches`. */
export async function refused(attempt, matches, text) {
  try {
    await attempt();
  } catch (error) {
    if (matches(error)) return step(text);
    throw error;
  }
  throw new Error(`not so: ${text}`);
}

/** The console's client, named in the settings that the server hands to browsers. */
export async function publicClient() {
  const settings = await (await fetch(`${base}/common/server-settings.js`)).text();
  const id = settings.match(/client_id: "([^"]+)"/)?.[1];
  check(id, "the server names no client for the console");
  return { id, redirectUri: `${base}/auth/callback`, label: "public client" };
}

/** The client of INTEROP_CLIENT_ID and INTEROP_CLIENT_SECRET, registered for http://127.0.0.1/callback. */
export function confidentialClient() {
  const { INTEROP_CLIENT_ID: id, INTEROP_CLIENT_SECRET: secret } = process.env;
  if (!secret) return undefined;
  // The port is free to choose on a loopback address (RFC 8252, section 7.3).
  return { id, secret, redirectUri: "http://127.0.0.1:49152/callback", label: "confidential client" };
}

/** The clients to run a script for; says so when there is no confidential one. */
export async function clients() {
  const confidential = confidentialClient();
  if (!confidential) console.log("  skipped: confidential client (INTEROP_CLIENT_SECRET is not set)");
  return [await publicClient(), ...(confidential ? [confidential] : [])];
}

/** A browser session: cookies, and redirects followed by hand. */
class Browser {
  #cookies = new Map();

  async request(url, options = {}) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { ...options.headers, ...(cookie && { cookie }) };
    const reply = await fetch(url, { ...options, headers, redirect: "manual" });
    for (const line of reply.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      this.#cookies.set(name, value);
    }
    return reply;
  }

  /** Posts the login form of a page to the page's own address, which must lead on. */
  async submit(page) {
    const token = (await page.text()).match(/name="csrfmiddlewaretoken" value="([^"]+)"/)?.[1];
    check(page.status === 200 && token, `no login form at ${page.url}`, page.status);
    const reply = await this.request(page.url, {
      method: "POST",
      body: new URLSearchParams({ csrfmiddlewaretoken: token, username: email, password }),
    });
    check(reply.status === 302, `${email} could not sign in`, reply.status);
    return reply;
  }
}

// One sign-in serves a whole script: the server lets an address try thirty a minute.
export const browser = new Browser();

/** Goes to the server, signs in where it asks for that; the address, a URL, that it sends the browser back to. */
export async function authorize(authorizationUrl, redirectUri) {
  let reply = await browser.request(authorizationUrl);
  for (let turn = 0; turn < 6; turn += 1) {
    if (reply.status === 302) {
      const target = new URL(reply.headers.get("location"), reply.url);
      if (target.origin + target.pathname === redirectUri) return target;
      reply = await browser.request(target);
    } else {
      reply = await browser.submit(reply);
    }
  }
  throw new Error(`the sign-in did not lead to ${redirectUri} but to ${reply.url}`);
}

let elsewhere;

/** The same person signs in with another browser, at a later second; once in a script. */
export function signInElsewhere() {
  elsewhere ??= (async () => {
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const other = new Browser();
    await other.submit(await other.request(`${base}/accounts/login/`));
    step("the person signs in elsewhere");
  })();
  return elsewhere;
}
