"""What the client scripts share: where the demo server is, who signs in, and readings to page through."""

from __future__ import annotations

import base64
import json
import os
import uuid
from datetime import datetime, timedelta, timezone

import requests

BASE = os.environ.get("JHE_URL", "http://localhost:8000").rstrip("/")
PASSWORD = os.environ.get("JHE_DEMO_PASSWORD", "Jhe1234!")
CLIENT_ID = "demo-notebook"
OMH = "https://w3id.org/openmhealth"
HEART_RATE, BLOOD_GLUCOSE, BLOOD_PRESSURE = "omh:heart-rate:2.0", "omh:blood-glucose:4.0", "omh:blood-pressure:4.0"

# Rows of the demonstration data that the scripts name.
ORGANIZATION, STUDY, PATIENT = 20003, 30001, 40001
MANAGER, PATIENT_EMAIL = "manager_mary@example.com", "ll_patient_peter@example.com"


def sign_in(email: str) -> str:
    """An access token by the password grant of the notebook client."""
    reply = requests.post(
        f"{BASE}/o/token/",
        data={
            "grant_type": "password",
            "username": email,
            "password": PASSWORD,
            "client_id": CLIENT_ID,
            "scope": "openid read write",
        },
        timeout=30,
    )
    reply.raise_for_status()
    return reply.json()["access_token"]


def measure(code: str, number: int) -> dict:
    """The body of the Open mHealth document of the `number`th reading of a data type, without its time."""
    if code == HEART_RATE:
        return {"heart_rate": {"value": 55 + number % 60, "unit": "beats/min"}}
    if code == BLOOD_GLUCOSE:
        return {
            "blood_glucose": {"value": 85 + number % 50, "unit": "mg/dL"},
            "temporal_relationship_to_meal": "fasting",
        }
    return {
        "systolic_blood_pressure": {"value": 110 + number % 30, "unit": "mmHg"},
        "diastolic_blood_pressure": {"value": 65 + number % 20, "unit": "mmHg"},
    }


def readings(code: str, count: int) -> list[dict]:
    """`count` readings of the demo patient as FHIR Observations, one minute apart, each with its own identifier."""
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    run = uuid.uuid4()
    namespace, name, version = code.split(":")
    observations = []
    for number in range(count):
        at = (start + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {
            "header": {
                "uuid": str(uuid.uuid4()),
                "schema_id": {"namespace": namespace, "name": name, "version": version},
                "creation_date_time": at,
                "source_creation_date_time": at,
                "modality": "sensed",
            },
            "body": {"effective_time_frame": {"date_time": at}, **measure(code, number)},
        }
        observations.append(
            {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": OMH, "code": code}]},
                "subject": {"reference": f"Patient/{PATIENT}"},
                "device": {"reference": "Device/70001"},
                "identifier": [{"system": "https://example.org/readings", "value": f"{run}-{number}"}],
                "valueAttachment": {
                    "contentType": "application/json",
                    "data": base64.b64encode(json.dumps(document).encode()).decode(),
                },
            }
        )
    return observations


def upload(code: str, count: int) -> None:
    """Uploads `count` readings as the patient, a hundred in a Bundle; every entry must be stored."""
    headers = {"Authorization": f"Bearer {sign_in(PATIENT_EMAIL)}"}
    observations = readings(code, count)
    for start in range(0, count, 100):
        bundle = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [
                {"resource": observation, "request": {"method": "POST", "url": "Observation"}}
                for observation in observations[start : start + 100]
            ],
        }
        reply = requests.post(f"{BASE}/fhir/r5/", json=bundle, headers=headers, timeout=60)
        reply.raise_for_status()
        statuses = {entry["response"]["status"][:3] for entry in reply.json()["entry"]}
        assert statuses == {"201"}, statuses
