// fhir-kit-client, unchanged: what the server says of itself, creation, pages both ways, reads, references, errors.

import { randomUUID } from "node:crypto";
import { CapabilityTool, Client } from "fhir-kit-client";
import { base, check, email as manager, password, refused, step } from "./form_login.mjs";

const patientEmail = "ll_patient_peter@example.com";
const [patient, study, device, organization, practitioner] = ["40001", "30001", "70001", "20003", "80002"];
const ofStudy = "patient._has:Group:member:_id";
const omh = "https://w3id.org/openmhealth";
const uploaded = 65;

/** An access token by the password grant of the notebook client. */
async function signIn(username) {
  const form = { grant_type: "password", username, password, client_id: "demo-notebook", scope: "openid read write" };
  const reply = await fetch(`${base}/o/token/`, { method: "POST", body: new URLSearchParams(form) });
  check(reply.ok, `${username} could not sign in`, reply.status);
  return (await reply.json()).access_token;
}

async function connect(username) {
  return new Client({ baseUrl: `${base}/fhir/r5`, bearerToken: username && (await signIn(username)) });
}

/** The `number`th heart rate of the patient, with an identifier of its own. */
function reading(number) {
  const time = new Date(Date.UTC(2026, 1, 1, 0, number)).toISOString();
  const document = {
    header: {
      uuid: randomUUID(),
      schema_id: { namespace: "omh", name: "heart-rate", version: "2.0" },
      source_creation_date_time: time,
      modality: "sensed",
    },
    body: { effective_time_frame: { date_time: time }, heart_rate: { value: 55 + (number % 60), unit: "beats/min" } },
  };
  return {
    resourceType: "Observation",
    status: "final",
    code: { coding: [{ system: omh, code: "omh:heart-rate:2.0" }] },
    subject: { reference: `Patient/${patient}` },
    device: { reference: `Device/${device}` },
    identifier: [{ system: "https://example.org/readings", value: randomUUID() }],
    valueAttachment: {
      contentType: "application/json",
      data: Buffer.from(JSON.stringify(document)).toString("base64"),
    },
  };
}

const bundle = (type, resources) => ({
  resourceType: "Bundle",
  type,
  entry: resources.map((resource) => ({ resource, request: { method: "POST", url: "Observation" } })),
});
const entryStatuses = (answer) => answer.entry.map((entry) => entry.response.status.slice(0, 3));
const resourcesOf = (page) => (page.entry ?? []).map((entry) => entry.resource);
const idsOf = (page) => resourcesOf(page).map((resource) => resource.id);
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The attempt must be refused with an OperationOutcome of one issue code, at a status. */
function refusedWith(attempt, status, code) {
  const matches = ({ response }) =>
    response?.status === status &&
    response.data.resourceType === "OperationOutcome" &&
    response.data.issue[0].severity === "error" &&
    response.data.issue[0].code === code;
  return refused(attempt, matches, `${status} ${code}`);
}

/** The pages from a first one to the end. */
async function pages(client, first) {
  const found = [first];
  for (let next = first; (next = await client.nextPage({ bundle: next })); ) found.push(next);
  return found;
}

async function checkDiscovery() {
  const client = await connect();
  const statement = await client.capabilityStatement();
  check(statement.resourceType === "CapabilityStatement" && statement.fhirVersion === "5.0.0", "not R5");
  const tool = new CapabilityTool(statement);
  check(tool.serverCan("batch") && tool.serverCan("transaction") && !tool.serverCan("history-system"), "interactions");
  for (const kind of ["Device", "Group", "Observation", "Organization", "Patient", "Practitioner"]) {
    check(tool.resourceCan(kind, "read") && tool.resourceCan(kind, "search-type"), `${kind} is not readable`);
    check(tool.resourceCan(kind, "create") === (kind === "Observation"), `${kind} and create`);
    check(tool.resourceSearch(kind, "_id") && tool.resourceSearch(kind, "_lastUpdated"), `${kind} and _id`);
  }
  check(same(tool.interactionsFor({ resourceType: "Encounter" }), []), "an Encounter is offered");
  check(tool.searchParamsFor({ resourceType: "Observation" }).includes(ofStudy), "no search by study");
  const { response } = Client.httpFor(statement);
  check(response.headers.get("content-type").startsWith("application/fhir+json"), "no FHIR JSON");
  step("CapabilityStatement");

  const endpoints = await client.smartAuthMetadata();
  check(endpoints.authorizeUrl?.href === `${base}/o/authorize/`, "no authorization endpoint", endpoints);
  check(endpoints.tokenUrl?.href === `${base}/o/token/`, "no token endpoint", endpoints);
  const document = await client.request(".well-known/smart-configuration");
  check(document.token_endpoint === `${base}/o/token/`, "another token endpoint", document);
  const found = statement.rest[0].security.extension[0].extension.map((extension) => extension.valueUri);
  check(same(found, [endpoints.authorizeUrl.href, endpoints.tokenUrl.href]), "the two sources differ", found);
  step("SMART endpoints");
}

