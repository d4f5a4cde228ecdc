//! Accounts as their owners manage them: signing up, confirming the address, choosing passwords (identity §4.5, §4.6).

pub mod email;
pub mod password;
pub mod sign_up;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jhe_domain::UserId;

/// How a link names its account: the id in base64url, as links of the original do.
fn account_segment(id: UserId) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}
