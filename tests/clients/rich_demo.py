"""The published guides' exports and client class on the rich demonstration data: a study of twenty patients read whole.

Every number is compared with what the server counts for the same filter, and with what the data are made of.
"""

from __future__ import annotations

import csv
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import requests
from exchange import BASE, BLOOD_GLUCOSE, BLOOD_PRESSURE, CLIENT_ID, HEART_RATE, MANAGER, OMH, PASSWORD
from guide_programs import export_csv, fetch_observations

ORGANIZATION, STUDY_NAME = 20001, "CGM & Wearables Demo"
PATIENTS, GLUCOSE_OF_EACH = 20, 1345


class GuideClient:
    """The client class of the developer guide: the password grant, then lists as the server answers them."""

    def __init__(self, base_url: str, client_id: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.client_id = client_id
        self.access_token: str | None = None
        self.token_expires: datetime | None = None

    def authenticate(self, username: str, password: str) -> str:
        reply = requests.post(
            f"{self.base_url}/o/token/",
            data={
                "grant_type": "password",
                "username": username,
                "password": password,
                "client_id": self.client_id,
                "scope": "read write",
            },
        )
        reply.raise_for_status()
        token = reply.json()
        self.access_token = token["access_token"]
        self.token_expires = datetime.now() + timedelta(seconds=token["expires_in"])
        return self.access_token

    def headers(self) -> dict:
        assert self.access_token and self.token_expires and datetime.now() < self.token_expires
        return {"Authorization": f"Bearer {self.access_token}", "Content-Type": "application/json"}

    def get(self, path: str, params: dict) -> dict:
        reply = requests.get(f"{self.base_url}/api/v1/{path}", headers=self.headers(), params=params)
        reply.raise_for_status()
        return reply.json()

    def get_patients(self, organization_id: int, study_id: int | None = None) -> dict:
        params = {"organization_id": organization_id}
        if study_id:
            params["study_id"] = study_id
        return self.get("patients", params)

    def get_observations(self, organization_id: int, study_id: int, patient_id: int) -> dict:
        return self.get(
            "observations", {"organization_id": organization_id, "study_id": study_id, "patient_id": patient_id}
        )


def to_dataframe(observations: list[dict], data_type: str) -> pd.DataFrame:
    """One data type as a table. Times are parsed as the guide parses them: with no option of pandas."""
    rows = []
    for row in observations:
        if row["codingCode"] != data_type:
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
                "glucose_mg_dl": body["blood_glucose"]["value"],
                "meal_context": body.get("temporal_relationship_to_meal"),
            }
        )
    frame = pd.DataFrame(rows)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    frame["created"] = pd.to_datetime(frame["created"])
    return frame


def stored(client: GuideClient, study: int, patient: int, code: str) -> int:
    """What the server counts of a patient and a data type."""
    reply = requests.get(
        f"{BASE}/fhir/r5/Observation",
        headers=client.headers(),
        params={
            "patient._has:Group:member:_id": study,
            "patient": patient,
            "code": f"{OMH}|{code}",
            "_summary": "count",
        },
    )
    reply.raise_for_status()
    return reply.json()["total"]


def main() -> None:
    client = GuideClient(BASE, CLIENT_ID)
    client.authenticate(MANAGER, PASSWORD)
    studies = client.get("studies", {"organization_id": ORGANIZATION})["results"]
    study = next(row["id"] for row in studies if row["name"] == STUDY_NAME)
    patients = client.get_patients(ORGANIZATION, study)["results"]
    assert len(patients) == PATIENTS, len(patients)
    assert all(patient["nameGiven"] and patient["nameFamily"] for patient in patients)
    first = client.get_observations(ORGANIZATION, study, patients[0]["id"])
    assert first["results"] and first["count"] > len(first["results"])

    codes = (BLOOD_GLUCOSE, BLOOD_PRESSURE, HEART_RATE)
    frames, completeness = [], []
    with tempfile.TemporaryDirectory() as folder:
        for patient in patients:
            observations = fetch_observations(client.access_token, ORGANIZATION, study, patient["id"])
            assert len({row["id"] for row in observations}) == len(observations), "an observation came twice"
            row = {code: sum(each["codingCode"] == code for each in observations) for code in codes}
            assert row == {code: stored(client, study, patient["id"], code) for code in codes}, row
            completeness.append({"patient_id": patient["id"], **row})
            output = Path(folder) / f"{patient['id']}.csv"
            output.write_text(export_csv(observations), newline="")
            with output.open(newline="") as file:
                assert len(list(csv.reader(file))) == row[BLOOD_GLUCOSE] + 1
            frames.append(to_dataframe(observations, BLOOD_GLUCOSE))
        frame = pd.concat(frames, ignore_index=True)
        frame.to_csv(Path(folder) / "study_blood_glucose.csv", index=False)

    assert len(frame) == PATIENTS * GLUCOSE_OF_EACH, len(frame)
    assert frame["patient_id"].nunique() == PATIENTS
    assert frame["timestamp"].notna().all() and frame["created"].notna().all()
    assert frame["glucose_mg_dl"].between(20, 500).all()
    table = pd.DataFrame(completeness)
    missing = table[table[BLOOD_GLUCOSE] == 0]
    assert missing.empty, missing
    print(f"rich demo: ok, {len(frame)} glucose readings of {frame['patient_id'].nunique()} patients")


if __name__ == "__main__":
    main()
