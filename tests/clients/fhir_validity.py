"""Asks a demo server for every kind of resource and Bundle, in every form and as every kind of person, and has
fhir.resources check each body against R5. What that library does not look at is checked here: the codes of its tables,
the targets of references, empty and null values in JSON, the invariants of Bundles.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import form_login
import requests
from exchange import (
    BASE,
    BLOOD_GLUCOSE,
    BLOOD_PRESSURE,
    HEART_RATE,
    MANAGER,
    OMH,
    ORGANIZATION,
    PATIENT,
    PATIENT_EMAIL,
    STUDY,
    readings,
    sign_in,
)
from fhir.resources import get_fhir_model_class
from pydantic import BaseModel, ValidationError

ADMINISTRATOR = "admin@example.com"
ROOT = f"{BASE}/fhir/r5"
FHIR_JSON = "application/fhir+json"
SUBSETTED = "SUBSETTED"
MOST_PAGES = 6
ELEMENTS = {
    "Observation": "status code subject effective issued device identifier value",
    "Patient": "identifier name birthDate telecom",
    "Group": "active type membership code name description managingEntity quantity",
    "Device": "name displayName type",
    "Organization": "name type partOf",
    "Practitioner": "identifier name",
}
WHOLE = (
    "",
    "_summary=false",
    "_count=0",
    "_count=1",
    "_count=1&_page=1",
    "_count=1&_page=last",
    "_count=1&_offset=1",
    "_total=none",
    "_sort=-_lastUpdated&_count=2",
    "_source=https://jupyterhealth.org/fhir/fhir-source/1",
    "_source=https://jupyterhealth.org/jhe",
    "_id=999999",
    "_lastUpdated=gt2000",
    "shoe-size=43",
    f"_format={quote(FHIR_JSON)}&_pretty=true",
)
PARTIAL = (
    "_summary=true",
    "_summary=text",
    "_summary=data",
    "_elements=id",
    "_elements=nothing",
    "_summary=true&_count=1",
)
# fhir.resources leaves a code out that R5 deprecates and still has.
MORE_CODES = {"Bundle.entry.search.mode": ("outcome",)}
# Codes of required bindings that it names no values for.
ISSUE_TYPES = frozenset(
    "invalid structure required value invariant security login unknown expired forbidden suppressed processing "
    "not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly "
    "business-rule conflict limited-filter transient lock-error no-store exception timeout incomplete throttled "
    "informational success".split()
)
LINK_RELATIONS = frozenset(("self", "first", "previous", "prev", "next", "last"))


def empty_values(value: object, path: str) -> Iterator[str]:
    """Objects and arrays are never empty in FHIR's JSON, texts neither, and there is no null outside of arrays."""
    if value is None or value == "" or value == {}:
        yield f"{path}: {json.dumps(value)}"
    elif isinstance(value, dict):
        for name, member in value.items():
            # Programs of sites index `entry` of a search without looking, so an empty one is kept on purpose.
            if not (member == [] and (path, name) == ("Bundle", "entry") and value.get("type") == "searchset"):
                yield from empty_values(member, f"{path}.{name}")
    elif isinstance(value, list):
        if not value:
            yield f"{path}: []"
        for index, item in enumerate(value):
            yield from empty_values(item, f"{path}[{index}]")


