//! Both ways a patient's app comes to its token: a link with a static verifier, and invitations of a client
//! (identity §2.7).

use std::net::IpAddr;

use chrono::TimeDelta;
use jhe_authz::{Actor, Authorizer, Grant, action, resource};
use jhe_config::Invitation as Options;
use jhe_crypto::{OsEntropy, token};
use jhe_domain::client::{Client, GrantType};
use jhe_domain::error::{Conflict, Error, Lookup, Why};
use jhe_domain::invitation::{Invitation, InvitationStatus};
use jhe_domain::{ApplicationId, InvitationId, PatientId, Phi, UserId};
use jhe_store::Work;
use jhe_store::credential::NewCode;
use jhe_store::invitation::Invitee;

use crate::App;
use crate::identity::throttle::{self, Limit};
use crate::identity::{CONSOLE_NAME, invitation_challenge};
use crate::mail::{self, Letter};

/// Which client a link is for.
#[derive(Debug, Clone)]
pub enum ClientChoice {
    /// The configured one.
    Default,
    /// By row id or public identifier.
    Named(String),
}

async fn invitable(
    work: &mut Work,
    grant: &Grant<resource::Patient, action::Invite>,
) -> Result<(UserId, Invitee), Error> {
    let invitee = work.invitations().invitee(grant).await?;
    // A link opens the account entirely, so an account that can do more than its patient must never get one.
    if invitee.is_privileged {
        return Err(Error::sentence("This account cannot be invited as a patient."));
    }
    match invitee.user_id {
        Some(user) => Ok((user, invitee)),
        None => Err(Error::sentence("Patient has no associated user account.")),
    }
}

async fn link_client(app: &App, work: &mut Work, choice: ClientChoice) -> Result<Client, Error> {
    let found = match choice {
        ClientChoice::Named(text) if text.contains('\0') => None,
        ClientChoice::Named(text) => match text.parse() {
            Ok(id) => match work.client_by_row(ApplicationId(id)).await? {
                Some(found) => Some(found),
                None => work.client_by_client_id(&text).await?,
            },
            Err(_) => work.client_by_client_id(&text).await?,
        },
        ClientChoice::Default => {
            let setting = app.settings().string("auth.patient.invitation_link_client_id");
            let named = app.config().auth.oidc_client_id.clone().or(Some(setting).filter(|text| !text.is_empty()));
            match named {
                Some(client_id) => work.client_by_client_id(&client_id).await?,
                None => work.client_by_name(CONSOLE_NAME).await?,
            }
        }
    };
    let client =
        found.map(|found| found.client).filter(|client| client.enabled && client.may(GrantType::AuthorizationCode));
    client.ok_or(Error::NotFound(Lookup::Entity("Application")))
}

/// Makes a link whose code is exchanged with the static verifier. The user's earlier codes of the client end.
pub async fn make_link(
    app: &App,
    actor: &Actor,
    patient: PatientId,
    choice: ClientChoice,
    by_mail: bool,
) -> Result<Phi<String>, Error> {
    let now = app.now();
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).invite(patient).await?;
    let (user, invitee) = invitable(&mut work, &grant).await?;
    let client = link_client(app, &mut work, choice).await?;
    let code = token::alphanumeric(&mut OsEntropy, 30);
    let row = NewCode {
        digest: token::digest(&code),
        user_id: user,
        application_id: client.id,
        redirect_uri: callback(app),
        redirect_uri_given: true,
        scope: "openid".to_owned(),
        nonce: None,
        code_challenge: app.identity().static_challenge().to_owned(),
        auth_time: now,
        session_digest: None,
        created: now,
        expires: now + TimeDelta::seconds(app.config().invitation.code_expire_seconds),
    };
    work.insert_code(&row, true).await?;
    work.invitations().note_link(&grant, now).await?;
    let link = link_text(&app.config().invitation, &app.settings().site_host(), &code);
    if by_mail {
        send_link(app, &mut work, &invitee, &link).await?;
    }
    work.commit().await?;
    Ok(Phi::new(link))
}

