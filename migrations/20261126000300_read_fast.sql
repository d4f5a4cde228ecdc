-- For pages below a cursor when a caller may read much of all there is: a walk down the newest, sorting out the rest.
-- New rows go to its end, where an index costs the least.
CREATE INDEX core_observation_newest_idx ON core_observation (last_updated DESC, id DESC);

-- Superusers are few, and every question about memberships asks who they are.
CREATE INDEX core_jheuser_superuser_idx ON core_jheuser (id) WHERE is_superuser;

-- Readings that cover an interval, among which a range of times cannot be cut out of the index of points in time.
CREATE INDEX core_observation_pair_period_idx ON core_observation (subject_patient_id, codeable_concept_id)
    WHERE effective_date_time IS NULL;

-- A change is later than what it changes, whatever the clock does: the newest time of a pair must not lie above its rows.
CREATE OR REPLACE FUNCTION jhe_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.last_updated := greatest(clock_timestamp(), OLD.last_updated + interval '1 microsecond');
    RETURN NEW;
END $$;
