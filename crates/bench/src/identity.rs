//! `/o` and the sign-in page under load.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jhe_app::operator::{self, ClientRequest};
use jhe_crypto::{OsEntropy, pkce, token};
use jhe_domain::client::GrantType;
use jhe_testkit::connection::Connection;

use crate::limits::Limits;
use crate::load::{Plan, drive};
use crate::place::{Place, plain};

const PASSWORD: &str = "Jhe1234%21";
const MARY: &str = "manager_mary%40example.com";

/// Drives everything and prints the table.
pub(crate) async fn run(place: &Place, plan: Plan, limits: &Limits) -> Result<()> {
    println!("identity, {} connections, {} s each:", plan.connections, plan.duration.as_secs());
    introspection(place, plan, limits).await?;
    client_credentials(place, plan).await?;
    refresh(place, plan, "read+write", None).await?;
    refresh(place, plan, "openid", Some(limits.signatures)).await?;
    code_exchange(place, plan).await?;
    sign_in(place, plan, limits).await?;
    println!();
    Ok(())
}

/// A confidential client of our own and its header.
async fn service(place: &Place, name: &str, grants: &[GrantType]) -> Result<String> {
    let request = ClientRequest {
        name: name.to_owned(),
        confidential: true,
        grants: grants.to_vec(),
        ..ClientRequest::default()
    };
    let (id, secret) = operator::create_client(&place.store, request, None).await.map_err(plain)?;
    let secret = secret.context("a secret")?;
    place
        .execute(format!(
            "UPDATE oauth2_provider_application SET user_id = 10002, can_introspect = true WHERE client_id = '{id}'"
        ))
        .await?;
    Ok(format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{id}:{secret}"))))
}

async fn introspection(place: &Place, plan: Plan, limits: &Limits) -> Result<()> {
    let header = service(place, "Bench introspection", &[GrantType::ClientCredentials]).await?;
    let workers: Vec<_> = place.connections(plan.connections).await?.into_iter().enumerate().collect();
    let outcome =
        drive("introspection", place, plan, workers, async move |(number, connection): &mut (usize, Connection)| {
            *number = (*number + 7919) % 100_000;
            let answer = connection.form("/o/introspect/", &header, &format!("token=bench-{number}")).await?;
            ensure!(answer.status == 200 && answer.body.starts_with(b"{\"active\":true"), "not active");
            Ok(true)
        })
        .await?;
    outcome.print(&format!("{:.0} % of the bare lookup", outcome.rate() / limits.lookups * 100.0));
    Ok(())
}

async fn client_credentials(place: &Place, plan: Plan) -> Result<()> {
    let header = service(place, "Bench machine", &[GrantType::ClientCredentials]).await?;
    let workers = place.connections(plan.connections).await?;
    let outcome = drive("client_credentials", place, plan, workers, async move |connection: &mut Connection| {
        let answer = connection.form("/o/token/", &header, "grant_type=client_credentials").await?;
        ensure!(answer.status == 200, "refused");
        Ok(true)
    })
    .await?;
    outcome.print("");
    Ok(())
}

async fn refresh(place: &Place, plan: Plan, scope: &str, signatures: Option<f64>) -> Result<()> {
    let mut workers = Vec::new();
    for mut connection in place.connections(plan.connections).await? {
        let form =
            format!("grant_type=password&client_id=demo-notebook&username={MARY}&password={PASSWORD}&scope={scope}");
        let answer = connection.form("/o/token/", "", &form).await?;
        ensure!(answer.status == 200, "the password grant answers {}", answer.status);
        workers.push((connection, answer.text("refresh_token")?));
    }
    let name = if signatures.is_some() { "refresh with openid" } else { "refresh" };
    let outcome = drive(name, place, plan, workers, async |(connection, held): &mut (Connection, String)| {
        let form = format!("grant_type=refresh_token&client_id=demo-notebook&refresh_token={held}");
        let answer = connection.form("/o/token/", "", &form).await?;
        ensure!(answer.status == 200, "refused");
        *held = answer.text("refresh_token")?;
        Ok(true)
    })
    .await?;
    let remark = signatures.map(|rate| format!("{:.0} % of the bare signature", outcome.rate() / rate * 100.0));
    outcome.print(&remark.unwrap_or_default());
    Ok(())
}

/// Codes that a browser would have brought, one for each exchange.
async fn code_exchange(place: &Place, plan: Plan) -> Result<()> {
    const CODES: usize = 40_000;
    let (verifier, challenge) = pkce::new_pair(&mut OsEntropy);
    let prefix = token::alphanumeric(&mut OsEntropy, 16);
    let redirect = format!("{}/auth/callback", place.base);
    place
        .execute(format!(
            "INSERT INTO oauth2_provider_grant (code_digest, user_id, application_id, redirect_uri, scope, code_challenge, auth_time,
                    session_digest, created, expires)
             SELECT sha256(convert_to('{prefix}' || n, 'UTF8')), 10002,
                    (SELECT id FROM oauth2_provider_application WHERE name = 'JHE Admin UI'), '{redirect}', 'openid', '{challenge}',
                    now(), sha256('session'), now(), now() + interval '1 hour'
               FROM generate_series(1, {CODES}) AS n"
        ))
        .await?;
    let client =
        place.store.scalar_raw("SELECT client_id FROM oauth2_provider_application WHERE name = 'JHE Admin UI'");
    let client = client.await.map_err(plain)?.context("the console's client")?;
    let redirect = redirect.replace(':', "%3A").replace('/', "%2F");
    let rest = format!("&redirect_uri={redirect}&client_id={client}&code_verifier={verifier}");
    let step = plan.connections;
    let workers: Vec<_> = place.connections(step).await?.into_iter().enumerate().collect();
    let outcome = drive(
        "code exchange with openid",
        place,
        plan,
        workers,
        async move |(number, connection): &mut (usize, Connection)| {
            *number += step;
            if *number > CODES {
                return Ok(false);
            }
            let form = format!("grant_type=authorization_code&code={prefix}{number}{rest}");
            let answer = connection.form("/o/token/", "", &form).await?;
            ensure!(answer.status == 200, "refused");
            Ok(true)
        },
    )
    .await?;
    outcome.print("");
    Ok(())
}

