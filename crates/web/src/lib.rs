//! Pages for people: sign-in, consent, account, settings documents.
