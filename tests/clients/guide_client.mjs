// The client class of the developer guide for browsers: exchanges a code with PKCE, lists patients and reads `count`.

import { createHash, randomBytes } from "node:crypto";
import { authorize, base, check, publicClient, scope, step } from "./form_login.mjs";

const [organization, studyName, patients] = [20001, "CGM & Wearables Demo", 20];

class GuideClient {
  #baseUrl;
  #origin;
  #token = null;

  constructor(baseUrl, origin) {
    this.#baseUrl = baseUrl.replace(/\/$/, "");
    this.#origin = origin;
  }

  async authenticate(code, codeVerifier, clientId) {
    const reply = await fetch(`${this.#baseUrl}/o/token/`, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({
        grant_type: "authorization_code",
        code,
        redirect_uri: `${this.#origin}/callback`,
        client_id: clientId,
        code_verifier: codeVerifier,
      }),
    });
    check(reply.ok, "the code was not exchanged", reply.status);
    this.#token = (await reply.json()).access_token;
  }

  async #get(path) {
    const headers = { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" };
    const reply = await fetch(`${this.#baseUrl}/api/v1/${path}`, { headers });
    check(reply.ok, `${path} was not answered`, reply.status);
    return reply.json();
  }

  getPatients(organizationId, studyId) {
    const query = new URLSearchParams({ organization_id: organizationId.toString() });
    if (studyId) query.append("study_id", studyId.toString());
    return this.#get(`patients?${query}`);
  }

  getObservations(organizationId, studyId, patientId) {
    return this.#get(
      `observations?${new URLSearchParams({ organization_id: organizationId, study_id: studyId, patient_id: patientId })}`,
    );
  }

  getStudies(organizationId) {
    return this.#get(`studies?organization_id=${organizationId}`);
  }
}

const { id, redirectUri } = await publicClient();
const verifier = randomBytes(32).toString("base64url");
const query = new URLSearchParams({
  response_type: "code",
  client_id: id,
  redirect_uri: redirectUri,
  scope,
  code_challenge: createHash("sha256").update(verifier).digest("base64url"),
  code_challenge_method: "S256",
});
const back = await authorize(`${base}/o/authorize/?${query}`, redirectUri);
const client = new GuideClient(`${base}/`, redirectUri.replace(/\/callback$/, ""));
await client.authenticate(back.searchParams.get("code"), verifier, id);
step("code exchanged");

const study = (await client.getStudies(organization)).results.find(({ name }) => name === studyName);
const found = await client.getPatients(organization, study.id);
check(found.count === patients && found.results.length === patients, "count and rows of the patients", found.count);
check(found.results.every(({ nameGiven, nameFamily }) => nameGiven && nameFamily), "a patient has no name");
const readings = await client.getObservations(organization, study.id, found.results[0].id);
check(readings.count > readings.results.length && readings.results.length > 0, "count of observations", readings.count);
console.log(`guide client: ok, ${found.count} patients`);