/// A sign-in page's cookie and form token, which one browser may use several times.
pub(crate) struct Form {
    cookie: String,
    field: String,
}

/// Opens the sign-in page.
pub(crate) async fn sign_in_form(connection: &mut Connection) -> Result<Form> {
    let answer = connection.send("GET", "/accounts/login/", "", "").await?;
    let cookie = answer.header("set-cookie").and_then(|value| value.split(';').next()).context("a cookie")?.to_owned();
    let page = String::from_utf8_lossy(&answer.body);
    let field = page.split("name=\"csrfmiddlewaretoken\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(Form { cookie, field: field.context("a form token")?.to_owned() })
}

/// The bytes that sign in.
pub(crate) fn sign_in_request(connection: &Connection, form: &Form) -> String {
    let header = format!("cookie: {}\r\n", form.cookie);
    let body = format!("csrfmiddlewaretoken={}&username={MARY}&password={PASSWORD}", form.field);
    connection.form_request("/accounts/login/", &header, &body)
}

/// Signs in once.
pub(crate) async fn sign_in_once(connection: &mut Connection, form: &Form) -> Result<bool> {
    let request = sign_in_request(connection, form);
    let answer = connection.ask(&request).await?;
    ensure!(answer.status == 302, "refused");
    Ok(true)
}

async fn sign_in(place: &Place, plan: Plan, limits: &Limits) -> Result<()> {
    let mut workers = Vec::new();
    for mut connection in place.connections(8).await? {
        let form = sign_in_form(&mut connection).await?;
        workers.push((connection, form));
    }
    let outcome =
        drive("sign-in", place, plan.with(8), workers, async |(connection, form): &mut (Connection, Form)| {
            sign_in_once(connection, form).await
        })
        .await?;
    outcome.print(&format!("{:.0} % of the bare hash", outcome.rate() / limits.hashes * 100.0));
    Ok(())
}
