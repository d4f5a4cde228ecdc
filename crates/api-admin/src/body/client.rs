//! Bodies about patient clients.

use utoipa::ToSchema;

/// A patient client to register. It is public, and may use codes with PKCE and refresh tokens.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "name": "Sleep Diary",
    "clientId": "sleep-diary",
    "invitationUrl": "https://sleep.example.org/invitation/CODE"
}))]
pub(crate) struct NewClient {
    /// Its name for people; not blank.
    name: String,
    /// The public OAuth identifier it will have, which no other client has; at most 255 characters.
    client_id: String,
    /// The link of an invitation to it: an address of the web or of an app in which `CODE` stands once. In a link, host and token
    /// of the invitation are there instead.
    invitation_url: String,
}

/// What to change of a patient client; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "name": "CareX",
    "invitationUrl": "https://carex.ai/invitation/CODE"
}))]
pub(crate) struct ClientChange {
    /// Its name for people; not blank.
    #[schema(nullable = false)]
    name: Option<String>,
    /// Its public OAuth identifier; at most 255 characters. Programs that have the old one must learn the new one.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// The link of an invitation to it, with `CODE` once. An empty text takes it away, null leaves it as it is.
    invitation_url: Option<String>,
}

/// A patient client, named by its row.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"clientId": 1}))]
pub(crate) struct ClientChoice {
    /// The `id` of a patient client; not the public OAuth identifier that is called `clientId` elsewhere.
    client_id: i64,
}
