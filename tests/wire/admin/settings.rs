//! Settings over the API: who may, what types mean, and that a change holds at once.

use jhe_testkit::{ADMIN, MARY, NOBODY, PETER, TestServer};
use serde_json::{Value, json};

const SETTINGS: &str = "/api/v1/jhe_settings";

#[tokio::test]
async fn settings_are_for_administrators() {
    let server = TestServer::start().await;
    let body = json!({"key": "test.key", "valueType": "string", "value": "x"});
    for (path, method) in
        [(SETTINGS, "get"), (SETTINGS, "post"), ("/api/v1/jhe_settings/1", "put"), ("/api/v1/jhe_settings/1", "delete")]
    {
        let call = || match method {
            "get" => server.get(path),
            "post" => server.post(path).json(&body),
            "put" => server.put(path).json(&body),
            _ => server.delete(path),
        };
        call().send().await.expect(401);
        for person in [MARY, PETER, NOBODY] {
            call().as_user(person).send().await.expect(403);
        }
    }
    assert_eq!(server.scalar("SELECT count(*)::text FROM core_jhesetting WHERE key = 'test.key'").await, "0");
    server.stop().await;
}

#[tokio::test]
async fn values_have_types_however_they_are_written() {
    let server = TestServer::start().await;
    let post = async |key: &str, kind: &str, value: Value| {
        let body = json!({"key": key, "valueType": kind, "value": value});
        server.post(SETTINGS).as_user(ADMIN).json(&body).send().await
    };
    for (key, kind, value, resolved) in [
        ("t.int", "int", json!("12"), json!(12)),
        ("t.bool", "bool", json!("yes"), json!(true)),
        ("t.bool2", "bool", json!("N"), json!(false)),
        ("t.float", "float", json!("1.5"), json!(1.5)),
        ("t.string", "string", json!(5), json!("5")),
        ("t.json", "json", json!({"someKey": [1], "snake_key": 2}), json!({"someKey": [1], "snake_key": 2})),
    ] {
        let made = post(key, kind, value).await.expect(201).json();
        assert_eq!((&made["resolvedValue"], &made["valueType"], &made["key"]), (&resolved, &json!(kind), &json!(key)));
        let read = server.get(&format!("{SETTINGS}/{}", made["id"])).as_user(ADMIN).send().await.expect(200);
        assert_eq!(read.json(), made);
    }
    for (kind, value, told) in [
        ("int", json!("x"), "Invalid int"),
        ("bool", json!("zz"), "Invalid bool"),
        ("float", json!("x"), "Invalid float"),
    ] {
        let refused = post("t.wrong", kind, value).await.expect(400);
        assert_eq!((refused.at("/value"), refused.detail()), (json!(told), format!("value: {told}")));
    }
    assert_eq!(
        post("t.int", "int", json!(1)).await.expect(400).at("/key/0"),
        "jhe setting with this key already exists."
    );
    assert_eq!(post("t.x", "zz", json!(1)).await.expect(400).at("/valueType/0"), "\"zz\" is not a valid choice.");
    assert_eq!(post("t.x", "int", json!(null)).await.expect(400).at("/value/0"), "This field may not be null.");
    let empty = server.post(SETTINGS).as_user(ADMIN).json(&json!({})).send().await.expect(400).json();
    assert_eq!(
        (&empty["key"], &empty["valueType"], &empty["value"]),
        (&json!(["This field is required."]), &json!(["This field is required."]), &json!("This field is required."))
    );
    server.stop().await;
}

