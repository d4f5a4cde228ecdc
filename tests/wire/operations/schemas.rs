//! Open mHealth schemas of the operator's own.

use jhe_testkit::omh::observation;
use jhe_testkit::{MARY, PETER, TestServer};
use serde_json::json;

#[tokio::test]
async fn a_code_of_the_operator_is_validated_by_the_operators_schema() {
    let folder = std::env::temp_dir().join(format!("jhe-schemas-wire-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("local")).unwrap();
    let schema = json!({"type": "object", "required": ["mood"], "properties": {"mood": {"enum": ["good", "bad"]}}});
    std::fs::write(folder.join("local/mood-1.0.json"), schema.to_string()).unwrap();
    let server = TestServer::with(&[("OMH_SCHEMA_DIR", folder.to_str().unwrap())]).await;
    server
        .execute(
            "INSERT INTO core_codeableconcept (id, coding_system, coding_code, text)
                  VALUES (59001, 'https://w3id.org/openmhealth', 'local:mood:1.0', 'Mood');
             INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES (30001, 59001);
             INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time)
                  SELECT id, 59001, true, now() FROM core_studypatient WHERE study_id = 30001 AND patient_id = 40001",
        )
        .await;
    let document = |mood: &str| {
        json!({"header": {"uuid": "0b0a4a0e-7b0f-4b2c-9f6f-0a3b6c1d2e3f", "modality": "self-reported",
                          "schema_id": {"namespace": "local", "name": "mood", "version": "1.0"},
                          "source_creation_date_time": "2026-10-01T08:00:00Z"},
               "body": {"mood": mood}})
        .to_string()
    };
    let upload = async |mood: &str| {
        let body = observation(40001, 70001, "local:mood:1.0", &document(mood));
        server.post("/fhir/r5/Observation").as_user(PETER).json(&body).send().await
    };
    upload("good").await.expect(201);
    upload("purple").await.expect(422);
    let found = "/fhir/r5/Observation?patient=40001&code=https://w3id.org/openmhealth%7Clocal:mood:1.0";
    assert_eq!(server.get(found).as_user(MARY).send().await.expect(200).at("/total"), 1);
    server.stop().await;
    std::fs::remove_dir_all(folder).ok();
}
