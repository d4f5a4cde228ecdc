//! What the letters say. Subjects hold nothing about the recipient; texts at most a given name.

use jhe_domain::Phi;

use crate::App;
use crate::identity::site_title;

/// A letter before it is addressed.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(super) subject: String,
    pub(super) text: Phi<String>,
    pub(super) html: Option<Phi<String>>,
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Letter {
    fn plain(subject: String, text: String) -> Self {
        Self { subject, text: Phi::new(text), html: None }
    }

    /// Paragraphs, and a link below them.
    fn with_link(subject: &str, paragraphs: &[String], link: &str) -> Self {
        let text = format!("{}\n\n{link}\n", paragraphs.join("\n\n"));
        let (prose, address) = (paragraphs.iter().map(|text| escape(text)).collect::<Vec<_>>(), escape(link));
        let html = format!("<p>{}</p><p><a href=\"{address}\">{address}</a></p>", prose.join("</p><p>"));
        Self { subject: subject.to_owned(), text: Phi::new(text), html: Some(Phi::new(html)) }
    }

    /// An invitation of a patient.
    pub(crate) fn invitation(app: &App, given_name: Option<&str>, link: &str) -> Self {
        let greeting = given_name.map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
        let sentence = format!("you are invited to share data through the {}:", site_title(app));
        Self::with_link("JHE Invitation", &[greeting, sentence], link)
    }

    /// A link that shows that mail to the address arrives.
    pub(crate) fn verify_email(app: &App, link: &str) -> Self {
        let sentence = format!("please open this link to confirm your e-mail address for the {}:", site_title(app));
        let note = "If you did not ask for this, you can ignore it.".to_owned();
        Self::with_link("JHE E-mail Verification", &["Hello,".to_owned(), sentence, note], link)
    }

    /// A link to choose a new password.
    pub(crate) fn reset_password(app: &App, email: &Phi<String>, link: &str) -> Self {
        let host = app.settings().site_host();
        let text = format!(
            "A new password was asked for the account {} at {host}.\n\nPlease open this link and choose one:\n\n{link}\n\nIf you did not ask for this, you can ignore it; your password stays as it is.\n",
            email.reveal()
        );
        Self::plain(format!("Password reset on {host}"), text)
    }

    /// A link to choose the first password of an account somebody else made.
    pub(crate) fn first_password(app: &App, link: &str) -> Self {
        let sentence = format!(
            "an account was made for you at the {}. Please open this link and choose a password:",
            site_title(app)
        );
        Self::with_link("Your JupyterHealth Exchange account", &["Hello,".to_owned(), sentence], link)
    }

    /// A code to sign in with.
    pub(crate) fn one_time_code(app: &App, code: &str) -> Self {
        let host = app.settings().site_host();
        let text = format!(
            "Your JupyterHealth Exchange sign-in code is:\n\n{code}\n\nIt is good for three minutes, in the browser that asked for it. If you did not ask for it, you can ignore it.\n"
        );
        Self::plain(format!("[{host}] Sign-In Code"), text)
    }

    /// Somebody asked for a code for an address that has no account.
    pub(crate) fn unknown_account(app: &App, email: &Phi<String>) -> Self {
        let host = app.settings().site_host();
        let text = format!(
            "Somebody tried to sign in at {host} with the address {}, but we don't have an account on record for it.\n\nIf it was you, please ask the study team which address they registered.\n",
            email.reveal()
        );
        Self::plain(format!("[{host}] Sign-In Code"), text)
    }

    /// Somebody asked for a code for an account that must use its password.
    pub(crate) fn password_needed(app: &App) -> Self {
        let host = app.settings().site_host();
        let text = format!(
            "Somebody asked for a sign-in code for your account at {host}. Accounts of administrators sign in with their password only.\n"
        );
        Self::plain(format!("[{host}] Sign-In Code"), text)
    }

    /// A notice after the fact.
    fn notice(app: &App, what: &str) -> Self {
        let host = app.settings().site_host();
        let text = format!("{what}\n\nIf this was not you, please tell the people who run {host}.\n");
        Self::plain(format!("[{host}] Security notice"), text)
    }

    /// The password is another one.
    pub(crate) fn password_changed(app: &App) -> Self {
        Self::notice(app, &format!("The password of your account at {} was changed.", app.settings().site_host()))
    }

    /// There is a new API key.
    pub(crate) fn key_made(app: &App) -> Self {
        Self::notice(app, &format!("A new API key of your account at {} was made.", app.settings().site_host()))
    }

    /// An invitation was used.
    pub(crate) fn invitation_redeemed(app: &App) -> Self {
        let host = app.settings().site_host();
        Self::notice(app, &format!("An app was connected to your account at {host} with an invitation made for you."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_typed_is_text_in_html() {
        let letter = Letter::with_link("S", &["Hello <b>,".to_owned()], "https://a.example/?a=1&b=\"2\"");
        let html = letter.html.unwrap().into_inner();
        assert!(html.contains("Hello &lt;b&gt;,"), "{html}");
        assert!(html.contains("href=\"https://a.example/?a=1&amp;b=&quot;2&quot;\""), "{html}");
    }
}
