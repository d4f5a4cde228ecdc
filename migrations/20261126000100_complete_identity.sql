-- Links sent by mail, one-time codes, results of mail, and the events of identity in the audit trail.

CREATE TABLE jhe_account_link (
    digest  bytea       NOT NULL,
    user_id bigint      NOT NULL,
    purpose text        NOT NULL,
    created timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    CONSTRAINT jhe_account_link_pkey PRIMARY KEY (digest),
    CONSTRAINT jhe_account_link_purpose_check CHECK (purpose IN ('verify_email', 'reset_password')),
    CONSTRAINT jhe_account_link_user_id_fkey FOREIGN KEY (user_id) REFERENCES core_jheuser (id) ON DELETE CASCADE
);
CREATE INDEX jhe_account_link_user_id_idx ON jhe_account_link (user_id, purpose);
CREATE INDEX jhe_account_link_expires_idx ON jhe_account_link (expires);
COMMENT ON TABLE jhe_account_link IS 'Links to an account that were sent to its address, by SHA-256 of their token; used ones are gone.';

-- A link proves that its reader gets the account's mail and that nothing happened since: whatever shows that the owner
-- is there, or makes the address another one, ends it.
CREATE FUNCTION jhe_end_account_links() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM jhe_account_link
     WHERE user_id = NEW.id AND (purpose = 'reset_password' OR OLD.email IS DISTINCT FROM NEW.email OR NOT NEW.is_active);
    RETURN NULL;
END $$;
CREATE TRIGGER core_jheuser_end_account_links AFTER UPDATE OF email, password, last_login, is_active ON core_jheuser
    FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email OR OLD.password IS DISTINCT FROM NEW.password
                       OR OLD.last_login IS DISTINCT FROM NEW.last_login OR (OLD.is_active AND NOT NEW.is_active))
    EXECUTE FUNCTION jhe_end_account_links();

CREATE TABLE jhe_one_time_code (
    digest    bytea       NOT NULL,
    email     text        NOT NULL,
    user_id   bigint,
    code_mac  text        NOT NULL,
    created   timestamptz NOT NULL,
    expires   timestamptz NOT NULL,
    failed    integer     NOT NULL DEFAULT 0,
    resent    integer     NOT NULL DEFAULT 0,
    CONSTRAINT jhe_one_time_code_pkey PRIMARY KEY (digest),
    CONSTRAINT jhe_one_time_code_user_id_fkey FOREIGN KEY (user_id) REFERENCES core_jheuser (id) ON DELETE CASCADE
);
CREATE INDEX jhe_one_time_code_user_id_idx ON jhe_one_time_code (user_id);
CREATE INDEX jhe_one_time_code_expires_idx ON jhe_one_time_code (expires);
COMMENT ON TABLE jhe_one_time_code IS 'Sign-ins that wait for a code sent by mail, by SHA-256 of the browser''s cookie.';
COMMENT ON COLUMN jhe_one_time_code.code_mac IS 'Keyed digest of the code: eight letters are too few for a plain one.';
COMMENT ON COLUMN jhe_one_time_code.user_id IS 'None when no account has the address, which the browser cannot tell.';

CREATE TABLE jhe_used_id_token (
    digest  bytea       NOT NULL,
    expires timestamptz NOT NULL,
    CONSTRAINT jhe_used_id_token_pkey PRIMARY KEY (digest)
);
CREATE INDEX jhe_used_id_token_expires_idx ON jhe_used_id_token (expires);
COMMENT ON TABLE jhe_used_id_token IS 'Id tokens of other issuers that were exchanged, where each may be exchanged once: SHA-256 of issuer and jti.';

-- Texts of mail hold links and codes, so they are sealed with a key of the server and emptied once sent.
ALTER TABLE jhe_mail ADD COLUMN last_error text;
COMMENT ON COLUMN jhe_mail.last_error IS 'Why the last attempt failed, without addresses.';
COMMENT ON COLUMN jhe_mail.body_text IS 'Sealed with a key of the server.';

ALTER TABLE jhe_audit_event ADD COLUMN ip inet;
COMMENT ON COLUMN jhe_audit_event.ip IS 'From where, for events of signing in and of tokens.';
ALTER TABLE jhe_audit_event DROP CONSTRAINT jhe_audit_event_action_check;
ALTER TABLE jhe_audit_event ADD CONSTRAINT jhe_audit_event_action_check CHECK (action IN (
    'read', 'create', 'update', 'delete', 'lookup', 'invite', 'redeem', 'cancel', 'login', 'denied',
    'login_failed', 'lockout', 'logout', 'token_issue', 'token_refresh', 'token_reuse', 'token_revoke', 'exchange',
    'password_change', 'password_reset'));

-- Refreshing ends the access token beside the old refresh token.
CREATE INDEX oauth2_provider_accesstoken_refresh_id_idx ON oauth2_provider_accesstoken (refresh_id) WHERE refresh_id IS NOT NULL;
-- Machines' tokens name no account.
DROP INDEX oauth2_provider_accesstoken_user_id_idx;
CREATE INDEX oauth2_provider_accesstoken_user_id_idx ON oauth2_provider_accesstoken (user_id) WHERE user_id IS NOT NULL;

-- Each new token would take a shared lock on the rows of its client and of its account, which all tokens of a client have in
-- common: under load that costs more than the token. Tokens count only together with their client and account, so
-- these end them instead.
ALTER TABLE oauth2_provider_accesstoken
    DROP CONSTRAINT oauth2_provider_accesstoken_user_id_fkey,
    DROP CONSTRAINT oauth2_provider_accesstoken_application_id_fkey;
ALTER TABLE oauth2_provider_refreshtoken
    DROP CONSTRAINT oauth2_provider_refreshtoken_user_id_fkey,
    DROP CONSTRAINT oauth2_provider_refreshtoken_application_id_fkey;

CREATE FUNCTION jhe_end_tokens_of_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM oauth2_provider_accesstoken WHERE user_id = OLD.id;
    DELETE FROM oauth2_provider_refreshtoken WHERE user_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER core_jheuser_end_tokens AFTER DELETE ON core_jheuser
    FOR EACH ROW EXECUTE FUNCTION jhe_end_tokens_of_account();

CREATE FUNCTION jhe_end_tokens_of_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM oauth2_provider_accesstoken WHERE application_id = OLD.id;
    DELETE FROM oauth2_provider_refreshtoken WHERE application_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER oauth2_provider_application_end_tokens AFTER DELETE ON oauth2_provider_application
    FOR EACH ROW EXECUTE FUNCTION jhe_end_tokens_of_application();