fn callback(app: &App) -> String {
    format!("{}/auth/callback", app.settings().site_url())
}

/// A link with a static verifier: prefix, host and code, so that an app knows where to exchange it.
fn link_text(options: &Options, host: &str, code: &str) -> String {
    let encode = |text: &str| if options.encode { percent(text) } else { text.to_owned() };
    if options.exclude_host {
        return format!("{}{code}", options.link_prefix);
    }
    format!("{}{}{}{code}", options.link_prefix, encode(host), encode(&options.separator))
}

/// Escapes what a URL component cannot hold; letters, digits, `-`, `.`, `_` and `~` stay.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The link of an invitation: the client's template with `CODE` replaced by host and token.
pub fn invitation_link(template: &str, host: &str, token: &str) -> String {
    template.replace("CODE", &format!("{}_{token}", percent(host)))
}

/// An invitation just issued: its token and link are handed out once.
pub struct Issued {
    /// The invitation.
    pub invitation: Invitation,
    /// Its token.
    pub token: Phi<String>,
    /// Its link.
    pub link: Phi<String>,
}

/// Issues an invitation of a patient to a client; earlier ones that wait are superseded.
pub async fn create(
    app: &App,
    actor: &Actor,
    patient: PatientId,
    client: ApplicationId,
    by_mail: bool,
) -> Result<Issued, Error> {
    // Who may not invite is told so, whatever was tried before; and nothing waits for a second connection while it holds one.
    drop(Authorizer::new(actor, &mut app.store().read().await?).invite(patient).await?);
    throttle::pass(app, &ISSUE, &actor.user_id().0.to_be_bytes()).await?;
    let mut work = app.store().begin().await?;
    let grant = Authorizer::new(actor, &mut work).invite(patient).await?;
    let client = work.client_by_row(client).await?.ok_or(Error::NotFound(Lookup::Entity("Application")))?.client;
    let template = client.invitation_url.filter(|template| !template.is_empty());
    let template = template.ok_or_else(|| Error::invalid("client_id", "This client has no invitation URL."))?;
    let (_, invitee) = invitable(&mut work, &grant).await?;
    let text = token::alphanumeric(&mut OsEntropy, 32);
    let hash = token::digest_base64url(&text);
    let invitation = work.invitations().issue(&grant, client.id, &hash, app.now()).await?;
    let link = invitation_link(&template, &app.settings().site_host(), &text);
    if by_mail {
        send_link(app, &mut work, &invitee, &link).await?;
    }
    work.commit().await?;
    Ok(Issued { invitation, token: Phi::new(text), link: Phi::new(link) })
}

async fn send_link(app: &App, work: &mut Work, invitee: &Invitee, link: &str) -> Result<(), Error> {
    let Some(recipient) = &invitee.email else { return Ok(()) };
    let name = invitee.name_given.as_ref().map(|name| name.reveal().as_str());
    mail::queue(app, work, recipient, &Letter::invitation(app, name, link)).await
}

/// Changes an invitation the caller may know of, having checked that it may invite its patient.
async fn owned(
    work: &mut Work,
    actor: &Actor,
    id: InvitationId,
) -> Result<(Invitation, Grant<resource::Patient, action::Invite>), Error> {
    let scope = Authorizer::new(actor, work).invitations()?;
    let found = work.invitations().find(&scope, id).await?;
    let invitation = found.ok_or(Error::NotFound(Lookup::Entity("PatientInvitation")))?;
    let grant = Authorizer::new(actor, work).invite(invitation.patient_id).await?;
    Ok((invitation, grant))
}

/// An invitation that the caller may change.
pub async fn changeable(app: &App, actor: &Actor, id: InvitationId) -> Result<Invitation, Error> {
    let mut work = app.store().read().await?;
    Ok(owned(&mut work, actor, id).await?.0)
}

