//! Reference and demo data (data model §8): fixed ids, the same rows every time; seeding again changes nothing.

mod rich;

use chrono::{DateTime, NaiveDate, Utc};
use jhe_authz::{Grant, action, resource};
use jhe_domain::error::Error;
use serde_json::Value;

use crate::fault::Db;
use crate::work::Work;

pub use rich::{RichMade, RichPatient, RichStudy};

/// What differs between installations.
#[derive(Debug, Clone)]
pub struct SeedOptions {
    /// Public base URL, without a trailing slash.
    pub site_url: String,
    /// `client_id` of the web console's client, where it is made.
    pub console_client_id: String,
    /// The configuration names it, so an existing row follows.
    pub console_client_id_is_pinned: bool,
    /// Invite code for sign-up; none keeps sign-up closed.
    pub invite_code: Option<String>,
    /// Time zone shown to people.
    pub time_zone: String,
    /// Memberships of every new practitioner.
    pub default_organizations: String,
}

/// What only demo data needs.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Hash of the password all demo accounts share.
    pub password_hash: String,
    /// `client_id` of the three patient clients.
    pub client_ids: [String; 3],
    /// `client_id` of the EHR launch client.
    pub ehr_client_id: String,
    /// Digest of its secret.
    pub ehr_client_secret: String,
    /// Open mHealth documents: (code, document), by observation in id order.
    pub documents: Vec<(String, String)>,
    /// When they were taken.
    pub taken: DateTime<Utc>,
}

type Admin = Grant<resource::Server, action::Administer>;

const OPENMHEALTH: &str = "https://w3id.org/openmhealth";
const CODES: &[(i64, &str, &str, &str)] = &[
    (50001, OPENMHEALTH, "omh:blood-glucose:4.0", "Blood glucose"),
    (50002, OPENMHEALTH, "omh:blood-pressure:4.0", "Blood pressure"),
    (50003, OPENMHEALTH, "omh:body-temperature:4.0", "Body temperature"),
    (50004, OPENMHEALTH, "omh:heart-rate:2.0", "Heart Rate"),
    (50005, OPENMHEALTH, "omh:oxygen-saturation:2.0", "Oxygen saturation"),
    (50006, OPENMHEALTH, "omh:respiratory-rate:2.0", "Respiratory rate"),
    (50007, OPENMHEALTH, "omh:rr-interval:1.0", "RR Interval"),
    (50008, OPENMHEALTH, "omh:body-weight:3.0", "Body weight"),
    (50009, OPENMHEALTH, "omh:forced-vital-capacity:1.0", "Forced vital capacity"),
    (50010, OPENMHEALTH, "omh:forced-expiratory-volume-1-second:1.0", "Forced expiratory volume 1 second"),
    (50011, "http://hl7.org/fhir/resource-types", "QuestionnaireResponse", "FHIR QuestionnaireResponse"),
    (50012, OPENMHEALTH, "omh:physical-activity:1.2", "Physical activity"),
    (50013, OPENMHEALTH, "omh:step-count:3.0", "Step count"),
    (50014, "https://w3id.org/ieee1752", "ieee:sleep-stage-summary:1.0", "Sleep stage summary"),
    (50015, OPENMHEALTH, "omh:sleep-episode:1.1", "Sleep episode"),
    (50016, OPENMHEALTH, "omh:sleep-duration:2.0", "Sleep duration"),
];
const SOURCES: &[(i64, &str, &str, &[i64])] = &[
    (70001, "CareX", "personal_device", &[50002, 50004]),
    (70002, "Dexcom", "personal_device", &[50001]),
    (70003, "iHealth", "personal_device", &[50003, 50004]),
    (70004, "Oura", "personal_device", &[50004]),
    (70005, "Questionnaire", "patient_app", &[50011]),
    (70006, "Patient Access API", "medical_device", &[]),
];
const ORGANIZATIONS: &[(i64, &str, &str, i64)] = &[
    (20001, "Planetary Research Institute", "edu", 0),
    (20002, "Saturn School of Data Science", "team", 20001),
    (20003, "Lifespan Lab", "laboratory", 20002),
    (20004, "Neptune Health System", "prov", 0),
    (20005, "Department of Medicine", "dept", 20004),
    (20006, "Cardiology Division", "dept", 20005),
    (20007, "Neptunian Pulse Lab", "laboratory", 20006),
    (20008, "Cosmic Cardio Lab", "laboratory", 20006),
];

