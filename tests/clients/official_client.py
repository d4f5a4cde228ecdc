"""Runs the official Python client, unchanged, through everything it offers against a demo server."""

from __future__ import annotations

import warnings

from exchange import BASE, HEART_RATE, MANAGER, OMH, ORGANIZATION, PATIENT, PATIENT_EMAIL, STUDY, sign_in, upload
from jupyterhealth_client import Code, JupyterHealthClient
from jupyterhealth_client._client import RequestError

UPLOADED = 250


def main() -> None:
    upload(HEART_RATE, UPLOADED)
    client = JupyterHealthClient(BASE, token=sign_in(MANAGER))

    user = client.get_user()
    assert user["email"] == MANAGER and user["patient"] is None, user
    lists = (client.list_organizations, client.list_data_sources, client.list_studies, client.list_patients)
    assert [len(list(rows())) for rows in lists] == [9, 6, 2, 2], "the demonstration data changed"
    assert list(client.list_studies(organization_id=999999)) == []
    for missing in (client.get_organization, client.get_patient):
        try:
            missing(999999)
        except RequestError as error:
            assert error.requests_error.response.status_code == 404, error
            assert missing != client.get_patient or "No Patient matches" in str(error), error
        else:
            raise AssertionError("something was shown that is not there")
    assert client.lookup_patient(external_id="E1234")["id"] == PATIENT
    for unknown in ({"email": "nobody@nowhere.example"}, {"external_id": "E1234", "system": "urn:other"}):
        try:
            client.lookup_patient(**unknown)
        except KeyError:
            continue
        raise AssertionError(f"found by {unknown}")

    organizations = {row["id"]: row for row in client.list_organizations()}
    assert {0, ORGANIZATION} <= organizations.keys(), organizations.keys()
    assert client.get_organization(ORGANIZATION)["partOf"] == organizations[ORGANIZATION]["partOf"]

    studies = {row["id"] for row in client.list_studies()}
    assert STUDY in studies, studies
    assert {row["organization"]["id"] for row in client.list_studies(organization_id=ORGANIZATION)} == {ORGANIZATION}
    assert client.get_study(STUDY)["id"] == STUDY

    patients = {row["id"] for row in client.list_patients()}
    of_study = {row["id"] for row in client.list_patients(ORGANIZATION, STUDY)}
    assert PATIENT in of_study and of_study <= patients, (of_study, patients)
    patient = client.get_patient(PATIENT)
    assert patient["telecomEmail"] == PATIENT_EMAIL
    identifier = patient["identifiers"][0]
    found = client.lookup_patient(external_id=identifier["value"], system=identifier["system"])
    assert found is not None and found["id"] == PATIENT
    found = client.lookup_patient(email=PATIENT_EMAIL)
    assert found is not None and found["id"] == PATIENT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert client.get_patient_by_external_id(identifier["value"])["id"] == PATIENT

    consents = client.get_patient_consents(PATIENT)
    agreed = {
        consent["code"]["codingCode"]
        for study in consents["studies"]
        if study["id"] == STUDY
        for consent in study["scopeConsents"]
        if consent["consented"]
    }
    assert Code.HEART_RATE.value in agreed, agreed

    sources = {row["id"]: row for row in client.list_data_sources()}
    assert sources[70001]["supportedScopes"], sources[70001]

    assert {"Observation", "Patient"} <= set(client.list_fhir_resource_types())
    assert client.get_fhir_capability_statement()["resourceType"] == "CapabilityStatement"

    # A thousand a page when nothing is said, then pages of forty by the `next` links.
    heart_rates = list(client.list_observations(patient_id=PATIENT, study_id=STUDY, code=Code.HEART_RATE))
    assert len(heart_rates) >= UPLOADED, len(heart_rates)
    paged = list(
        client.list_fhir(
            "Observation",
            patient_id=PATIENT,
            study_id=STUDY,
            params={"code": f"{OMH}|{Code.HEART_RATE.value}", "_count": 40},
        )
    )
    assert [row["id"] for row in paged] == [row["id"] for row in heart_rates]
    assert len({row["id"] for row in paged}) == len(paged), "an observation came twice"
    assert len(list(client.list_observations(study_id=STUDY, limit=30))) == 30
    one = client.get_fhir("Observation", heart_rates[0]["id"])
    assert one["valueAttachment"] == heart_rates[0]["valueAttachment"]

    frame = client.list_observations_df(patient_id=PATIENT, study_id=STUDY, code=Code.HEART_RATE)
    assert len(frame) == len(heart_rates)
    assert str(frame["effective_time_frame_date_time"].dtype).startswith("datetime64")
    assert frame["heart_rate_value"].between(20, 250).all()
    assert set(frame["subject_reference"]) == {f"Patient/{PATIENT}"}

    try:
        client.get_patient(40005)
    except RequestError as error:
        assert error.requests_error.response.status_code in (403, 404), error
    else:
        raise AssertionError("another organization's patient was shown")
    print(f"official client: ok, {len(heart_rates)} heart rates in {len(frame.columns)} columns")


if __name__ == "__main__":
    main()
