-- Whoever may no longer sign in has no API keys either: they end for good, as sessions do, so that opening the account again
-- does not bring back keys whose holders may be why it was closed.

CREATE FUNCTION jhe_end_api_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM core_practitionerclient WHERE practitioner_id IN
        (SELECT id FROM core_practitioner WHERE jhe_user_id = NEW.id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION jhe_end_api_keys() IS 'Deletes the API keys of an account that was closed.';
CREATE TRIGGER core_jheuser_end_api_keys AFTER UPDATE OF is_active ON core_jheuser
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION jhe_end_api_keys();
