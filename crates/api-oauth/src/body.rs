//! What requests carry and what is answered, for the API document: forms are read by [`crate::parameters`], answers are put
//! together by hand.

#![expect(dead_code, reason = "parameters are read by hand; these tell the document what they are")]

use utoipa::ToSchema;

/// What tokens are asked for with.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum TokenGrant {
    AuthorizationCode,
    RefreshToken,
    Password,
    ClientCredentials,
    #[schema(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

/// A request for tokens. Each parameter comes at most once, and none in the address; an empty one counts as absent.
#[derive(ToSchema)]
#[schema(example = json!({
    "grant_type": "authorization_code",
    "code": "Kq3VbT8xYd1LmZp0RwNc5HsJf7GaUe",
    "redirect_uri": "https://jhe.example.org/auth/callback",
    "client_id": "carex",
    "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
}))]
pub(crate) struct TokenForm {
    /// What tokens are asked for with; one that the client may use.
    grant_type: TokenGrant,
    /// Who asks. In the form, or with the secret in the header (HTTP Basic), both halves percent-encoded.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// The secret of a confidential client, unless it is in the header.
    #[schema(nullable = false)]
    client_secret: Option<String>,
    /// For `authorization_code`: the code, from the redirection, from a patient link, or from a redeemed invitation.
    #[schema(nullable = false)]
    code: Option<String>,
    /// For `authorization_code`: the address that the authorization named; for links and invitations `/auth/callback` on this site.
    #[schema(nullable = false)]
    redirect_uri: Option<String>,
    /// For `authorization_code`: the verifier of the code's challenge (RFC 7636). For a redeemed invitation it is the token of the
    /// invitation in base64url without padding.
    #[schema(nullable = false)]
    code_verifier: Option<String>,
    /// For `refresh_token`: the token, which its use replaces; the answer has the next one.
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// For `password`: the e-mail address of the account.
    #[schema(nullable = false)]
    username: Option<String>,
    /// For `password`: its password.
    #[schema(nullable = false)]
    password: Option<String>,
    /// Names out of `openid`, `email`, `read` and `write`, with spaces between; absent, `openid email` or what was granted before. A
    /// code or a refresh token gives no more than was granted; a token exchange gives `openid`.
    #[schema(nullable = false)]
    scope: Option<String>,
    /// For a token exchange: the id token of a trusted issuer.
    #[schema(nullable = false)]
    subject_token: Option<String>,
    /// For a token exchange, and required there: `urn:ietf:params:oauth:token-type:id_token`.
    #[schema(nullable = false)]
    subject_token_type: Option<String>,
    /// For a token exchange: `urn:ietf:params:oauth:token-type:access_token`, which is what it gives anyway.
    #[schema(nullable = false)]
    requested_token_type: Option<String>,
    /// For a token exchange: the address of this site, which is what it is for anyway.
    #[schema(nullable = false)]
    audience: Option<String>,
}

/// Tokens (RFC 6749 §5.1).
#[derive(ToSchema)]
#[schema(example = json!({
    "access_token": "Zk2bWq9sLr4TnVx7YcHd1JgMfPe6UaRi5ToBwEzK",
    "expires_in": 3600,
    "token_type": "Bearer",
    "scope": "openid email",
    "refresh_token": "Hs8dKq1mVz5XcTb9RnLf3PwYg7JaUe2Gi6OoCtEr"
}))]
pub(crate) struct TokenAnswer {
    /// For the header `Authorization: Bearer …` of the APIs.
    access_token: String,
    /// Seconds that the access token lives.
    expires_in: i64,
    /// Always `Bearer`.
    token_type: String,
    /// What was granted, with spaces between.
    scope: String,
    /// For the next request with `refresh_token`. Absent where the client or the grant has none.
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// Who signed in (OpenID Connect). Absent where the scope has no `openid`, or nobody signed in.
    #[schema(nullable = false)]
    id_token: Option<String>,
    /// Of a token exchange: `urn:ietf:params:oauth:token-type:access_token`.
    #[schema(nullable = false)]
    issued_token_type: Option<String>,
}

