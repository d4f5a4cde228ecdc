//! Password hashing, opaque tokens and their digests, JWT and JWKS.
