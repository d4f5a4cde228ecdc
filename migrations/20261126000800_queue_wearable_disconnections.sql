-- Connections to wearables that end with the consent they fed. Written in the transaction that withdraws it; the service is told
-- by a task, as often as it takes.

CREATE TABLE jhe_wearable_disconnection (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    patient_id   bigint      NOT NULL,
    ow_user_id   text        NOT NULL,
    provider     text        NOT NULL,
    state        text        NOT NULL DEFAULT 'queued',
    attempts     integer     NOT NULL DEFAULT 0,
    next_attempt timestamptz NOT NULL DEFAULT clock_timestamp(),
    created      timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error   text,
    CONSTRAINT jhe_wearable_disconnection_pkey PRIMARY KEY (id),
    CONSTRAINT jhe_wearable_disconnection_state_check CHECK (state IN ('queued', 'done', 'moot', 'failed'))
);
-- What waits is enough; the second of two withdrawals adds nothing.
CREATE UNIQUE INDEX jhe_wearable_disconnection_queued_key ON jhe_wearable_disconnection (ow_user_id, provider) WHERE state = 'queued';
COMMENT ON TABLE jhe_wearable_disconnection IS 'Connections at the wearables service that are to end. No foreign key: the patient may be gone by then.';
COMMENT ON COLUMN jhe_wearable_disconnection.ow_user_id IS 'The account at that service.';
COMMENT ON COLUMN jhe_wearable_disconnection.state IS 'moot: the patient consented again before the service was told.';