def bindings(model: BaseModel, path: str) -> Iterator[str]:
    """Codes and reference targets, by the tables that fhir.resources carries and does not apply."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        if value is None or not isinstance(extra, dict):
            continue
        here = f"{path}.{field.alias or name}"
        codes = extra.get("enum_values")
        # A title that ends in a plus sign names some of the codes.
        if codes and not (field.title or "").rstrip().endswith(("+", "etc", "...")):
            known = (*codes, *MORE_CODES.get(here, ()))
            found = value if isinstance(value, list) else [value]
            yield from (f"{here}: {code!r} is none of {known}" for code in found if code not in known)
        targets = extra.get("enum_reference_types")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, BaseModel):
                reference = getattr(item, "reference", None)
                if targets and reference and "Resource" not in targets and reference.split("/")[-2] not in targets:
                    yield f"{here}: {reference} is none of {targets}"
                yield from bindings(item, here)


def issue_codes(outcome: dict) -> Iterator[str]:
    for index, issue in enumerate(outcome.get("issue", [])):
        if issue.get("code") not in ISSUE_TYPES:
            yield f"OperationOutcome.issue[{index}].code: {issue.get('code')!r}"


def bundle_rules(bundle: dict) -> Iterator[str]:
    """The invariants of R5 that concern the types a server answers with, by their keys."""
    kind, entries, links = bundle.get("type"), bundle.get("entry", []), bundle.get("link", [])
    is_search = kind == "searchset"
    if kind not in ("searchset", "batch-response", "transaction-response"):
        yield f"Bundle.type: {kind!r}"
    if "total" in bundle and not is_search:
        yield "bdl-1: a total, and no search"
    if is_search and not any(link["relation"] == "self" and link["url"] for link in links):
        yield "bdl-18: no self link"
    relations = [link["relation"] for link in links]
    if len(set(relations)) != len(relations) or not LINK_RELATIONS.issuperset(relations):
        yield f"Bundle.link: {relations}"
    urls = [entry["fullUrl"] for entry in entries if "fullUrl" in entry]
    if len(set(urls)) != len(urls):
        yield "bdl-7: a fullUrl twice"
    for index, entry in enumerate(entries):
        here, resource = f"entry[{index}]", entry.get("resource")
        if not resource and "request" not in entry and "response" not in entry:
            yield f"bdl-5: {here} has neither resource nor response"
        if "search" in entry and not is_search:
            yield f"bdl-2: {here}.search, and no search"
        if "request" in entry or ("response" in entry) == is_search:
            yield f"bdl-3, bdl-4: {here} has {sorted(entry)} in a {kind}"
        if is_search and not entry.get("fullUrl"):
            yield f"bdl-15: the entry of {(resource or {}).get('resourceType')} has no fullUrl"
        if "/_history/" in entry.get("fullUrl", ""):
            yield f"bdl-8: {here}.fullUrl"
        if is_search and (entry.get("search", {}).get("mode") == "outcome") != (
            (resource or {}).get("resourceType") == "OperationOutcome"
        ):
            yield f"{here}.search.mode: {entry.get('search')}"
        if resource and entry.get("fullUrl", "").startswith("http"):
            if not entry["fullUrl"].endswith(f"/{resource['resourceType']}/{resource.get('id')}"):
                yield f"{here}.fullUrl: {entry['fullUrl']} of {resource['resourceType']}/{resource.get('id')}"


def resources_within(resource: dict) -> Iterator[dict]:
    for entry in resource.get("entry", []) if resource["resourceType"] == "Bundle" else []:
        if "resource" in entry:
            yield entry["resource"]
        if "outcome" in entry.get("response", {}):
            yield entry["response"]["outcome"]


class Session:
    """One person's requests, and what all of them found."""

    requests = 0
    lost = 0
    validated: Counter[str] = Counter()
    problems: Counter[str] = Counter()

    def __init__(self, person: str, token: str | None) -> None:
        self.person = person
        self.http = requests.Session()
        if token:
            self.http.headers["Authorization"] = f"Bearer {token}"

    def ask(self, path: str, expected: int = 200, method: str = "GET", **arguments) -> dict | None:
        """The body of an answer, which must have the status and be valid."""
        headers = {"Accept": FHIR_JSON, **arguments.pop("headers", {})}
        url = path if path.startswith("http") else f"{ROOT}/{path}"
        reply = self.send(method, url, headers=headers, timeout=60, **arguments)
        where = f"{method} {url.removeprefix(ROOT)} as {self.person}"
        if arguments.get("json") is not None:
            where += f", {headers.get('Prefer', 'no Prefer')}"
        if reply.status_code != expected:
            self.fault(where, f"{reply.status_code} instead of {expected}: {reply.text[:300]}")
        if not reply.content:
            return None
        # Who refuses all JSON is told so in plain JSON.
        if expected != 406 and not reply.headers.get("Content-Type", "").startswith(FHIR_JSON):
            self.fault(where, f"Content-Type: {reply.headers.get('Content-Type')}")
        try:
            body = reply.json()
        except ValueError:
            self.fault(where, f"no JSON: {reply.text[:100]}")
            return None
        if expected >= 400 and body.get("resourceType") != "OperationOutcome":
            self.fault(where, f"no OperationOutcome: {str(body)[:300]}")
        for problem in self.examine(body):
            self.fault(where, problem)
        return body

    def send(self, *question: str, **arguments) -> requests.Response:
        """The answer; asks once more where the server closed a connection that it did not say it would close."""
        Session.requests += 1
        try:
            return self.http.request(*question, **arguments)
        except requests.ConnectionError:
            Session.lost += 1
            return self.http.request(*question, **arguments)

    def fault(self, where: str, problem: str) -> None:
        problem = problem[:600]
        Session.problems[problem] += 1
        if Session.problems[problem] == 1:
            print(f"  {where}\n    {problem}", flush=True)

    def examine(self, resource: dict) -> Iterator[str]:
        """What is wrong with a resource; those within it are looked at on their own too."""
        kind = resource.get("resourceType")
        try:
            model = get_fhir_model_class(kind).model_validate(resource)
        except ValidationError as error:
            for found in error.errors():
                yield f"{kind}.{'.'.join(map(str, found['loc']))}: {found['msg']}"
        else:
            yield from bindings(model, kind)
        yield from empty_values(resource, kind)
        if kind == "Bundle":
            yield from bundle_rules(resource)
        if kind == "OperationOutcome":
            yield from issue_codes(resource)
        Session.validated[f"{kind}, partial" if is_partial(resource) else kind] += 1
        for inner in resources_within(resource):
            yield from self.examine(inner)

    def search(self, kind: str, query: str, partial: bool, **arguments) -> list[dict]:
        """The first pages of a search, each also by the link back to it; what matched, all partial or all whole."""
        found, path = [], f"{kind}?{query}"
        for _ in range(MOST_PAGES):
            page = self.ask(path, **arguments)
            resources = [entry["resource"] for entry in page["entry"] if entry["search"]["mode"] == "match"]
            for resource in resources:
                if is_partial(resource) != partial:
                    self.fault(path, f"{kind}: partial is {not partial}")
            found += resources
            links = {link["relation"]: link["url"] for link in page["link"]}
            if "previous" in links:
                self.ask(links["previous"])
            if "next" not in links:
                break
            path, arguments = links["next"], {}
        return found