/// A demo account: user id, local part of the address, given name, family name, profile id.
type DemoAccount = (i64, &'static str, &'static str, &'static str, i64);

const PRACTITIONERS: &[DemoAccount] = &[
    (10001, "admin", "", "", 80001),
    (10002, "manager_mary", "ManagerMary", "Miller", 80002),
    (10003, "member_megan", "MemberMegan", "Baker", 80003),
    (10004, "viewer_victor", "ViewerVictor", "Thomas", 80004),
    (10005, "three_org_tom", "ThreeOrgTom", "Edwards", 80005),
    (10008, "manager_mark", "ManagerMark", "Martin", 80006),
];
/// An account, birth date, phone number, organizations.
type DemoPatient = (DemoAccount, (i32, u32, u32), &'static str, &'static [i64]);
const PATIENTS: &[DemoPatient] = &[
    ((10006, "ll_patient_peter", "LlPatientPeter", "Merritt", 40001), (1996, 5, 20), "+1-086-675-0830", &[20003]),
    ((10007, "ll_patient_pamela", "LlPatientPamela", "Benton", 40002), (1993, 11, 18), "+1-415-555-0132", &[20003]),
    ((10009, "npl_patient_percy", "NplPatientPercy", "Johnson", 40003), (1994, 8, 15), "+1-510-555-0143", &[20007]),
    ((10010, "ccl_patient_paul", "CclPatientPaul", "Vega", 40004), (1984, 2, 24), "+1-628-555-0154", &[20008]),
    (
        (10011, "ccl_cardio_patient_pat", "CclCardioPatientPat", "Herrera", 40005),
        (1985, 5, 31),
        "+1-707-555-0165",
        &[20006, 20008],
    ),
];
const MEMBERSHIPS: &[(i64, i64, &str)] = &[
    (80002, 20001, "manager"),
    (80002, 20002, "manager"),
    (80002, 20003, "manager"),
    (80003, 20003, "member"),
    (80004, 20003, "viewer"),
    (80005, 20003, "viewer"),
    (80005, 20007, "member"),
    (80005, 20008, "manager"),
    (80006, 20004, "manager"),
    (80006, 20005, "manager"),
    (80006, 20006, "manager"),
    (80006, 20007, "manager"),
];
/// Remembered selections: practitioner, organization, study.
const REMEMBERED: &[(i64, i64, i64)] = &[
    (80002, 20003, 30001),
    (80003, 20003, 30001),
    (80004, 20003, 30001),
    (80006, 20007, 30004),
    (80005, 20008, 30005),
];

/// A demo study: id, name, description, organization, scopes.
type DemoStudy = (i64, &'static str, &'static str, i64, &'static [i64]);

const STUDIES: &[DemoStudy] = &[
    (30001, "Lifespan Study on BP & HR", "Blood Pressure & Heart Rate", 20003, &[50002, 50004, 50011]),
    (30002, "Lifespan Study on BP", "Blood Pressure", 20003, &[50002, 50011]),
    (30003, "Cardiology Div Study on BGL", "Blood Glucose", 20006, &[50001]),
    (30004, "Nep Pulse Lab Study on BT", "Body Temperature", 20007, &[50003]),
    (30005, "Cosmic Cardio Lab Study on O2", "Oxygen Saturation", 20008, &[50005]),
];
/// Data sources of studies, by the ids of their links from 1.
const STUDY_DATA_SOURCES: &[(i64, i64)] =
    &[(30001, 70001), (30001, 70005), (30002, 70001), (30002, 70005), (30004, 70003), (30003, 70002)];
/// Clients of studies, by the ids of their links from 1.
const STUDY_CLIENTS: &[(i64, i64)] = &[(30001, 1), (30002, 1), (30001, 3), (30004, 2), (30003, 2)];
/// Enrolments: row, study, patient, consented scopes.
const ENROLMENTS: &[(i64, i64, i64, &[i64])] = &[
    (1, 30001, 40001, &[50002, 50004, 50011]),
    (2, 30002, 40001, &[]),
    (3, 30001, 40002, &[50002, 50004, 50011]),
    (4, 30002, 40002, &[50002, 50011]),
    (5, 30004, 40003, &[50003]),
    (6, 30005, 40004, &[50005]),
    (7, 30003, 40005, &[50001]),
    (8, 30005, 40005, &[50005]),
];
/// Observations: id, patient, scope, data source. One for each Open mHealth consent.
const OBSERVATIONS: &[(i64, i64, i64, Option<i64>)] = &[
    (60001, 40002, 50002, Some(70001)),
    (60002, 40002, 50002, Some(70001)),
    (60003, 40001, 50002, Some(70001)),
    (60004, 40002, 50004, Some(70001)),
    (60005, 40001, 50004, Some(70001)),
    (60006, 40005, 50001, Some(70002)),
    (60007, 40003, 50003, Some(70003)),
    (60008, 40005, 50005, None),
    (60009, 40004, 50005, None),
];

/// The codes of the demo observations, in id order: what documents are needed.
pub fn demo_observation_codes() -> Vec<&'static str> {
    OBSERVATIONS
        .iter()
        .map(|(_, _, scope, _)| CODES.iter().find(|(id, ..)| id == scope).map_or("", |(_, _, code, _)| *code))
        .collect()
}

impl Work {
    /// Whether anything but reference data is in the database: an organization besides ROOT.
    pub async fn holds_other_organizations(&mut self, _admin: &Admin) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM core_organization WHERE id <> 0)")
            .fetch_one(self.connection())
            .await
            .db()
    }

    /// Whether the demo data is there.
    pub async fn holds_demo(&mut self, _admin: &Admin) -> Result<bool, Error> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM oauth2_provider_application WHERE id = 7 AND client_id = 'demo-notebook')
                AND EXISTS (SELECT 1 FROM core_jheuser WHERE id = 10002 AND email = 'manager_mary@example.com')",
        )
        .fetch_one(self.connection())
        .await
        .db()
    }

    /// Only one process seeds at a time.
    pub async fn lock_seed(&mut self, _admin: &Admin) -> Result<(), Error> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('jhe.seed'))").execute(self.connection()).await.db()?;
        Ok(())
    }

    async fn insert(&mut self, sql: &'static str, numbers: &[i64], texts: &[&str]) -> Result<(), Error> {
        let mut query = sqlx::query(sql);
        for number in numbers {
            query = query.bind(*number);
        }
        for text in texts {
            query = query.bind(*text);
        }
        query.execute(self.connection()).await.db()?;
        Ok(())
    }

    /// ROOT, data types, data sources, settings and the console's client, once: what is there already stays as it is, and what
    /// an administrator removed later stays away. Whether this was the time.
    pub async fn seed_reference(&mut self, _admin: &Admin, options: &SeedOptions) -> Result<bool, Error> {
        if options.console_client_id_is_pinned {
            let sql = "UPDATE oauth2_provider_application SET client_id = $2 WHERE id = $1 AND name = 'JHE Admin UI' AND client_id <> $2";
            self.insert(sql, &[4], &[&options.console_client_id]).await?;
        }
        let is_first = sqlx::query("INSERT INTO jhe_seed (name) VALUES ('reference') ON CONFLICT DO NOTHING")
            .execute(self.connection())
            .await
            .db()?
            .rows_affected();
        if is_first == 0 {
            return Ok(false);
        }
        self.insert(
            "INSERT INTO core_organization (id, name, type) VALUES (0, 'ROOT', 'root') ON CONFLICT DO NOTHING",
            &[],
            &[],
        )
        .await?;
        for (id, system, code, text) in CODES {
            let sql = "INSERT INTO core_codeableconcept (id, coding_system, coding_code, text) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
            self.insert(sql, &[*id], &[system, code, text]).await?;
        }
        for (id, name, type_code, scopes) in SOURCES {
            let sql = "INSERT INTO core_datasource (id, name, type) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            self.insert(sql, &[*id], &[name, type_code]).await?;
            for scope in *scopes {
                let sql = "INSERT INTO core_datasourcesupportedscope (data_source_id, scope_code_id)
                           SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM core_datasourcesupportedscope WHERE data_source_id = $1 AND scope_code_id = $2)";
                self.insert(sql, &[*id, *scope], &[]).await?;
            }
        }
        self.seed_settings(options).await?;
        let redirect = format!("{}/auth/callback", options.site_url);
        let sql = "INSERT INTO oauth2_provider_application
                       (id, client_id, client_type, authorization_grant_type, grant_types, redirect_uris, name, skip_authorization, refresh_token_seconds)
                   VALUES ($1, $2, 'public', 'authorization-code', '{authorization_code,refresh_token}', $3, 'JHE Admin UI', true, 1209600)
                   ON CONFLICT DO NOTHING";
        self.insert(sql, &[4], &[&options.console_client_id, &redirect]).await?;
        self.restart_sequences().await?;
        Ok(true)
    }

    async fn seed_settings(&mut self, options: &SeedOptions) -> Result<(), Error> {
        let sql = "INSERT INTO core_jhesetting (key, value_type, value_string)
                   SELECT $1, 'string', $2 WHERE NOT EXISTS (SELECT 1 FROM core_jhesetting WHERE key = $1)";
        let texts = [
            ("site.url", options.site_url.as_str()),
            ("site.ui.title", "JupyterHealth Exchange"),
            ("site.time_zone", options.time_zone.as_str()),
            ("site.registration_invite_code", options.invite_code.as_deref().unwrap_or_default()),
            ("auth.default_orgs", options.default_organizations.as_str()),
        ];
        for (key, value) in texts {
            self.insert(sql, &[], &[key, value]).await?;
        }
        let ints = "INSERT INTO core_jhesetting (key, value_type, value_int)
                    SELECT $2, 'int', $1 WHERE NOT EXISTS (SELECT 1 FROM core_jhesetting WHERE key = $2)";
        self.insert(ints, &[0], &["auth.sso.saml2"]).await?;
        self.insert(sql, &[], &["auth.sso.valid_domains", ""]).await?;
        self.insert(ints, &[7], &["auth.patient.invitation_expiration_days"]).await?;
        self.insert(ints, &[12], &["auth.patient.invitation_redemption_window_hours"]).await?;
        let lists = "INSERT INTO core_jhesetting (key, value_type, value_json)
                     SELECT $1, 'json', '[]' WHERE NOT EXISTS (SELECT 1 FROM core_jhesetting WHERE key = $1)";
        self.insert(lists, &[], &["auth.patient_access_clients"]).await?;
        self.insert(lists, &[], &["auth.sof.trusted_issuers"]).await?;
        self.insert(sql, &[], &["auth.sof.trusted_audience", ""]).await?;
        let bools = "INSERT INTO core_jhesetting (key, value_type, value_bool)
                     SELECT $1, 'bool', $2 = 'true' WHERE NOT EXISTS (SELECT 1 FROM core_jhesetting WHERE key = $1)";
        self.insert(bools, &[], &["module.ow", "false"]).await?;
        self.insert(sql, &[], &["ow.sync_in_progress", ""]).await?;
        self.insert(sql, &[], &["ow.api_url", "http://localhost:8001"]).await?;
        self.insert(sql, &[], &["ow.api_key", ""]).await?;
        self.insert(bools, &[], &["consent.allow_reset", "false"]).await?;
        self.insert(bools, &[], &["patient.attach_requires_confirmation", "true"]).await?;
        self.insert(lists, &[], &["api.plain_array_lists"]).await?;
        self.insert(bools, &[], &["fhir.observation_search_requires_scope", "true"]).await
    }

    /// The demo accounts, organizations, studies, consents, observations and clients. The caller checked that the
    /// database holds none and that reference data is there.
    pub async fn seed_demo(&mut self, _admin: &Admin, options: &SeedOptions, demo: &DemoOptions) -> Result<(), Error> {
        for (id, name, type_code, part_of) in ORGANIZATIONS {
            let sql = "INSERT INTO core_organization (id, part_of_id, name, type) VALUES ($1, $2, $3, $4)";
            self.insert(sql, &[*id, *part_of], &[name, type_code]).await?;
        }
        self.seed_accounts(demo).await?;
        self.seed_clients(options, demo).await?;
        self.seed_studies(demo).await?;
        self.seed_records().await?;
        let sql = "UPDATE core_jhesetting SET value_string = $2 WHERE key = $1";
        self.insert(sql, &[], &["site.registration_invite_code", "jhe"]).await?;
        self.insert(sql, &[], &["auth.sof.trusted_audience", "77849e74-8e2a-4c2f-826c-bdbef6da3357"]).await?;
        let issuers = r#"["https://fhir.epic.com/interconnect-fhir-oauth/oauth2"]"#;
        let sql = "UPDATE core_jhesetting SET value_json = $2::json WHERE key = $1";
        self.insert(sql, &[], &["auth.sof.trusted_issuers", issuers]).await?;
        self.restart_sequences().await
    }

    async fn seed_accounts(&mut self, demo: &DemoOptions) -> Result<(), Error> {
        let insert = "INSERT INTO core_jheuser (id, email, password, first_name, last_name, user_type, identifier, is_superuser, is_staff, email_is_verified)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, true)";
        let accounts = PRACTITIONERS
            .iter()
            .map(|account| (account, "practitioner"))
            .chain(PATIENTS.iter().map(|(account, ..)| (account, "patient")));
        for ((id, local, given, family, _), kind) in accounts {
            let admin = given.is_empty();
            let digit = id % 10;
            let identifier = if admin { String::new() } else { format!("fhir-{digit}{digit}{digit}") };
            sqlx::query(insert)
                .bind(id)
                .bind(format!("{local}@example.com"))
                .bind(&demo.password_hash)
                .bind(given)
                .bind(family)
                .bind(kind)
                .bind(identifier)
                .bind(admin)
                .execute(self.connection())
                .await
                .db()?;
        }
        for (user, _, given, family, id) in PRACTITIONERS {
            let sql = "INSERT INTO core_practitioner (id, jhe_user_id, name_given, name_family, identifier)
                       SELECT $1, $2, nullif($3, ''), nullif($4, ''), identifier FROM core_jheuser WHERE id = $2";
            self.insert(sql, &[*id, *user], &[given, family]).await?;
        }
        for ((user, _, given, family, id), (year, month, day), phone, organizations) in PATIENTS {
            sqlx::query(
                "INSERT INTO core_patient (id, jhe_user_id, name_family, name_given, birth_date, telecom_phone) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(id)
            .bind(user)
            .bind(family)
            .bind(given)
            .bind(NaiveDate::from_ymd_opt(*year, *month, *day))
            .bind(phone)
            .execute(self.connection())
            .await
            .db()?;
            for organization in *organizations {
                let sql = "INSERT INTO core_patientorganization (patient_id, organization_id) VALUES ($1, $2)";
                self.insert(sql, &[*id, *organization], &[]).await?;
            }
        }
        for (practitioner, organization, role) in MEMBERSHIPS {
            let sql = "INSERT INTO core_practitionerorganization (practitioner_id, organization_id, role) VALUES ($1, $2, $3)";
            self.insert(sql, &[*practitioner, *organization], &[role]).await?;
        }
        let identifier = "INSERT INTO core_patientidentifier (patient_id, system, value) VALUES ($1, $2, $3)";
        self.insert(identifier, &[40001], &["https://openwearables.io/ns/patient-id", "abc123"]).await?;
        self.insert(identifier, &[40001], &["urn:oid:1.2.3.4", "E1234"]).await?;
        for (practitioner, organization, study) in REMEMBERED {
            let sql = "UPDATE core_practitioner
                          SET settings = jsonb_build_object('current_organization_id', $2::bigint, 'current_study_id', $3::bigint)
                        WHERE id = $1";
            self.insert(sql, &[*practitioner, *organization, *study], &[]).await?;
        }
        Ok(())
    }

    async fn seed_clients(&mut self, options: &SeedOptions, demo: &DemoOptions) -> Result<(), Error> {
        let redirect = format!("{}/auth/callback", options.site_url);
        let patient_access = format!("{}/clients/patient-access/?code=CODE", options.site_url);
        let links = [
            ("CareX", "https://carex.ai/invitation/CODE"),
            ("CommonHealth", "https://commonhealth.tcp.org?invitation=CODE"),
            ("Patient Access", patient_access.as_str()),
        ];
        for ((id, (name, link)), client_id) in (1_i64..).zip(links).zip(&demo.client_ids) {
            let sql = "INSERT INTO oauth2_provider_application
                           (id, client_id, client_type, authorization_grant_type, grant_types, redirect_uris, name, skip_authorization)
                       VALUES ($1, $2, 'public', 'authorization-code', '{authorization_code,refresh_token}', $3, $4, true)";
            self.insert(sql, &[id], &[client_id, &redirect, name]).await?;
            let sql = "INSERT INTO core_jheclient (application_id, invitation_url, aux_data) VALUES ($1, $2, nullif($3, '')::jsonb)";
            let aux = if id == 3 { patient_access_data() } else { String::new() };
            self.insert(sql, &[id], &[link, &aux]).await?;
        }
        let sql = "INSERT INTO oauth2_provider_application
                       (id, client_id, client_secret, client_type, authorization_grant_type, grant_types, name)
                   VALUES ($1, $2, $3, 'confidential', 'client-credentials', '{token-exchange}', 'SoF EHR Launch')";
        self.insert(sql, &[5], &[&demo.ehr_client_id, &demo.ehr_client_secret]).await?;
        let sql = "INSERT INTO oauth2_provider_application
                       (id, client_id, client_type, authorization_grant_type, grant_types, name)
                   VALUES ($1, 'demo-notebook', 'public', 'password', '{password,refresh_token}', 'Demo Notebook')";
        self.insert(sql, &[7], &[]).await?;
        for (client, source) in [(1, 70001), (1, 70005), (2, 70002), (2, 70003)] {
            let sql = "INSERT INTO core_clientdatasource (client_id, data_source_id) VALUES ($1, $2)";
            self.insert(sql, &[client, source], &[]).await?;
        }
        Ok(())
    }

    async fn seed_studies(&mut self, demo: &DemoOptions) -> Result<(), Error> {
        for (id, name, description, organization, scopes) in STUDIES {
            let sql = "INSERT INTO core_study (id, organization_id, name, description) VALUES ($1, $2, $3, $4)";
            self.insert(sql, &[*id, *organization], &[name, description]).await?;
            for scope in *scopes {
                let sql = "INSERT INTO core_studyscoperequest (study_id, scope_code_id) VALUES ($1, $2)";
                self.insert(sql, &[*id, *scope], &[]).await?;
            }
        }
        for (study, source) in STUDY_DATA_SOURCES {
            let sql = "INSERT INTO core_studydatasource (study_id, data_source_id) VALUES ($1, $2)";
            self.insert(sql, &[*study, *source], &[]).await?;
        }
        for (study, client) in STUDY_CLIENTS {
            let sql = "INSERT INTO core_studyclient (study_id, client_id) VALUES ($1, $2)";
            self.insert(sql, &[*study, *client], &[]).await?;
        }
        for (id, study, patient, scopes) in ENROLMENTS {
            let sql = "INSERT INTO core_studypatient (id, study_id, patient_id) VALUES ($1, $2, $3)";
            self.insert(sql, &[*id, *study, *patient], &[]).await?;
            for scope in *scopes {
                sqlx::query(
                    "INSERT INTO core_studypatientscopeconsent (study_patient_id, scope_code_id, consented, consented_time) VALUES ($1, $2, true, $3)",
                )
                .bind(id)
                .bind(scope)
                .bind(demo.taken)
                .execute(self.connection())
                .await
                .db()?;
            }
        }
        for ((id, patient, scope, source), (_, document)) in OBSERVATIONS.iter().zip(&demo.documents) {
            sqlx::query(
                "INSERT INTO core_observation (id, subject_patient_id, codeable_concept_id, data_source_id, status, omh_data, effective_date_time)
                 VALUES ($1, $2, $3, $4, 'final', $5, $6)",
            )
            .bind(id)
            .bind(patient)
            .bind(scope)
            .bind(source)
            .bind(document)
            .bind(demo.taken)
            .execute(self.connection())
            .await
            .db()?;
        }
        Ok(())
    }

    async fn seed_records(&mut self) -> Result<(), Error> {
        let source = "INSERT INTO core_fhirsource (id, patient_id, data_source_id, label, fhir_base_url) VALUES ($1, $2, 70005, $3, $4)";
        self.insert(source, &[90001, 40001], &["Records from Halo Health System", "https://fhir.halo.org/api/FHIR/R4"])
            .await?;
        self.insert(source, &[90002, 40002], &["Chart from Comet Clinic", "https://fhir.comet.org/api/FHIR/R4"])
            .await?;
        for (source, patient, id, authored, scores) in QUESTIONNAIRES {
            let body = questionnaire_response(*source, patient, id, authored, *scores);
            sqlx::query(
                "INSERT INTO core_fhirauxresource (fhir_source_id, resource_type, patient_fhir_id, fhir_resource_id, fhir_data)
                 VALUES ($1, 'QuestionnaireResponse', $2, $3, $4)",
            )
            .bind(source)
            .bind(patient)
            .bind(id)
            .bind(body)
            .execute(self.connection())
            .await
            .db()?;
        }
        for (name, url, npi, locations) in BRANDS {
            let brand: i64 = sqlx::query_scalar(
                "INSERT INTO core_ehrbrand (name, fhir_base_url, npi) VALUES ($1, $2, $3) RETURNING id",
            )
            .bind(name)
            .bind(url)
            .bind(npi)
            .fetch_one(self.connection())
            .await
            .db()?;
            for (place, city, state, postal_code) in *locations {
                let sql = "INSERT INTO core_ehrbrandlocation (brand_id, name, city, state, postal_code) VALUES ($1, $2, $3, $4, $5)";
                self.insert(sql, &[brand], &[place, city, state, postal_code]).await?;
            }
        }
        Ok(())
    }

    /// Moves every sequence past the ids that were put into its table by hand. One that is past them is left alone: other
    /// processes draw from it, and it must not go back over what they have drawn meanwhile.
    async fn restart_sequences(&mut self) -> Result<(), Error> {
        sqlx::raw_sql(
            "DO $$ DECLARE t record; top bigint; drawn bigint; BEGIN
               FOR t IN SELECT c.relname AS tab, s.relname AS seq, q.seqstart AS first
                          FROM pg_class AS s JOIN pg_sequence AS q ON q.seqrelid = s.oid
                          JOIN pg_depend AS d ON d.objid = s.oid AND d.deptype = 'i'
                          JOIN pg_class AS c ON c.oid = d.refobjid
                          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid AND a.attname = 'id'
                         WHERE c.relnamespace = current_schema()::regnamespace
               LOOP
                 -- The ids are looked at first, so that none of them is of a later draw.
                 EXECUTE format('SELECT coalesce(max(id), 0) FROM %I', t.tab) INTO top;
                 SELECT coalesce(last_value, 0) INTO drawn FROM pg_sequences
                  WHERE schemaname = current_schema() AND sequencename = t.seq;
                 IF top > drawn THEN
                     PERFORM setval(t.seq::regclass, greatest(top + 1, t.first), false);
                 END IF;
               END LOOP;
             END $$",
        )
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Moves the site to another address: the setting, and the redirect URIs of the seeded clients.
    pub async fn move_site(&mut self, _admin: &Admin, site_url: &str) -> Result<(), Error> {
        let old: Option<String> = sqlx::query_scalar("SELECT value_string FROM core_jhesetting WHERE key = 'site.url'")
            .fetch_optional(self.connection())
            .await
            .db()?;
        let Some(old) = old.filter(|old| old != site_url) else { return Ok(()) };
        self.insert("UPDATE core_jhesetting SET value_string = $1 WHERE key = 'site.url'", &[], &[site_url]).await?;
        self.insert(
            "UPDATE oauth2_provider_application SET redirect_uris = replace(redirect_uris, rtrim($1, '/') || '/', rtrim($2, '/') || '/')
              WHERE id BETWEEN 1 AND 4",
            &[],
            &[&old, site_url],
        )
        .await?;
        self.insert(
            "UPDATE core_jheclient SET invitation_url = replace(invitation_url, rtrim($1, '/') || '/', rtrim($2, '/') || '/') WHERE application_id BETWEEN 1 AND 4",
            &[],
            &[&old, site_url],
        )
        .await
    }
}

/// What the patient-access client needs to know of an EHR.
fn patient_access_data() -> String {
    const TYPES: &[&str] = &[
        "Patient",
        "Observation",
        "Condition",
        "MedicationRequest",
        "MedicationDispense",
        "AllergyIntolerance",
        "Immunization",
        "Procedure",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "CarePlan",
        "CareTeam",
        "Goal",
        "ServiceRequest",
        "Device",
        "QuestionnaireResponse",
    ];
    let reads: Vec<String> = TYPES.iter().map(|kind| format!("patient/{kind}.read")).collect();
    serde_json::json!({
        "client_id": "77849e74-8e2a-4c2f-826c-bdbef6da3357",
        "scope": format!("openid profile launch/patient {}", reads.join(" ")),
    })
    .to_string()
}

/// Source, upstream patient, upstream id, authored, scores of cough, dyspnea and fatigue.
const QUESTIONNAIRES: &[(i64, &str, &str, &str, [i64; 3])] = &[
    (90001, "a1b2c3d4e5f6", "c3d4e5f6a1b2", "2025-10-01", [42, 18, 65]),
    (90001, "a1b2c3d4e5f6", "d4e5f6a1b2c3", "2025-10-08", [55, 30, 72]),
    (90001, "a1b2c3d4e5f6", "e5f6a1b2c3d4", "2025-10-15", [38, 22, 48]),
    (90002, "b2c3d4e5f6a1", "f6a1b2c3d4e5", "2025-10-03", [60, 45, 80]),
    (90002, "b2c3d4e5f6a1", "a2b3c4d5e6f7", "2025-10-10", [50, 35, 70]),
    (90002, "b2c3d4e5f6a1", "b3c4d5e6f7a2", "2025-10-17", [25, 10, 40]),
    (90002, "b2c3d4e5f6a1", "c4d5e6f7a2b3", "2025-10-24", [70, 55, 90]),
];

fn questionnaire_response(source: i64, patient: &str, id: &str, authored: &str, scores: [i64; 3]) -> Value {
    let items: Vec<Value> = ["cough-severity", "dyspnea-severity", "fatigue-severity"]
        .iter()
        .zip(scores)
        .map(|(link, score)| serde_json::json!({ "linkId": link, "answer": [{ "valueInteger": score }] }))
        .collect();
    serde_json::json!({
        "resourceType": "QuestionnaireResponse",
        "id": id,
        "meta": { "source": format!("https://jupyterhealth.org/fhir/fhir-source/{source}") },
        "questionnaire": "Questionnaire/weekly-symptom-severity-vas",
        "status": "completed",
        "subject": { "reference": format!("Patient/{patient}") },
        "authored": authored,
        "item": items,
    })
}

/// A place: name, city, state, postal code.
type Place = (&'static str, &'static str, &'static str, &'static str);

const BRANDS: &[(&str, &str, &str, &[Place])] = &[
    (
        "Epic Health System (Sandbox)",
        "https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/",
        "0000000001",
        &[("Epic Sandbox - Madison Campus", "Verona", "WI", "53593")],
    ),
    (
        "Asian Americans for Community Involvement (AACI)",
        "https://webprd.ochin.org/prd-fhir/MyChartAACI/api/FHIR/R4",
        "0000000002",
        &[("AACI - San Jose", "San Jose", "CA", "95128")],
    ),
    (
        "Mount Sinai Health System",
        "https://fhirpoc.mountsinai.org/fhirproxy/r4/",
        "0000000003",
        &[("The Mount Sinai Hospital", "New York", "NY", "10029"), ("Mount Sinai West", "New York", "NY", "10019")],
    ),
];
