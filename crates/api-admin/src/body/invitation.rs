//! Bodies about invitations and patient links.

use utoipa::ToSchema;

/// Whom to invite to what.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"patientId": 40001, "clientId": 2, "sendEmail": false}))]
pub(crate) struct NewInvitation {
    /// The `id` of the patient, who has an account that is nothing but a patient's.
    patient_id: i64,
    /// The `id` of the patient client, which has an `invitationUrl`; not its public OAuth identifier.
    client_id: i64,
    /// `true` also mails the link to the patient; anything else does not.
    send_email: Option<bool>,
}

/// What an invitation can be made by hand.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) enum SettableInvitationStatus {
    Cancelled,
}

/// What to change of an invitation.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"status": "cancelled"}))]
pub(crate) struct InvitationChange {
    /// `cancelled` ends an invitation that is still `issued`. Absent, nothing changes.
    #[schema(nullable = false)]
    status: Option<SettableInvitationStatus>,
}

/// An invitation to redeem.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"token": "6zOxQw3nT8vK1mRb5cYh2LdPf7sGa9Ue"}))]
pub(crate) struct InvitationRedemption {
    /// The 32 letters and digits behind the last `_` of an invitation's link.
    token: String,
}

/// How a patient link is to be delivered.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({"sendEmail": false}))]
pub(crate) struct InvitationLinkDelivery {
    /// `true` also mails the link to the patient, as `send_email=true` in the address does; anything else does not.
    send_email: Option<bool>,
}

/// A patient link.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "invitationLink": "https://carex.ai/?cloud_sharing=jhe.example.org|Kq3VbT8xYd1LmZp0RwNc5HsJf7GaUe"
}))]
pub(crate) struct InvitationLinkJson {
    /// A prefix that the operator chose, the host of this site unless the operator leaves it out, and a code for `/o/token`.
    invitation_link: String,
}

/// A redeemed invitation: what to ask tokens with. Add `code_verifier` to the members of `grant` and post them as a form.
#[derive(ToSchema)]
#[schema(example = json!({
    "grant": {
        "grant_type": "authorization_code",
        "redirect_uri": "https://jhe.example.org/auth/callback",
        "client_id": "carex",
        "code": "Kq3VbT8xYd1LmZp0RwNc5HsJf7GaUe"
    },
    "token_endpoint": "https://jhe.example.org/o/token/",
    "expires": "2026-11-27T04:29:10.218374Z"
}))]
pub(crate) struct RedeemedInvitation {
    /// Parameters for the token endpoint.
    grant: InvitationGrant,
    /// The address of the token endpoint.
    token_endpoint: String,
    /// When the code ends, 60 seconds after it was made.
    #[schema(format = DateTime)]
    expires: String,
}

/// Parameters for the token endpoint, all but the verifier.
#[derive(ToSchema)]
pub(crate) struct InvitationGrant {
    /// Always `authorization_code`.
    grant_type: String,
    /// To be sent as it is; nobody is redirected.
    redirect_uri: String,
    /// The public OAuth identifier of the client that the invitation is for.
    client_id: String,
    /// The code.
    code: String,
}
