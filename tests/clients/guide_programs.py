"""The programs of the published guides, call for call: the paging loops, the exports, the monitor, the checks.

They need a patient with glucose, pressure and heart rate in one study, so the script first does what a site does:
makes the study, requests the data types, enrolls the patient; the patient consents and uploads.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from datetime import datetime, timedelta, timezone

import pandas as pd
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
    sign_in,
    upload,
)

UPLOADED = 130
CODES = (BLOOD_GLUCOSE, BLOOD_PRESSURE, HEART_RATE)


def bearer(token: str) -> dict:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def call(method: str, path: str, token: str, **arguments) -> dict:
    reply = requests.request(method, f"{BASE}{path}", headers=bearer(token), timeout=30, **arguments)
    reply.raise_for_status()
    return reply.json()


def set_up_study(manager: str) -> int:
    """A new study of the three data types with the patient enrolled, consented and uploading; its id."""
    study = call(
        "POST",
        "/api/v1/studies",
        manager,
        json={"name": "Guide programs", "description": "Three data types", "organization": ORGANIZATION},
    )["id"]
    sources = call("GET", "/api/v1/data_sources", manager)["results"]
    scopes = {scope["codingCode"]: scope["id"] for source in sources for scope in source["supportedScopes"]}
    for code in CODES:
        call("POST", f"/api/v1/studies/{study}/scope_requests", manager, json={"scopeCodeId": scopes[code]})
    call("POST", f"/api/v1/studies/{study}/patients", manager, json={"patientIds": [PATIENT]})
    consents = [{"codingSystem": OMH, "codingCode": code, "consented": True} for code in CODES]
    call(
        "POST",
        f"/api/v1/patients/{PATIENT}/consents",
        sign_in(PATIENT_EMAIL),
        json={"studyScopeConsents": [{"studyId": study, "scopeConsents": consents}]},
    )
    for code in (BLOOD_GLUCOSE, BLOOD_PRESSURE):
        upload(code, UPLOADED)
    return study


def fetch_observations(token: str, organization: int, study: int, patient: int) -> list[dict]:
    """All observations of a patient in a study, by `limit` and the `next` links of the Admin API."""
    found: list[dict] = []
    url: str | None = f"{BASE}/api/v1/observations"
    params: dict | None = {"organization_id": organization, "study_id": study, "patient_id": patient, "limit": 100}
    while url:
        reply = requests.get(url, headers=bearer(token), params=params, timeout=30)
        reply.raise_for_status()
        page = reply.json()
        found.extend(page["results"])
        assert page["count"] >= len(found), (page["count"], len(found))
        url, params = page.get("next"), None
    assert page["count"] == len(found), (page["count"], len(found))
    return found


def fetch_fhir_observations(token: str, study: int, patient: int) -> list[dict]:
    """The same by FHIR, following the Bundle's `next` links, on the base that the guide names."""
    entries: list[dict] = []
    url: str | None = f"{BASE}/fhir/Observation"
    params: dict | None = {"patient._has:Group:member:_id": study, "patient": patient}
    while url:
        reply = requests.get(url, headers=bearer(token), params=params, timeout=30)
        reply.raise_for_status()
        bundle = reply.json()
        entries.extend(bundle.get("entry", []))
        url = next((link["url"] for link in bundle.get("link", []) if link.get("relation") == "next"), None)
        params = None
    assert bundle["total"] == len(entries), (bundle["total"], len(entries))
    return [entry["resource"] for entry in entries]