def is_partial(resource: dict) -> bool:
    return any(tag.get("code") == SUBSETTED for tag in resource.get("meta", {}).get("tag", []))


def mandatory(kind: str) -> set[str]:
    """The elements that R5 wants in every resource of a type."""
    fields = get_fhir_model_class(kind).model_fields.values()
    is_named = {field.alias: (field.json_schema_extra or {}).get("element_required") for field in fields}
    return {field.alias for field in fields if field.is_required() or is_named[field.alias]}


def check_searches(session: Session, kind: str, scope: str) -> None:
    def query(form: str) -> str:
        return "&".join(filter(None, (scope, form)))

    whole = {resource["id"]: resource for resource in session.search(kind, query(""), partial=False)}
    for form in WHOLE:
        session.search(kind, query(form), partial=False)
    for form in PARTIAL:
        session.search(kind, query(form), partial=True)
    always = {"resourceType", "id", "meta"} | mandatory(kind)
    for element in ELEMENTS[kind].split():
        for resource in session.search(kind, query(f"_elements={element}"), partial=True):
            others = {name for name in resource.keys() - always if not name.startswith(element)}
            if others:
                session.fault(f"{kind}?_elements={element}", f"{kind}: {sorted(others)} was not asked for")
    session.ask(f"{kind}?{query('_summary=count')}")
    session.ask(f"{kind}?{query('shoe-size=43')}", headers={"Prefer": "return=OperationOutcome"})
    session.ask(f"{kind}?{query('_summary=count')}", headers={"Prefer": "return=OperationOutcome"})
    session.ask(f"{kind}/_search", method="POST", data=dict(parse_qs(query("_count=2"))))
    for number, resource in list(whole.items())[:40]:
        if session.ask(f"{kind}/{number}") != resource:
            session.fault(f"{kind}/{number}", f"{kind}: read and found differ")
        session.ask(f"{kind}/{number}", 304, headers={"If-None-Match": f'W/"{resource["meta"]["versionId"]}"'})