#[tokio::test]
async fn settings_are_changed_and_removed() {
    let server = TestServer::start().await;
    let body = json!({"key": "t.key", "valueType": "int", "value": 1, "settingId": 5});
    let made = server.post(SETTINGS).as_user(ADMIN).json(&body).send().await.expect(201);
    let path = format!("{SETTINGS}/{}", made.at("/id"));
    let patch = async |body: Value| server.patch(&path).as_user(ADMIN).json(&body).send().await;
    assert_eq!(patch(json!({"value": "2"})).await.expect(200).at("/resolvedValue"), 2);
    let refused = patch(json!({"valueType": "string"})).await.expect(400);
    assert_eq!(refused.at("/value"), "Required when changing value_type.");
    let changed = patch(json!({"valueType": "string", "value": "two", "key": "t.other"})).await.expect(200);
    assert_eq!((changed.at("/key"), changed.at("/resolvedValue")), (json!("t.other"), json!("two")));
    assert_eq!(
        patch(json!({"key": "site.url"})).await.expect(400).at("/value"),
        "Enter an http or https URL without a path."
    );
    server.delete(&path).as_user(ADMIN).send().await.expect(204);
    let gone = server.get(&path).as_user(ADMIN).send().await.expect(404);
    assert_eq!(gone.detail(), "No JheSetting matches the given query.");
    server.get(&format!("{SETTINGS}/x")).as_user(ADMIN).send().await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn what_is_written_holds_at_once_and_what_is_secret_stays_so() {
    let server = TestServer::start().await;
    let all = server.get(SETTINGS).as_user(ADMIN).send().await.expect(200).at("/results").as_array().unwrap().clone();
    let id_of =
        |key: &str| all.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key}"))["id"].clone();
    let patch = async |key: &str, value: Value| {
        let path = format!("{SETTINGS}/{}", id_of(key));
        server.patch(&path).as_user(ADMIN).json(&json!({"value": value})).send().await
    };
    patch("site.url", json!("https://new.example.org")).await.expect(200);
    // The site's own clients move along: its console still can sign people in.
    let settings = server.get("/common/server-settings.json").send().await.expect(200);
    let redirects =
        server.scalar("SELECT redirect_uris FROM oauth2_provider_application WHERE name = 'JHE Admin UI'").await;
    assert_eq!(redirects, "https://new.example.org/auth/callback", "{}", settings.text());
    let again = json!({"key": "site.url", "valueType": "string", "value": "no address"});
    let again = server.post(SETTINGS).as_user(ADMIN).json(&again).send().await.expect(400);
    assert_eq!(again.at("/key/0"), "jhe setting with this key already exists.");
    let link = server.get("/api/v1/patients/40001/invitation_link").as_user(MARY).send().await.expect(200);
    assert!(link.at("/invitationLink").as_str().unwrap().starts_with("new.example.org|"), "{}", link.text());
    assert_eq!(
        server.get("/o/.well-known/openid-configuration").send().await.at("/issuer"),
        "https://new.example.org/o"
    );
    // Values the server could not work with are refused.
    for (key, value) in [
        ("site.url", json!("not a url")),
        ("auth.default_orgs", json!("20003:king")),
        ("auth.default_orgs", json!("99999:member")),
        ("auth.default_orgs", json!("20003:member;0:viewer")),
        ("auth.patient_access_clients", json!({"a": 1})),
        ("auth.patient.invitation_expiration_days", json!(-1)),
    ] {
        patch(key, value.clone()).await.expect(400);
    }
    patch("auth.default_orgs", json!("20003:member")).await.expect(200);
    let wrong = json!({"valueType": "int", "value": 5});
    server.patch(&format!("{SETTINGS}/{}", id_of("site.url"))).as_user(ADMIN).json(&wrong).send().await.expect(400);
    // The invite code is shown to those who ask, other secrets to nobody.
    let code = all.iter().find(|row| row["key"] == "site.registration_invite_code").unwrap();
    assert_eq!(code["resolvedValue"], "***");
    let path = format!("{SETTINGS}/{}?reveal=1", code["id"]);
    assert_eq!(server.get(&path).as_user(ADMIN).send().await.expect(200).at("/resolvedValue"), "jhe");
    let secret = json!({"key": "x.api_key", "valueType": "string", "value": "hunter2"});
    let made = server.post(SETTINGS).as_user(ADMIN).json(&secret).send().await.expect(201);
    assert_eq!(made.at("/resolvedValue"), "***");
    let path = format!("{SETTINGS}/{}?reveal=1", made.at("/id"));
    assert!(!server.get(&path).as_user(ADMIN).send().await.expect(200).text().contains("hunter2"));
    // Nor does it come out under another name, nor is it lost to a form that sends back what it was shown.
    let change = async |body: Value| server.patch(&path).as_user(ADMIN).json(&body).send().await;
    change(json!({"key": "x.plain"})).await.expect(400);
    change(json!({"key": "y.api_key", "value": "***"})).await.expect(200);
    let kept = "SELECT value_string FROM core_jhesetting WHERE key = 'y.api_key'";
    assert_eq!(server.scalar(kept).await, "hunter2");
    assert_eq!(change(json!({"key": "x.plain", "value": "open"})).await.expect(200).at("/resolvedValue"), "open");
    let shouted = json!({"key": "My.Secret.X", "valueType": "string", "value": "v"});
    assert_eq!(
        server.post(SETTINGS).as_user(ADMIN).json(&shouted).send().await.expect(201).at("/resolvedValue"),
        "***"
    );
    server.stop().await;
}