/// Why a request failed (RFC 6749 §5.2).
#[derive(ToSchema)]
#[schema(example = json!({"error": "invalid_request", "error_description": "Missing code parameter."}))]
pub(crate) struct OAuthFailure {
    /// One of the codes of the RFC.
    error: String,
    /// A sentence about it; absent where the code says it all.
    #[schema(nullable = false)]
    error_description: Option<String>,
}

/// A token exchange in the words that launch pages of EHRs know. The client shows its secret here or in the header.
#[derive(ToSchema)]
#[schema(example = json!({
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token": "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2Voci5leGFtcGxlLm9yZyJ9.c2lnbmF0dXJl",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "audience": "https://jhe.example.org",
    "client_id": "sof-ehr-launch",
    "client_secret": "the secret of the client"
}))]
pub(crate) struct TokenExchangeForm {
    /// Always `urn:ietf:params:oauth:grant-type:token-exchange`.
    grant_type: String,
    /// The id token of a trusted issuer, with a `fhirUser` that is a Practitioner.
    subject_token: String,
    /// Always `urn:ietf:params:oauth:token-type:id_token`.
    subject_token_type: String,
    /// Always `urn:ietf:params:oauth:token-type:access_token`.
    requested_token_type: String,
    /// The address of this site.
    audience: String,
    /// `openid`, which is what it gives anyway.
    #[schema(nullable = false)]
    scope: Option<String>,
    /// The client, unless it is in the header.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Its secret, unless it is in the header.
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

/// Why a token exchange failed.
#[derive(ToSchema)]
#[schema(example = json!({"error": "Issuer not trusted", "oauth_error": "invalid_grant"}))]
pub(crate) struct TokenExchangeFailure {
    /// A sentence. Where the exchange is not configured it is `unsupported_grant_type`, and `error_description` has the sentence.
    error: String,
    /// The code of RFC 6749 or RFC 8693.
    #[schema(nullable = false)]
    oauth_error: Option<String>,
    /// Where the exchange is not configured.
    #[schema(nullable = false)]
    error_description: Option<String>,
}

/// A token to revoke (RFC 7009).
#[derive(ToSchema)]
#[schema(example = json!({"token": "Hs8dKq1mVz5XcTb9RnLf3PwYg7JaUe2Gi6OoCtEr", "client_id": "carex"}))]
pub(crate) struct RevocationForm {
    /// An access token or a refresh token of the client; of which kind it is need not be said.
    token: String,
    /// The client that the token was issued to, unless it is in the header.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// The secret of a confidential client, unless it is in the header.
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

/// A token to look at (RFC 7662).
#[derive(ToSchema)]
#[schema(example = json!({
    "token": "Zk2bWq9sLr4TnVx7YcHd1JgMfPe6UaRi5ToBwEzK",
    "client_id": "data-lake",
    "client_secret": "the secret of the client"
}))]
pub(crate) struct IntrospectionForm {
    /// An access token.
    token: String,
    /// The client that asks, unless it is in the header; a confidential one.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Its secret, unless it is in the header.
    #[schema(nullable = false)]
    client_secret: Option<String>,
}

/// What a token stands for (RFC 7662 §2.2). Of one that is not active, or not the client's to ask about, nothing else is told.
#[derive(ToSchema)]
#[schema(example = json!({
    "active": true,
    "scope": "openid email",
    "exp": 1_795_756_150,
    "client_id": "carex",
    "token_type": "Bearer",
    "iat": 1_795_752_550,
    "iss": "https://jhe.example.org/o",
    "sub": "10006",
    "username": "ll_patient_peter@example.com"
}))]
pub(crate) struct IntrospectionAnswer {
    /// Whether it is good for the APIs.
    active: bool,
    /// What was granted, with spaces between.
    #[schema(nullable = false)]
    scope: Option<String>,
    /// When it ends, in seconds since 1970.
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// The public identifier of the client that it was issued to.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Always `Bearer`.
    #[schema(nullable = false)]
    token_type: Option<String>,
    /// When it was issued, in seconds since 1970.
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// Who issued it: this site.
    #[schema(nullable = false)]
    iss: Option<String>,
    /// The `id` of the account it acts as; absent where it acts as none.
    #[schema(nullable = false)]
    sub: Option<String>,
    /// The e-mail address of that account; absent where it acts as none.
    username: Option<String>,
}

