//! OAuth 2.0 and OpenID Connect, /o: the only crate that names oxide-auth.
