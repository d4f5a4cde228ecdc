-- The audit trail says from which request an entry came and how that ended, whom a page of many was about, and is sealed.

-- Which transaction wrote a row tells which rows are settled: all those of transactions older than any that is still open.
ALTER TABLE jhe_audit_event
    ADD COLUMN template    text,
    ADD COLUMN patient_ids bigint[],
    ADD COLUMN xact        bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
COMMENT ON COLUMN jhe_audit_event.template IS 'Method and route template of the request; never its path or query.';
COMMENT ON COLUMN jhe_audit_event.status IS 'HTTP status of the answer; null where there was none, and for what was written within the change itself.';
COMMENT ON COLUMN jhe_audit_event.patient_ids IS 'Whose data, when it is that of several patients.';
COMMENT ON COLUMN jhe_audit_event.xact IS 'The transaction that wrote the row.';
COMMENT ON COLUMN jhe_audit_event.ip IS 'From where the request came.';
-- A summary of pages, not an entry for each row: what is sealed next lies together at the end of the table.
CREATE INDEX jhe_audit_event_xact_idx ON jhe_audit_event USING brin (xact) WITH (pages_per_range = 16, autosummarize = on);
-- Lists of whole organizations and of everything go by id; those of one patient have an index already.
CREATE INDEX jhe_audit_event_patient_ids_idx ON jhe_audit_event USING gin (patient_ids) WHERE patient_ids IS NOT NULL;

CREATE TRIGGER jhe_audit_event_keep BEFORE TRUNCATE ON jhe_audit_event FOR EACH STATEMENT EXECUTE FUNCTION jhe_append_only();

-- What a seal stands for. A column added later belongs into a new function, so that old seals can still be checked.
CREATE FUNCTION jhe_audit_digest(e jhe_audit_event) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(jsonb_build_array(e.id, extract(epoch FROM e.occurred_at), e.actor_user_id, e.application_id,
        e.action, e.resource, e.resource_id, e.patient_id, e.patient_ids, e.organization_id, e.rows, e.status, e.request_id,
        e.template, e.reason, host(e.ip), e.xact)::text, 'UTF8'))
$$;
COMMENT ON FUNCTION jhe_audit_digest IS 'SHA-256 of all that an entry says.';

CREATE TABLE jhe_audit_seal (
    seq        bigint      NOT NULL,
    sealed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    after_id   bigint      NOT NULL,
    from_xact  bigint      NOT NULL,
    below_xact bigint      NOT NULL,
    rows       bigint      NOT NULL,
    first_id   bigint      NOT NULL,
    last_id    bigint      NOT NULL,
    closes     boolean     NOT NULL DEFAULT false,
    digest     bytea       NOT NULL,
    seal       text        NOT NULL,
    CONSTRAINT jhe_audit_seal_pkey PRIMARY KEY (seq),
    CONSTRAINT jhe_audit_seal_xact_check CHECK (from_xact <= below_xact)
);
COMMENT ON TABLE jhe_audit_seal IS 'The hash chain over the audit trail: each seal covers the entries of the transactions that came after those of the one before it.';
COMMENT ON COLUMN jhe_audit_seal.after_id IS 'Entries up to this one came from another cluster, whose transactions were numbered on their own.';
COMMENT ON COLUMN jhe_audit_seal.closes IS 'The last one of a cluster: it covers all that was left, whatever its transaction.';
COMMENT ON COLUMN jhe_audit_seal.digest IS 'SHA-256 over the digests of the entries, by id.';
COMMENT ON COLUMN jhe_audit_seal.seal IS 'Keyed digest of this row and the seal before it.';
CREATE TRIGGER jhe_audit_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON jhe_audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION jhe_append_only();
