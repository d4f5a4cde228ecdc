-- Attempts of one subject that come at the same time are settled one after the other, whichever process they come to: who
-- settles holds the subject, then counts, then is counted, in one statement of the server. A plain statement could not do that:
-- it would count what was there before it waited.

CREATE FUNCTION jhe_hold_subject(for_purpose text, of_subject bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(for_purpose || ' ' || encode(of_subject, 'hex'), 0));
END $$;
COMMENT ON FUNCTION jhe_hold_subject(text, bytea) IS 'Waits for others who settle attempts of the subject, until the end of the transaction.';

CREATE FUNCTION jhe_settle_attempt(for_purpose text, of_subject bytea, at timestamptz, since timestamptz,
                                   most bigint, most_failed bigint, has_failed boolean) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    made       bigint;
    made_wrong bigint;
BEGIN
    PERFORM jhe_hold_subject(for_purpose, of_subject);
    SELECT count(*), count(*) FILTER (WHERE failed) INTO made, made_wrong FROM jhe_attempt
     WHERE purpose = for_purpose AND subject = of_subject AND occurred_at > since;
    IF made >= most OR made_wrong >= most_failed THEN
        RETURN false;
    END IF;
    -- Where only failures are limited, what succeeded leaves no row.
    IF has_failed OR most IS NOT NULL THEN
        INSERT INTO jhe_attempt (purpose, subject, occurred_at, failed) VALUES (for_purpose, of_subject, at, has_failed);
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION jhe_settle_attempt(text, bytea, timestamptz, timestamptz, bigint, bigint, boolean) IS
    'Counts an attempt and tells true, or tells false when none was left; limits that are null do not hold.';

CREATE FUNCTION jhe_held_lockout(for_purpose text, of_subject bytea, at timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    PERFORM jhe_hold_subject(for_purpose, of_subject);
    RETURN (SELECT until FROM jhe_lockout WHERE purpose = for_purpose AND subject = of_subject AND until > at);
END $$;
COMMENT ON FUNCTION jhe_held_lockout(text, bytea, timestamptz) IS
    'When a lock-out ends, if one holds; none can begin before the end of the transaction but by it.';