def check_last(session: Session, scope: str) -> None:
    for form in ("", "max=2", "max=100", "_count=1", "_summary=count", f"code={OMH}|{HEART_RATE}"):
        session.search("Observation/$lastn", f"{scope}&{form}", partial=False)
    for form in ("_summary=true", "_elements=status&max=3"):
        session.search("Observation/$lastn", f"{scope}&{form}", partial=True)


def bundle(kind: str, resources: list[dict], **request: str) -> dict:
    entries = [
        {"resource": resource, "request": {"method": "POST", "url": "Observation", **request}} for resource in resources
    ]
    return {"resourceType": "Bundle", "type": kind, **({"entry": entries} if entries else {})}


def with_document(observation: dict, change) -> dict:
    """An observation with another document."""
    document = json.loads(base64.b64decode(observation["valueAttachment"]["data"]))
    change(document)
    data = base64.b64encode(json.dumps(document).encode()).decode()
    return {**observation, "valueAttachment": {"contentType": "application/json", "data": data}}


def odd_readings() -> list[dict]:
    """Readings of every status, over a span of time, and with other identifiers than usual."""
    statuses = "registered preliminary final amended corrected appended cancelled entered-in-error unknown".split()
    observations = readings(HEART_RATE, len(statuses) + 5)
    for observation, status in zip(observations, statuses):
        observation["status"] = status
    span = {"start_date_time": "2026-04-14T22:00:00Z", "end_date_time": "2026-04-15T06:00:00.123456Z"}
    observations[-1] = with_document(
        observations[-1], lambda document: document["body"].update(effective_time_frame={"time_interval": span})
    )
    duration = {"start_date_time": "2026-04-14T22:00:00+02:00", "duration": {"value": 5, "unit": "min"}}
    observations[-2] = with_document(
        observations[-2], lambda document: document["body"].update(effective_time_frame={"time_interval": duration})
    )
    del observations[-3]["identifier"]
    observations[-4]["identifier"] = [{"value": f"ü {secrets.token_hex(4)}"}]
    observations[-5]["identifier"] = [{"system": f"urn:{part}", "value": secrets.token_hex(4)} for part in "ab"]
    return observations


def broken_readings() -> list[dict]:
    """What must be refused, from one fault to many."""
    good = readings(HEART_RATE, 1)[0]
    return [
        {"resourceType": "Observation"},
        {**good, "status": "nonsense", "note": "text", "shoeSize": 43, "method": [], "issued": "yesterday"},
        {**good, "subject": {"reference": "Patient/40005"}},
        {**good, "subject": {"reference": "Group/1"}},
        {**good, "device": {"reference": "Device/999999"}},
        {**good, "code": {"coding": [{"system": OMH, "code": "omh:nothing:1.0"}]}},
        readings(BLOOD_GLUCOSE, 1)[0],
        {**good, "valueAttachment": {"contentType": "application/json", "data": "bm8ganNvbg=="}},
        with_document(good, lambda document: document.update(body={"heart_rate": {"value": "many"}})),
        with_document(good, lambda document: document.update(header={})),
        {"resourceType": "Patient"},
        {"resourceType": "Bogus"},
    ]


