-- Whoever ends all access of an account holds its row; whoever issues something to it shares the row and looks at this number
-- again. What was proved before the access ended opens nothing after it.
ALTER TABLE core_jheuser ADD COLUMN access_epoch integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN core_jheuser.access_epoch IS 'How often all access of the account was ended.';

-- Refresh tokens before access tokens, as everybody changes them.
CREATE OR REPLACE FUNCTION jhe_end_tokens_of_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM oauth2_provider_refreshtoken WHERE user_id = OLD.id;
    DELETE FROM oauth2_provider_accesstoken WHERE user_id = OLD.id;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION jhe_end_tokens_of_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM oauth2_provider_refreshtoken WHERE application_id = OLD.id;
    DELETE FROM oauth2_provider_accesstoken WHERE application_id = OLD.id;
    RETURN NULL;
END $$;
