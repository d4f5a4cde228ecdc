-- A range of times of a whole study is counted exactly, and its newest changes come first. This index holds all that both
-- look at, so they need not fetch the rows, of which there can be hundreds of thousands.
CREATE INDEX core_observation_pair_instant_idx ON core_observation
    (subject_patient_id, codeable_concept_id, effective_date_time DESC, id DESC) INCLUDE (last_updated)
    WHERE effective_date_time IS NOT NULL;