async function checkCreation(client) {
  const sent = Array.from({ length: uploaded }, (_, number) => reading(number));
  const answer = await client.batch({ body: bundle("batch", [...sent, sent[0], { resourceType: "Observation" }]) });
  const statuses = entryStatuses(answer);
  check(answer.type === "batch-response" && statuses.length === uploaded + 2, "another Bundle", answer.type);
  check(statuses.slice(0, uploaded).every((status) => status === "201"), "not all stored", statuses);
  check(same(statuses.slice(uploaded), ["409", "400"]), "what cannot be stored", statuses);
  check(answer.entry.at(-1).response.outcome.issue[0].severity === "error", "no outcome");
  step(`a batch of ${uploaded}, and what is wrong with two more`);

  const observation = reading(uploaded);
  const made = await client.create({ resourceType: "Observation", body: observation });
  const { response } = Client.httpFor(made);
  check(response.status === 201 && made.id && made.meta.versionId, "not created", made);
  check(response.headers.get("location") === `${base}/fhir/r5/Observation/${made.id}`, "no Location");
  check(response.headers.get("etag") === `W/"${made.meta.versionId}"`, "no ETag");
  check(same(made, await client.read({ resourceType: "Observation", id: made.id })), "what is read differs");
  const { system, value } = observation.identifier[0];
  const options = { headers: { "If-None-Exist": `identifier=${system}|${value}` } };
  const again = await client.create({ resourceType: "Observation", body: observation, options });
  check(Client.httpFor(again).response.status === 200 && again.id === made.id, "made twice", again.id);
  const minimal = await client.create({
    resourceType: "Observation",
    body: reading(uploaded + 1),
    options: { headers: { Prefer: "return=minimal" } },
  });
  check(same(minimal, {}) && Client.httpFor(minimal).response.headers.get("location"), "not minimal", minimal);
  step("create, If-None-Exist, Prefer");
  await refusedWith(() => client.create({ resourceType: "Observation", body: observation }), 409, "duplicate");

  const fresh = [uploaded + 2, uploaded + 3].map(reading);
  const all = await client.transaction({ body: bundle("transaction", fresh) });
  check(all.type === "transaction-response" && same(entryStatuses(all), ["201", "201"]), "not stored", all);
  const more = [reading(uploaded + 4), observation];
  const before = await client.search({ resourceType: "Observation", searchParams: { _summary: "count" } });
  await refusedWith(() => client.transaction({ body: bundle("transaction", more) }), 409, "duplicate");
  const after = await client.search({ resourceType: "Observation", searchParams: { _summary: "count" } });
  check(before.total === after.total, "a failed transaction left something", [before.total, after.total]);
  step("transactions, all or none");
  return made;
}

async function checkSearches(client) {
  const searchParams = { [ofStudy]: study, patient, code: `${omh}|omh:heart-rate:2.0`, _count: 25 };
  const first = await client.search({ resourceType: "Observation", searchParams });
  const all = await pages(client, first);
  const ids = all.flatMap(idsOf);
  check(ids.length >= uploaded && new Set(ids).size === ids.length, "pages overlap", ids.length);
  check(all.every((page) => page.total === ids.length), "the total changes", [first.total, ids.length]);
  check(all.slice(0, -1).every((page) => page.entry.length === 25), "a page is not full");
  step(`${ids.length} observations on ${all.length} pages, to the last`);
  const back = [all.at(-1)];
  for (let page = back[0]; (page = await client.prevPage({ bundle: page })); ) back.unshift(page);
  check(same(back.flatMap(idsOf), ids), "backwards others come", [back.length, all.length]);
  step("and back to the first");

  const numbered = await client.search({ resourceType: "Observation", searchParams: { ...searchParams, _page: 1 } });
  check(same((await pages(client, numbered)).flatMap(idsOf), ids), "others by number");
  const byForm = await client.search({ resourceType: "Observation", searchParams, options: { postSearch: true } });
  check(same((await pages(client, byForm)).flatMap(idsOf), ids), "others by POST");
  step("the same by page number, and by POST to _search");

  const range = { patient, date: ["ge2026-02-01", "lt2026-02-02"], _sort: "-date", _count: 20 };
  const inRange = await client.search({ resourceType: "Observation", searchParams: range });
  const times = (await pages(client, inRange)).flatMap(resourcesOf).map((resource) => resource.effectiveDateTime);
  check(times.length >= uploaded && same(times, times.toSorted().reverse()), "not sorted", times.length);
  step("a repeated parameter, sorted");

  const last = await client.operation({
    name: "lastn",
    resourceType: "Observation",
    method: "GET",
    input: { patient, max: 2, code: `${omh}|omh:heart-rate:2.0` },
  });
  check(last.total === 2 && last.entry.length === 2, "not the last two", last.total);
  step("$lastn");
  return all[0];
}