/// Cancels an invitation that waits.
pub async fn cancel(
    app: &App,
    actor: &Actor,
    id: InvitationId,
    validate: impl FnOnce() -> Result<(), Error>,
) -> Result<Invitation, Error> {
    let mut work = app.store().begin().await?;
    let (_, grant) = owned(&mut work, actor, id).await?;
    validate()?;
    if !work.invitations().cancel(&grant, id).await? {
        return Err(Error::invalid("status", "This invitation can no longer be changed."));
    }
    let (invitation, _) = owned(&mut work, actor, id).await?;
    work.commit().await?;
    Ok(invitation)
}

/// Deletes an invitation.
pub async fn delete(app: &App, actor: &Actor, id: InvitationId) -> Result<(), Error> {
    let mut work = app.store().begin().await?;
    let (_, grant) = owned(&mut work, actor, id).await?;
    work.invitations().delete(&grant, id).await?;
    work.commit().await
}

/// What redeeming an invitation yields.
pub struct Redeemed {
    /// The code.
    pub code: Phi<String>,
    /// Public identifier of the client.
    pub client_id: String,
    /// Where codes of this server go.
    pub redirect_uri: String,
    /// End of the code's life.
    pub expires: chrono::DateTime<chrono::Utc>,
}

/// Redeems an invitation token: a code for its patient and client, exchanged with the verifier made of the token.
/// Within the window after the first redemption it can be repeated, should the hand-over have failed.
pub async fn redeem(app: &App, text: &str, ip: Option<IpAddr>) -> Result<Redeemed, Error> {
    let address = ip.map(|ip| token::digest(&ip.to_string()));
    if let Some(address) = &address {
        throttle::refuse(app, &UNKNOWN, address).await?;
        throttle::pass(app, &REDEEM, address).await?;
    }
    let redeemed = redeem_once(app, text, ip).await;
    if let (Some(address), Err(Error::NotFound(_))) = (&address, &redeemed) {
        throttle::settle(app, &UNKNOWN, address, true).await?;
    }
    redeemed
}

/// Invitations an account may issue (integrations §1.7).
const ISSUE: Limit = Limit::of_attempts("invitation.issue", TimeDelta::minutes(1), 20);
/// Redemptions an address may try.
const REDEEM: Limit = Limit::of_attempts("invitation.redeem", TimeDelta::minutes(1), 30);
/// How many of them may name an unknown token.
const UNKNOWN: Limit = Limit::of_failures("invitation.unknown", TimeDelta::minutes(1), 10);

/// A number from the settings that times can be reckoned with: at most a thousand years.
fn within_reason(number: i64, most: i64) -> i64 {
    number.clamp(0, most)
}