def check_writes(session: Session) -> None:
    for prefer in (None, "return=representation", "return=minimal", "return=OperationOutcome"):
        headers = {"Prefer": prefer} if prefer else {}
        post = {"method": "POST", "headers": headers}
        fresh = readings(HEART_RATE, 1)[0]
        session.ask("Observation", 201, json=fresh, **post)
        identifier = "identifier={system}|{value}".format(**fresh["identifier"][0])
        session.ask("Observation", json=fresh, method="POST", headers={**headers, "If-None-Exist": identifier})
        for kind in ("batch", "transaction"):
            session.ask("", json=bundle(kind, readings(BLOOD_PRESSURE, 2)), **post)
            session.ask("", json=bundle(kind, [fresh], ifNoneExist=identifier), **post)
            session.ask("", json=bundle(kind, []), **post)
        session.ask("", json=bundle("batch", [*readings(HEART_RATE, 2), fresh, *broken_readings()]), **post)
        session.ask("", 400, json=bundle("transaction", [*readings(HEART_RATE, 1), *broken_readings()]), **post)
        session.ask("", 409, json=bundle("transaction", [*readings(HEART_RATE, 1), fresh, fresh]), **post)
    stored = session.ask("", method="POST", json=bundle("batch", odd_readings()))
    refused = [entry["response"] for entry in stored["entry"] if entry["response"]["status"][:3] != "201"]
    if refused:
        session.fault("POST / as " + session.person, f"odd readings: {refused}")


def check_refusals(session: Session, observation: str) -> None:
    for path, status in {
        "Group/999999": 404,
        "Patient/none": 404,
        "Observation/none": 404,
        "Encounter": 404,
        "Encounter/1": 404,
        f"Observation/{observation}/_history": 404,
        "Patient/$everything": 404,
        "Patient?birthdate=soon": 400,
        "Patient?_cursor=forged": 400,
        "Patient?_page=999": 404,
        "Patient?_include=Patient:organization": 400,
        "Patient?family:sounds-like=x": 400,
        "Observation?patient=999999": 403,
        "Group?patient=999999": 403,
        "": 405,
    }.items():
        session.ask(path, status)
    for method in ("PUT", "PATCH", "DELETE"):
        session.ask("Patient", 405, method=method, json={"resourceType": "Patient"})
        for path in (f"Observation/{observation}", "Patient/40001"):
            session.ask(path, 405, method=method, json={"resourceType": path.split("/")[0]})
    for kind in ("Patient", "Group", "Device", "Organization", "Practitioner"):
        session.ask(kind, 405, method="POST", json={"resourceType": kind})
    for index, broken in enumerate(broken_readings()):
        status = (400, 400, 403, 400, 400, 400, 403, 400, 422, 422, 400, 400)[index]
        session.ask("Observation", status, method="POST", json=broken)
    for content, status in {
        b"{": 400,
        b"[]": 400,
        b"{}": 400,
        b'{"resourceType": "Bundle", "type": "collection"}': 400,
        b'{"resourceType": "Bundle", "type": "batch", "entry": [], "total": "x", "link": {}}': 400,
        json.dumps(bundle("batch", [{}] * 5001)).encode(): 413,
        b" " * 20_971_521: 413,
    }.items():
        session.ask("", status, method="POST", data=content, headers={"Content-Type": FHIR_JSON})
    session.ask("Observation", 415, method="POST", data=b"<a/>", headers={"Content-Type": "application/fhir+xml"})
    encoded = {"Content-Type": FHIR_JSON, "Content-Encoding": "compress"}
    session.ask("Observation", 415, method="POST", data=b"{}", headers=encoded)
    session.ask("Patient", 406, headers={"Accept": "application/fhir+xml"})
    session.ask("Patient?shoe-size=43", 400, headers={"Prefer": "handling=strict"})


