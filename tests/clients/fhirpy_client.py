"""fhirpy, unchanged: searches page by page, counts, references, creation, and the errors it tells apart."""

from __future__ import annotations

import json
import warnings
from datetime import date, datetime, timezone

from exchange import (
    BASE,
    HEART_RATE,
    MANAGER,
    OMH,
    ORGANIZATION,
    PATIENT,
    PATIENT_EMAIL,
    STUDY,
    readings,
    sign_in,
    upload,
)
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import (
    AuthorizationError,
    ForbiddenError,
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)
from fhirpy.base.searchset import Raw

UPLOADED = 95
DEVICE, PRACTITIONER = 70001, 80002
KINDS = ("Device", "Group", "Organization", "Patient", "Practitioner")
OF_STUDY = "patient._has:Group:member:_id"


def step(text: str) -> None:
    print(f"  {text}: ok", flush=True)


def connect(token: str | None, **headers: str) -> SyncFHIRClient:
    return SyncFHIRClient(
        f"{BASE}/fhir/r5",
        authorization=f"Bearer {token}" if token else None,
        extra_headers=headers,
        requests_config={"timeout": 30},
    )


def ids(resources: list) -> list[str]:
    return [resource.id for resource in resources]


def issue(error: Exception) -> dict:
    """The first issue of an error, which keeps the OperationOutcome as text or as a resource."""
    outcome = error.resource if isinstance(error, OperationOutcome) else json.loads(str(error))
    assert outcome["resourceType"] == "OperationOutcome", outcome
    return outcome["issue"][0]


def fails(attempt, kind: type[Exception], code: str) -> dict:
    """Calls what must raise exactly `kind`; the issue, which has `code`."""
    try:
        attempt()
    except kind as error:
        assert type(error) is kind, error
        found = issue(error)
        assert found["severity"] == "error" and found["code"] == code, found
        return found
    raise AssertionError(f"no {kind.__name__} ({code})")


def check_observations(client: SyncFHIRClient) -> None:
    of_patient = client.resources("Observation").search(Raw(**{OF_STUDY: STUDY}), patient=PATIENT)
    everything = of_patient.limit(1000).fetch_all()
    assert len(everything) > UPLOADED, len(everything)
    assert of_patient.count() == len(everything)
    for size in (300, 40, 7):
        paged = of_patient.limit(size).fetch_all()
        assert ids(paged) == ids(everything), (size, len(paged), len(everything))
    assert ids(of_patient.fetch_all()) == ids(everything)
    assert ids(of_patient.fetch()) == ids(everything)[:20]
    assert len(set(ids(everything))) == len(everything)
    step(f"{len(everything)} observations of a study and a patient, by pages of 300, 40, 20 and 7")

    by_has = client.resources("Observation").has("Group", "member", _id=STUDY)
    assert by_has.search(subject=client.reference("Patient", PATIENT)).count() == len(everything)
    assert by_has.count() > len(everything)
    heart_rates = of_patient.search(code=f"{OMH}|{HEART_RATE}")
    assert UPLOADED <= heart_rates.count() < len(everything)
    other = of_patient.search(code__not=f"{OMH}|{HEART_RATE}")
    assert heart_rates.count() + other.count() == len(everything)
    day = of_patient.search(date__ge=datetime(2026, 1, 1, tzinfo=timezone.utc), date__lt=date(2026, 1, 2))
    assert day.count() >= UPLOADED
    assert day.search(date__gt=datetime(2026, 1, 1, 0, 59, tzinfo=timezone.utc)).count() < day.count()
    step("_has, code, :not, dates and prefixes")

    oldest = day.sort("date", "_id").limit(30).fetch_all()
    newest = day.sort("-date", "-_id").limit(30).fetch_all()
    times = [resource["effectiveDateTime"] for resource in oldest]
    assert times == sorted(times) and ids(oldest) == ids(newest)[::-1], times
    assert day.sort("-date", "-_id").first().id == newest[0].id
    step("_sort, both ways, over pages")

    one = client.resources("Observation").search(Raw(**{OF_STUDY: STUDY}), _id=everything[0].id).get()
    assert one.serialize() == everything[0].serialize() and one.get_by_path("code.coding.0.system") == OMH
    try:
        of_patient.get()
    except MultipleResourcesFound:
        step("get() of one, and of several")
    else:
        raise AssertionError("fhirpy took one of many for the only one")

    partial = of_patient.elements("status", "code").limit(5).fetch()
    assert len(partial) == 5
    for resource in partial:
        assert set(resource) == {"resourceType", "id", "meta", "status", "code"}, set(resource)
        assert resource.get_by_path("meta.tag.0.code") == "SUBSETTED"
    raw = of_patient.limit(3).fetch_raw()
    assert raw["total"] == len(everything) and [entry["search"]["mode"] for entry in raw["entry"]] == ["match"] * 3
    step("_elements, and the Bundle itself")

    newest_of_each = client.resources("Observation").execute("$lastn", method="get", params={"patient": PATIENT})
    codes = [entry.resource.code.coding[0].code for entry in newest_of_each.entry]
    assert HEART_RATE in codes and len(set(codes)) == len(codes), codes
    step("$lastn")

    again = client.reference("Observation", everything[0].id).to_resource()
    assert again.serialize() == everything[0].serialize()
    assert again["subject"].to_resource()["resourceType"] == "Patient" and again["subject"].id == str(PATIENT)
    assert again["device"].to_resource().id == str(DEVICE)
    assert again.refresh().serialize() == everything[0].serialize()
    step("references of an observation lead to its patient and device")


