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
