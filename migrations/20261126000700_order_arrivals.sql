-- Observations in the order in which they became visible, for clients that poll (FHIR B-2). The number of the transaction that
-- stored a row is that order, as long as only rows are shown whose transactions are older than any that is still open.

-- Rows that are there already come first, by id. Two steps, so that the table is not written anew.
ALTER TABLE core_observation ADD COLUMN arrival bigint NOT NULL DEFAULT 0;
ALTER TABLE core_observation ALTER COLUMN arrival SET DEFAULT pg_current_xact_id()::text::bigint;
COMMENT ON COLUMN core_observation.arrival IS 'The transaction that stored the row, counted on from one cluster to the next.';
-- New rows go to its end, where an index costs the least.
CREATE INDEX core_observation_arrival_idx ON core_observation (arrival, id);

-- In a cluster to which the database was moved, transactions may be numbered lower. Then what was brought along is added to their
-- numbers, so that the order goes on.
CREATE TABLE jhe_arrival_shift (
    only_row boolean NOT NULL DEFAULT true,
    shift    bigint  NOT NULL,
    CONSTRAINT jhe_arrival_shift_pkey PRIMARY KEY (only_row),
    CONSTRAINT jhe_arrival_shift_only_row_check CHECK (only_row)
);
INSERT INTO jhe_arrival_shift (shift) VALUES (0);
COMMENT ON TABLE jhe_arrival_shift IS 'What is added to the number of a transaction of this cluster to make an arrival: one row.';

CREATE FUNCTION jhe_follow_cluster() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    newest bigint;
BEGIN
    -- Whatever is seen was stored by a transaction that had begun: one that has not is of another cluster.
    SELECT max(o.arrival) INTO newest FROM core_observation AS o;
    PERFORM 1 FROM jhe_arrival_shift AS s
      WHERE newest - s.shift >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE jhe_arrival_shift SET shift = newest;
    -- A constant in the default, so that storing a row does not have to look it up.
    EXECUTE format('ALTER TABLE core_observation ALTER COLUMN arrival SET DEFAULT %s + pg_current_xact_id()::text::bigint', newest);
    RETURN true;
END $$;
COMMENT ON FUNCTION jhe_follow_cluster IS 'Whether the database was found to be in another cluster, in which arrivals go on.';