def check_others(client: SyncFHIRClient) -> None:
    searches = {
        "Patient": [
            {"identifier": "urn:oid:1.2.3.4|E1234"},
            {"family": "Merritt"},
            {"name__contains": "erri"},
            {"birthdate__ge": date(1996, 5, 20), "birthdate__le": "1996-05-20"},
            {"email": PATIENT_EMAIL},
            {"_id": PATIENT},
        ],
        "Group": [
            {"managing_entity": f"Organization/{ORGANIZATION}", "name__contains": "BP & HR"},
            {"_has:Group:member:_id": STUDY},
        ],
        "Device": [{"device_name": "CareX"}, {"_id": DEVICE}],
        "Organization": [{"name__exact": "Lifespan Lab"}, {"partof": "Organization/20002"}],
        "Practitioner": [{"family": "Miller", "given": "ManagerMary"}, {"identifier": "fhir-222"}],
    }
    known = {
        "Patient": PATIENT,
        "Group": STUDY,
        "Device": DEVICE,
        "Organization": ORGANIZATION,
        "Practitioner": PRACTITIONER,
    }
    for kind in KINDS:
        resources = client.resources(kind)
        everyone = resources.fetch_all()
        assert resources.count() == len(everyone) and ids(resources.limit(1).fetch_all()) == ids(everyone)
        assert str(known[kind]) in ids(everyone)
        for parameters in searches[kind]:
            found = resources.search(Raw(**{key: value for key, value in parameters.items() if ":" in key}))
            found = found.search(**{key: value for key, value in parameters.items() if ":" not in key})
            assert ids(found.fetch_all()) == [str(known[kind])], (found, found.fetch_all())
        one = client.reference(kind, known[kind]).to_resource()
        assert one.id == str(known[kind]) and client.get(kind, str(known[kind])) == one.serialize()
        assert one.serialize() in [resource.serialize() for resource in everyone], one
        step(f"{kind}: {len(everyone)}, {len(searches[kind])} searches, read")
    part_of = client.reference("Organization", ORGANIZATION).to_resource()["partOf"].to_resource()
    assert part_of["name"] == "Saturn School of Data Science"
    study = client.get(f"Group/{STUDY}")
    assert client.get(study.managingEntity.reference).name == "Lifespan Lab"
    step("an organization's parent and a study's organization")