def administrator_token() -> str:
    """A superuser signs in with the form only, so by a code with PKCE."""
    client = form_login.public_client()
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    question = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": client.redirect_uri,
        "scope": "openid read write",
        "state": secrets.token_urlsafe(16),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    back = form_login.authorize(f"{BASE}/o/authorize/?{urlencode(question)}", client.redirect_uri, ADMINISTRATOR)
    answer = {
        "grant_type": "authorization_code",
        "code": parse_qs(urlsplit(back).query)["code"][0],
        "client_id": client.id,
        "redirect_uri": client.redirect_uri,
        "code_verifier": verifier,
    }
    reply = requests.post(f"{BASE}/o/token/", data=answer, timeout=30)
    reply.raise_for_status()
    return reply.json()["access_token"]


def make_odd_rows(token: str) -> None:
    """Organizations of every type, and rows with as little in them as is allowed or with unusual texts."""
    bearer = {"Authorization": f"Bearer {token}"}

    def make(path: str, **body: object) -> dict:
        reply = requests.post(f"{BASE}/api/v1/{path}", json=body, headers=bearer, timeout=30)
        assert reply.status_code == 201, (path, body, reply.status_code, reply.text)
        return reply.json()

    types = "prov dept team govt ins pay edu reli crs cg bus other laboratory imaging pharmacy".split()
    for kind in (*types, "health-information-network", "health-data-aggregator"):
        make("organizations", name=f"Ω {kind} \"&\" <b>", type=kind, partOf=20001)
    make("studies", name="Bare", description="-", organization=ORGANIZATION)
    for number, kind in enumerate(("personal_device", "patient_app", "medical_device")):
        make("data_sources", name=f"Odd Ünit {number}", type=kind)
    name = {"nameFamily": "O'Ñame \\ \"", "nameGiven": "Ḡ"}
    email = f"odd.{secrets.token_hex(4)}@example.com"
    make("patients", organizationId=ORGANIZATION, birthDate="1900-02-28", telecomEmail=email, **name)


def main() -> int:
    print(f"R5 validity of {ROOT}")
    administrator = administrator_token()
    make_odd_rows(administrator)
    persons = {"manager": sign_in(MANAGER), "patient": sign_in(PATIENT_EMAIL), "administrator": administrator}
    for person, token in persons.items():
        session = Session(person, token)
        before = Session.requests
        check_writes(session)
        scopes = [""] if person == "patient" else [f"patient={PATIENT}", f"patient._has:Group:member:_id={STUDY}"]
        for scope in scopes:
            check_searches(session, "Observation", scope)
            check_last(session, scope or f"patient={PATIENT}")
        for kind in ELEMENTS:
            if kind != "Observation":
                check_searches(session, kind, "")
        if person != "patient":
            session.ask("Observation", 400)
        check_refusals(session, "60003")
        print(f"as {person}: {Session.requests - before} requests", flush=True)
    for token in (None, "expired"):
        session = Session("nobody", token)
        for path in ("Patient", "Patient/40001", "Observation/$lastn", "Encounter"):
            session.ask(path, 401)
        session.ask("", 401, method="POST", json=bundle("batch", []))
        for base in ("/fhir/r5", "/FHIR/R5", "/fhir"):
            session.ask(f"{BASE}{base}/metadata")
    for kind, count in sorted(Session.validated.items()):
        print(f"  {kind}: {count}")
    if Session.lost:
        print(f"  (connections closed without notice: {Session.lost})")
    total, faults = Session.validated.total(), len(Session.problems)
    print(f"{Session.requests} requests, {total} resources, {faults} kinds of faults")
    return 1 if Session.problems else 0


if __name__ == "__main__":
    sys.exit(main())