async function checkOthers(client, page) {
  const known = {
    Device: device,
    Group: study,
    Organization: organization,
    Patient: patient,
    Practitioner: practitioner,
  };
  const queries = {
    Device: { "device-name": "CareX" },
    Group: { "managing-entity": `Organization/${organization}`, "name:contains": "BP & HR" },
    Organization: { "name:exact": "Lifespan Lab" },
    Patient: { identifier: "urn:oid:1.2.3.4|E1234" },
    Practitioner: { family: "Miller" },
  };
  for (const [resourceType, id] of Object.entries(known)) {
    const one = await client.read({ resourceType, id });
    check(one.resourceType === resourceType && one.id === id, `another ${resourceType}`, one);
    const first = await client.search({ resourceType, searchParams: { _count: 1 } });
    const everyone = (await pages(client, first)).flatMap(resourcesOf);
    check(everyone.length === first.total, `not every ${resourceType}`, [everyone.length, first.total]);
    check(everyone.some((resource) => same(resource, one)), `no ${resourceType}/${id}`);
    const found = await client.search({ resourceType, searchParams: queries[resourceType] });
    check(same(idsOf(found), [id]), `${resourceType} by search`, idsOf(found));
    step(`${resourceType}: ${everyone.length} one by one, searched, read`);
  }

  const [{ fullUrl, resource }] = page.entry;
  check(same(await client.resolve({ reference: fullUrl }), resource), "the fullUrl leads elsewhere", fullUrl);
  check((await client.resolve({ reference: resource.subject.reference })).id === patient, "another subject");
  const context = page;
  const within = await client.resolve({ reference: `Observation/${resource.id}`, context });
  check(same(within, resource), "not in its Bundle");
  check((await client.resolve({ reference: resource.device.reference, context })).id === device, "another device");
  step("references: relative, absolute, within a Bundle");
}

async function checkErrors(client, made) {
  const { id } = made;
  const own = { resourceType: "Observation", id };
  const search = (resourceType, searchParams) => client.search({ resourceType, searchParams });
  await refusedWith(() => client.read({ resourceType: "Patient", id: "99999" }), 404, "not-found");
  await refusedWith(() => client.read({ resourceType: "Encounter", id: "1" }), 404, "not-supported");
  await refusedWith(() => client.vread({ ...own, version: "1" }), 404, "not-supported");
  await refusedWith(() => client.history(own), 404, "not-supported");
  await refusedWith(() => search("Observation", { patient: 40005 }), 403, "forbidden");
  await refusedWith(() => search("Observation"), 400, "required");
  await refusedWith(() => search("Patient", { birthdate: "soon" }), 400, "value");
  await refusedWith(() => search(undefined, { _type: "Patient" }), 405, "not-supported");
  const compartment = { resourceType: "Patient", id: patient };
  await refusedWith(() => client.search({ resourceType: "Observation", compartment }), 404, "not-supported");
  await refusedWith(() => client.update({ ...own, body: made }), 405, "not-supported");
  await refusedWith(() => client.delete(own), 405, "not-supported");
  const jsonPatch = [{ op: "replace", path: "/status", value: "amended" }];
  await refusedWith(() => client.patch({ ...own, jsonPatch }), 405, "not-supported");
  const body = { resourceType: "Patient" };
  await refusedWith(() => client.create({ resourceType: "Patient", body }), 405, "not-supported");
  const headers = { Accept: "application/fhir+xml" };
  await refusedWith(() => client.read({ ...own, options: { headers } }), 406, "not-supported");
  client.bearerToken = "expired";
  await refusedWith(() => client.read(own), 401, "login");
}

console.log(`fhir-kit-client against ${base}`);
await checkDiscovery();
const made = await checkCreation(await connect(patientEmail));
const client = await connect(manager);
const page = await checkSearches(client);
await checkOthers(client, page);
await checkErrors(client, made);
console.log("fhir-kit-client: ok");