def check_creation(token: str) -> None:
    client = connect(token)
    first, second, third = readings(HEART_RATE, 3)
    made = client.resource("Observation", **first)
    made.save()
    assert made.id and made["meta"]["versionId"] and made["valueAttachment"] == first["valueAttachment"]
    assert client.reference("Observation", made.id).to_resource().serialize() == made.serialize()
    assert client.resource("Observation", **second).create().id != made.id
    step("a patient creates, and reads it back")

    found = fails(client.resource("Observation", **first).save, OperationOutcome, "duplicate")
    assert found["expression"] == ["Observation.identifier"], found
    identifier = first["identifier"][0]
    same = connect(token, **{"If-None-Exist": f"identifier={identifier['system']}|{identifier['value']}"})
    assert same.resource("Observation", **first).save().id == made.id
    step("the same identifier: refused, and there already under If-None-Exist")

    answer = client.execute(
        "",
        data={
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [
                {"resource": resource, "request": {"method": "POST", "url": "Observation"}}
                for resource in (third, first, {"resourceType": "Observation"})
            ],
        },
    )
    statuses = [entry.response.status[:3] for entry in answer.entry]
    assert answer.type == "batch-response" and statuses == ["201", "409", "400"], statuses
    assert answer.entry[0].response.location.startswith("Observation/")
    assert answer.entry[1].response.outcome.issue[0].code == "duplicate"
    step("a batch, entry by entry")

    broken = {**readings(HEART_RATE, 1)[0], "status": "nonsense", "note": "text"}
    try:
        client.resource("Observation", **broken).save()
    except OperationOutcome as error:
        paths = [path for found in error.resource["issue"] for path in found["expression"]]
        assert {"Observation.status", "Observation.note"} <= set(paths), error.resource
        step("all that is wrong with a resource, with its paths")
    else:
        raise AssertionError("a broken Observation was stored")

    own = client.resources("Observation")
    assert ids(own.limit(50).fetch_all()) == ids(own.limit(1000).fetch_all())
    assert {resource["subject"].id for resource in own.fetch_all()} == {str(PATIENT)}
    fails(own.search(patient=40002).fetch, ForbiddenError, "forbidden")
    foreign = client.resource("Observation", **{**second, "subject": client.reference("Patient", 40002)})
    fails(foreign.save, ForbiddenError, "forbidden")
    step("a patient's own, and nobody else's")
    fails(made.update, OperationOutcome, "not-supported")
    fails(made.delete, OperationOutcome, "not-supported")
    fails(lambda: client.patch("Observation", made.id, status="amended"), OperationOutcome, "not-supported")
    step("no update, patch or deletion")


def check_errors(client: SyncFHIRClient) -> None:
    fails(client.reference("Patient", 99999).to_resource, ResourceNotFound, "not-found")
    fails(client.reference("Patient", 40005).to_resource, ResourceNotFound, "not-found")
    fails(client.reference("Observation", "no-number").to_resource, ResourceNotFound, "not-found")
    fails(client.resources("Encounter").fetch, ResourceNotFound, "not-supported")
    fails(client.resources("Observation").search(patient=40005).fetch, ForbiddenError, "forbidden")
    fails(client.resources("Observation").search(Raw(**{OF_STUDY: 30003})).count, ForbiddenError, "forbidden")
    fails(client.resources("Observation").fetch, OperationOutcome, "required")
    fails(client.resources("Observation").search(patient=PATIENT, date="yesterday").fetch, OperationOutcome, "value")
    fails(client.resources("Patient").include("Patient", "organization").fetch, OperationOutcome, "not-supported")
    fails(client.resource("Patient", name=[{"family": "New"}]).create, OperationOutcome, "not-supported")
    fails(connect("expired").resources("Patient").fetch, AuthorizationError, "login")
    fails(connect(None).resources("Patient").fetch, AuthorizationError, "login")
    strict = connect(sign_in(MANAGER), Prefer="handling=strict")
    fails(strict.resources("Patient").search(shoe_size=43).fetch, OperationOutcome, "not-supported")
    assert client.resources("Patient").search(shoe_size=43).count() == client.resources("Patient").count()
    step("404, 403, 401, 405 and 400 as the errors of fhirpy, each with an OperationOutcome")


def main() -> None:
    print(f"fhirpy against {BASE}")
    warnings.simplefilter("error", DeprecationWarning)
    upload(HEART_RATE, UPLOADED)
    client = connect(sign_in(MANAGER))
    check_observations(client)
    check_others(client)
    check_creation(sign_in(PATIENT_EMAIL))
    check_errors(client)
    print("fhirpy: ok")


if __name__ == "__main__":
    main()