def export_csv(observations: list[dict]) -> str:
    """Blood glucose as CSV text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        ["Observation ID", "Patient Name", "Date/Time", "Glucose (mg/dL)", "Meal Context", "Data Source", "Created"]
    )
    for row in observations:
        if row["codingCode"] != BLOOD_GLUCOSE:
            continue
        body = row["valueAttachmentData"]["body"]
        writer.writerow(
            [
                row["id"],
                row["patientNameDisplay"],
                body["effective_time_frame"]["date_time"],
                body["blood_glucose"]["value"],
                body.get("temporal_relationship_to_meal", "N/A"),
                row["dataSourceName"],
                row["created"],
            ]
        )
    return out.getvalue()


def to_dataframe(observations: list[dict], code: str) -> pd.DataFrame:
    """One data type as a table with parsed times."""
    columns = {
        BLOOD_GLUCOSE: {"glucose_mg_dl": "blood_glucose"},
        BLOOD_PRESSURE: {"systolic_mmhg": "systolic_blood_pressure", "diastolic_mmhg": "diastolic_blood_pressure"},
    }[code]
    rows = []
    for row in observations:
        if row["codingCode"] != code:
            continue
        body = row["valueAttachmentData"]["body"]
        rows.append(
            {
                "observation_id": row["id"],
                "patient_id": row["subjectPatient"],
                "patient_name": row["patientNameDisplay"],
                "timestamp": body["effective_time_frame"]["date_time"],
                "data_source": row["dataSourceName"],
                "created": row["created"],
                **{column: body[key]["value"] for column, key in columns.items()},
            }
        )
    frame = pd.DataFrame(rows)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], format="ISO8601", utc=True)
    frame["created"] = pd.to_datetime(frame["created"])
    return frame


def outliers(frame: pd.DataFrame, column: str, deviations: float = 3) -> pd.DataFrame:
    """The rows more than `deviations` standard deviations from the mean."""
    distance = (frame[column] - frame[column].mean()).abs()
    return frame[distance > deviations * frame[column].std()]


def decode(observation: dict) -> dict:
    """The Open mHealth document inside a FHIR Observation."""
    return json.loads(base64.b64decode(observation["valueAttachment"]["data"]).decode("utf-8"))


class TokenManager:
    """The access token, renewed by the password grant a minute before it ends."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.expires_at = 0.0

    def get(self) -> str:
        if self.token is None or time.time() >= self.expires_at:
            self.token = sign_in(MANAGER)
            self.expires_at = time.time() + 36000 - 60
        return self.token


def fetch_with_retry(manager: TokenManager, url: str, params: dict, tries: int = 3) -> dict:
    """One page, renewing the token when the server answers 401."""
    for _ in range(tries):
        reply = requests.get(url, headers=bearer(manager.get()), params=params, timeout=30)
        if reply.status_code == 401:
            manager.token = None
            continue
        reply.raise_for_status()
        return reply.json()
    raise AssertionError(f"no answer after {tries} tries")


def main() -> None:
    manager = TokenManager()
    token = manager.get()
    started = datetime.now(timezone.utc) - timedelta(seconds=5)
    study = set_up_study(token)

    patients = call("GET", f"/api/v1/patients?organization_id={ORGANIZATION}&study_id={study}", token)["results"]
    assert [row["id"] for row in patients] == [PATIENT]
    assert patients[0]["nameGiven"] and patients[0]["nameFamily"]

    observations = fetch_observations(token, ORGANIZATION, study, PATIENT)
    by_fhir = fetch_fhir_observations(token, study, PATIENT)
    assert {str(row["id"]) for row in observations} == {row["id"] for row in by_fhir}
    documents = {row["id"]: decode(row) for row in by_fhir}
    assert all(row["valueAttachmentData"] == documents[str(row["id"])] for row in observations)

    glucose, pressure = to_dataframe(observations, BLOOD_GLUCOSE), to_dataframe(observations, BLOOD_PRESSURE)
    assert len(glucose) >= UPLOADED and len(pressure) >= UPLOADED
    assert len(export_csv(observations).splitlines()) == len(glucose) + 1
    assert glucose["glucose_mg_dl"].between(85, 135).all()
    assert len(outliers(glucose, "glucose_mg_dl")) == 0

    completeness = {code: sum(row["codingCode"] == code for row in observations) for code in CODES}
    assert all(completeness.values()), completeness
    fresh = [
        row for row in observations if datetime.fromisoformat(row["created"].replace("Z", "+00:00")) > started
    ]
    assert len(fresh) >= 2 * UPLOADED, len(fresh)

    manager.token = "expired"
    manager.expires_at = time.time() + 60
    page = fetch_with_retry(
        manager, f"{BASE}/api/v1/observations", {"organization_id": ORGANIZATION, "study_id": study, "limit": 1}
    )
    assert len(page["results"]) == 1 and page["next"]
    print(f"guide programs: ok, {len(observations)} observations of study {study}")


if __name__ == "__main__":
    main()
