-- How long the audit trail is kept is up to operators: the server removes whole seals from its beginning, and notes the last
-- one with a keyed digest, from which the chain goes on. Nobody else removes anything, and what is gone without such a
-- note breaks the chain.

CREATE TABLE jhe_audit_removal (
    seq        bigint      NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seal       text        NOT NULL,
    last_id    bigint      NOT NULL,
    rows       bigint      NOT NULL,
    xact       bigint      NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    mac        text        NOT NULL,
    CONSTRAINT jhe_audit_removal_pkey PRIMARY KEY (seq)
);
COMMENT ON TABLE jhe_audit_removal IS 'Beginnings of the audit trail that were removed because they were older than retention.audit_days; the newest says where the chain begins now.';
COMMENT ON COLUMN jhe_audit_removal.seq IS 'The last seal that was removed, with all before it.';
COMMENT ON COLUMN jhe_audit_removal.seal IS 'Its keyed digest, which the next seal is bound to.';
COMMENT ON COLUMN jhe_audit_removal.last_id IS 'The greatest entry that removed seals covered.';
COMMENT ON COLUMN jhe_audit_removal.rows IS 'How many entries were removed, with those of earlier removals.';
COMMENT ON COLUMN jhe_audit_removal.xact IS 'The transaction that removed them: no other may.';
COMMENT ON COLUMN jhe_audit_removal.mac IS 'Keyed digest of this row.';
CREATE TRIGGER jhe_audit_removal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON jhe_audit_removal
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_append_only();

-- Refuses to remove anything in a transaction that has not noted it before.
CREATE FUNCTION jhe_audit_noted_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM jhe_audit_removal AS r WHERE r.xact = pg_current_xact_id()::text::bigint) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

-- The same for what lies beyond the note.
CREATE FUNCTION jhe_audit_event_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT max(g.id) FROM gone AS g)
       > (SELECT max(r.last_id) FROM jhe_audit_removal AS r WHERE r.xact = pg_current_xact_id()::text::bigint) THEN
        RAISE EXCEPTION 'jhe_audit_event is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION jhe_audit_seal_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT max(g.seq) FROM gone AS g)
       > (SELECT max(r.seq) FROM jhe_audit_removal AS r WHERE r.xact = pg_current_xact_id()::text::bigint) THEN
        RAISE EXCEPTION 'jhe_audit_seal is append-only' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER jhe_audit_event_append_only ON jhe_audit_event;
CREATE TRIGGER jhe_audit_event_append_only BEFORE UPDATE ON jhe_audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_append_only();
CREATE TRIGGER jhe_audit_event_noted_only BEFORE DELETE ON jhe_audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_audit_noted_only();
CREATE TRIGGER jhe_audit_event_noted AFTER DELETE ON jhe_audit_event REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_audit_event_noted();

DROP TRIGGER jhe_audit_seal_append_only ON jhe_audit_seal;
CREATE TRIGGER jhe_audit_seal_append_only BEFORE UPDATE OR TRUNCATE ON jhe_audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_append_only();
CREATE TRIGGER jhe_audit_seal_noted_only BEFORE DELETE ON jhe_audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_audit_noted_only();
CREATE TRIGGER jhe_audit_seal_noted AFTER DELETE ON jhe_audit_seal REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_audit_seal_noted();
