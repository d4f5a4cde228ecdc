-- What was seeded once is not seeded again: an administrator may have removed it since.
CREATE TABLE jhe_seed (
    name      text PRIMARY KEY,
    seeded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE jhe_seed IS 'Sets of data that were made in this database, each once.';
-- The setting that is made last.
INSERT INTO jhe_seed (name)
SELECT 'reference' FROM core_jhesetting WHERE key = 'fhir.observation_search_requires_scope' LIMIT 1;

-- The history of consents is as permanent as the audit trail.
CREATE TRIGGER jhe_consent_event_keep BEFORE TRUNCATE ON jhe_consent_event
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_append_only();