/// A time zone is one of the IANA database, written as it is there (data model §7).
#[tokio::test]
async fn a_time_zone_is_known_by_its_name() {
    let server = TestServer::start().await;
    let id = server.scalar("SELECT id::text FROM core_jhesetting WHERE key = 'site.time_zone'").await;
    let patch = async |value: &str| {
        server.patch(&format!("{SETTINGS}/{id}")).as_user(ADMIN).json(&json!({"value": value})).send().await
    };
    for name in ["Europe/Zurich", "UTC", "Etc/GMT+8", "America/Argentina/Buenos_Aires", "America/Los_Angeles"] {
        assert_eq!(patch(name).await.expect(200).at("/resolvedValue"), name);
    }
    for name in [
        "",
        "Mars/Olympus_Mons",
        "europe/zurich",
        "PST8PDT ",
        "+01:00",
        "posix/Europe/Zurich",
        "right/UTC",
        "localtime",
        "Europe/Zurich'; --",
        "Europe/",
    ] {
        let refused = patch(name).await.expect(400);
        assert_eq!(refused.at("/value"), "Enter the name of a time zone, such as America/Los_Angeles.", "{name}");
        assert!(refused.detail().starts_with("value: "), "{}", refused.text());
    }
    assert_eq!(
        server.scalar("SELECT value_string FROM core_jhesetting WHERE key = 'site.time_zone'").await,
        "America/Los_Angeles"
    );
    server.execute("DELETE FROM core_jhesetting WHERE key = 'site.time_zone'").await;
    let body = json!({"key": "site.time_zone", "valueType": "string", "value": "Nowhere"});
    server.post(SETTINGS).as_user(ADMIN).json(&body).send().await.expect(400);
    server.stop().await;
}

#[tokio::test]
async fn a_json_setting_is_kept_byte_for_byte() {
    let server = TestServer::start().await;
    for (turn, value) in [
        r#"{"a":0.10,"b":1E5,"z":12345678901234567890123}"#,
        r#"{"someKey": [1,  2],"snake_key":-0.0, "a":"\u00e9"}"#,
        "12345678901234567890.10",
        r#""\u00e9""#,
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!("{{\"key\": \"t.verbatim{turn}\", \"valueType\": \"json\", \"value\": {value}}}");
        let made = server.post(SETTINGS).as_user(ADMIN).body("application/json", body).send().await.expect(201);
        let path = format!("{SETTINGS}/{}", made.at("/id"));
        let read = server.get(&path).as_user(ADMIN).send().await.expect(200);
        let told = format!("\"resolvedValue\":{value},");
        for reply in [&made, &read] {
            assert!(reply.text().contains(&told), "{}", reply.text());
        }
        // A change of the same.
        let body = format!("{{\"value\": {value}}}");
        let changed = server.patch(&path).as_user(ADMIN).body("application/json", body).send().await.expect(200);
        assert!(changed.text().contains(&told), "{}", changed.text());
    }
    server.stop().await;
}

#[tokio::test]
async fn lists_that_answer_bare_are_those_that_can() {
    let server = TestServer::start().await;
    let id = server.scalar("SELECT id::text FROM core_jhesetting WHERE key = 'api.plain_array_lists'").await;
    let set =
        |value: Value| server.patch(&format!("{SETTINGS}/{id}")).as_user(ADMIN).json(&json!({"value": value})).send();
    set(json!(["organizations", "data_sources"])).await.expect(200);
    set(json!([])).await.expect(200);
    for value in [json!(["patients"]), json!(["organizations", 1]), json!({"organizations": true})] {
        let refused = set(value.clone()).await.expect(400);
        assert!(refused.json().get("value").is_some(), "{value}: {}", refused.text());
    }
    server.stop().await;
}

/// Whoever reads the answer finds the setting in force in every process.
#[tokio::test]
async fn a_setting_holds_in_every_process_when_it_is_answered() {
    let server = TestServer::start().await;
    let other = TestServer::on(server.database(), &[]).await;
    let id = server.scalar("SELECT id::text FROM core_jhesetting WHERE key = 'api.plain_array_lists'").await;
    let mut late = Vec::new();
    for turn in 0..40 {
        let value = if turn % 2 == 0 { json!(["organizations"]) } else { json!([]) };
        server
            .patch(&format!("{SETTINGS}/{id}"))
            .as_user(ADMIN)
            .json(&json!({"value": value}))
            .send()
            .await
            .expect(200);
        let list = other.get("/api/v1/organizations").as_user(ADMIN).send().await.expect(200).json();
        if list.is_array() != (turn % 2 == 0) {
            late.push(turn);
        }
    }
    // A process that gives no sign for a second is not waited for, which a slow machine may make of one.
    assert!(late.len() <= 2, "{late:?}");
    other.stop().await;
    server.stop().await;
}