/// Claims about an account (OpenID Connect Core §5.3).
#[derive(ToSchema)]
#[schema(example = json!({"sub": "10006", "email": "ll_patient_peter@example.com", "email_verified": true}))]
pub(crate) struct UserClaims {
    /// The `id` of the account.
    sub: String,
    /// Its e-mail address; absent where the scope has no `email`.
    #[schema(nullable = false)]
    email: Option<String>,
    /// Whether it has shown that the address is its own; absent where the scope has no `email`.
    #[schema(nullable = false)]
    email_verified: Option<bool>,
}

/// The form of the consent page: the parameters of the authorization, and the answer. A client may post an authorization here, too,
/// without `csrfmiddlewaretoken` and `allow`; it goes on as if it had come by GET.
#[derive(ToSchema)]
#[schema(example = json!({
    "csrfmiddlewaretoken": "from the page",
    "allow": "Authorize",
    "response_type": "code",
    "client_id": "carex",
    "redirect_uri": "https://carex.ai/callback",
    "scope": "openid email",
    "state": "af0ifjsldkj",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256"
}))]
pub(crate) struct AuthorizationForm {
    /// What the page had in the field of that name, for the browser that it was shown in.
    #[schema(nullable = false)]
    csrfmiddlewaretoken: Option<String>,
    /// Anything to agree; absent to decline.
    #[schema(nullable = false)]
    allow: Option<String>,
    /// Always `code`.
    response_type: String,
    /// The public identifier of the client.
    client_id: String,
    /// Where the answer goes, an address that the client registered; absent, its only one.
    #[schema(nullable = false)]
    redirect_uri: Option<String>,
    /// Names out of `openid`, `email`, `read` and `write`, with spaces between; `openid email` when absent.
    #[schema(nullable = false)]
    scope: Option<String>,
    /// What the client wants to hear again.
    #[schema(nullable = false)]
    state: Option<String>,
    /// What the client wants to find in the id token.
    #[schema(nullable = false)]
    nonce: Option<String>,
    /// SHA-256 of the verifier, in base64url without padding (RFC 7636).
    code_challenge: String,
    /// Always `S256`.
    code_challenge_method: String,
    /// `none` or `login`, where the client wants nobody to be asked, or a new sign-in.
    #[schema(nullable = false)]
    prompt: Option<String>,
    /// Seconds that the sign-in may be old.
    #[schema(nullable = false)]
    max_age: Option<i64>,
    /// An id token of the account that the client means.
    #[schema(nullable = false)]
    id_token_hint: Option<String>,
}

/// The form of the page that asks whether to sign out: the parameters of the wish, and the answer. Without the answer it is a
/// client's wish, which leads to that page.
#[derive(ToSchema)]
#[schema(example = json!({"csrfmiddlewaretoken": "from the page", "allow": "Sign out"}))]
pub(crate) struct LogoutForm {
    /// What the page had in the field of that name, for the browser that it was shown in.
    #[schema(nullable = false)]
    csrfmiddlewaretoken: Option<String>,
    /// Anything to sign out.
    #[schema(nullable = false)]
    allow: Option<String>,
    /// An id token of this site, which names client and account; it may have expired.
    #[schema(nullable = false)]
    id_token_hint: Option<String>,
    /// The public identifier of the client.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Where to go afterwards, an address that the client registered for that.
    #[schema(nullable = false)]
    post_logout_redirect_uri: Option<String>,
    /// What the client wants to hear again there.
    #[schema(nullable = false)]
    state: Option<String>,
}

/// A button of the list of clients that a person lets into its account.
#[derive(ToSchema)]
#[schema(example = json!({"csrfmiddlewaretoken": "from the page", "id": 1}))]
pub(crate) struct ClientRemovalForm {
    /// What the page had in the field of that name, for the browser that it was shown in.
    csrfmiddlewaretoken: String,
    /// The row of the client.
    id: i64,
}

/// A form of a page of this site that says nothing but that.
#[derive(ToSchema)]
#[schema(example = json!({"csrfmiddlewaretoken": "from the page"}))]
pub(crate) struct OwnForm {
    /// What the page had in the field of that name, for the browser that it was shown in.
    csrfmiddlewaretoken: String,
}
