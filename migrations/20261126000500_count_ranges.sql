-- A range of times of a whole study is counted exactly. This index holds all that the count looks at, so it need not fetch
-- the rows, of which there can be hundreds of thousands.
CREATE INDEX core_observation_pair_instant_idx ON core_observation
    (subject_patient_id, codeable_concept_id, effective_date_time DESC, id DESC) WHERE effective_date_time IS NOT NULL;