async fn redeem_once(app: &App, text: &str, ip: Option<IpAddr>) -> Result<Redeemed, Error> {
    let now = app.now();
    let mut work = app.store().begin().await?;
    let found = work.invitation_for_update(&token::digest_base64url(text)).await?;
    let (invitation, invitee) = found.ok_or(Error::NotFound(Lookup::Invitation))?;
    match invitation.status {
        InvitationStatus::Cancelled => return Err(Error::denied(Why::InvitationCancelled)),
        InvitationStatus::Reissued => return Err(Error::Conflict(Conflict::InvitationUsed)),
        InvitationStatus::Expired => return Err(Error::Conflict(Conflict::InvitationExpired)),
        InvitationStatus::Redeemed => {
            let hours = app.settings().int("auth.patient.invitation_redemption_window_hours", 12);
            let first = invitation.redeemed_at.unwrap_or(invitation.created);
            if first + TimeDelta::hours(within_reason(hours, 8_766_000)) <= now {
                return Err(Error::Conflict(Conflict::InvitationUsed));
            }
        }
        InvitationStatus::Issued => {
            let days = app.settings().int("auth.patient.invitation_expiration_days", 7);
            if invitation.created + TimeDelta::days(within_reason(days, 365_250)) <= now {
                work.settle_invitation(&invitation, InvitationStatus::Expired, None).await?;
                work.commit().await?;
                return Err(Error::Conflict(Conflict::InvitationExpired));
            }
        }
    }
    let user = invitee.user_id.ok_or_else(|| Error::sentence("Patient has no associated user account."))?;
    let client = work.client_by_row(invitation.application_id).await?;
    let client = client.map(|found| found.client).filter(|client| client.enabled);
    let (Some(client), true, false) = (client, invitee.is_active, invitee.is_privileged) else {
        return Err(Error::denied(Why::NotPermitted));
    };
    let code = token::alphanumeric(&mut OsEntropy, 30);
    let expires = now + TimeDelta::seconds(60);
    let row = NewCode {
        digest: token::digest(&code),
        user_id: user,
        application_id: client.id,
        redirect_uri: callback(app),
        redirect_uri_given: true,
        scope: "openid email".to_owned(),
        nonce: None,
        code_challenge: invitation_challenge(text),
        auth_time: now,
        session_digest: None,
        created: now,
        expires,
    };
    work.insert_code(&row, true).await?;
    work.settle_invitation(&invitation, InvitationStatus::Redeemed, Some(now)).await?;
    work.attribute(Some(user), Some(client.id), ip);
    work.note_login(user, now).await?;
    if let Some(recipient) = &invitee.email {
        mail::queue(app, &mut work, recipient, &Letter::invitation_redeemed(app)).await?;
    }
    work.commit().await?;
    Ok(Redeemed { code: Phi::new(code), client_id: client.client_id, redirect_uri: callback(app), expires })
}

/// Whether a text has the form of an invitation token.
pub fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_with_a_static_verifier_hold_prefix_host_and_code() {
        let check = |encode, exclude_host, separator: &str, expected: &str| {
            let options = Options {
                verifier: None,
                challenge: None,
                code_expire_seconds: 1,
                link_prefix: "https://play.example/details?referrer=cloud_sharing=".to_owned(),
                exclude_host,
                separator: separator.to_owned(),
                encode,
            };
            let link = link_text(&options, "jhe.example:8443", "LhS05iR1rOnpS4JWfP6GeVUIhaRcRh");
            assert_eq!(link, format!("https://play.example/details?referrer=cloud_sharing={expected}"));
        };
        check(false, false, "|", "jhe.example:8443|LhS05iR1rOnpS4JWfP6GeVUIhaRcRh");
        check(true, false, "|", "jhe.example%3A8443%7CLhS05iR1rOnpS4JWfP6GeVUIhaRcRh");
        check(false, false, "~", "jhe.example:8443~LhS05iR1rOnpS4JWfP6GeVUIhaRcRh");
        check(false, true, "|", "LhS05iR1rOnpS4JWfP6GeVUIhaRcRh");
    }

    #[test]
    fn numbers_from_the_settings_cannot_leave_the_calendar() {
        let end = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH + TimeDelta::days(within_reason(i64::MAX, 365_250));
        assert!(end < chrono::DateTime::<chrono::Utc>::MAX_UTC);
        assert_eq!(within_reason(-1, 10), 0);
    }

    #[test]
    fn links_hold_host_and_token() {
        let link = invitation_link("https://carex.ai/invitation/CODE", "localhost:8787", "abc");
        assert_eq!(link, "https://carex.ai/invitation/localhost%3A8787_abc");
        assert_eq!(
            invitation_challenge("0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy"),
            "IhuJvLASrwLSYTG8YHinLI_Ae9-cUlOk7rs6WcesHHQ"
        );
    }

    #[test]
    fn tokens_are_told_from_ids() {
        assert!(is_token("0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy"));
        assert!(!is_token("101"));
        assert!(!is_token("0wYuXvhoyRfko9yFYl9inpBiNkHLVBM"));
        assert!(!is_token("0wYuXvhoyRfko9yFYl9inpBiNkHLVBM-"));
    }
}
