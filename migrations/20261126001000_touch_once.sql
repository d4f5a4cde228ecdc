-- What is shown with its parts changes with them: once for a statement, not once for a row. Touched for each row, a list of
-- thousands made thousands of versions of one row within one transaction, and every one was found by walking past all before.

DROP TRIGGER core_patientidentifier_touch ON core_patientidentifier;
DROP FUNCTION jhe_touch_patient_of_identifier();
CREATE FUNCTION jhe_touch_patients_of_identifiers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE core_patient SET last_updated = clock_timestamp() WHERE id IN (SELECT DISTINCT patient_id FROM changed);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION jhe_touch_patients_of_identifiers() IS 'Identifiers are shown with the patient: changing them changes the patient''s version.';
-- One trigger for each event, since those of several events cannot see the rows of the statement.
CREATE TRIGGER core_patientidentifier_touch_new AFTER INSERT ON core_patientidentifier
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jhe_touch_patients_of_identifiers();
CREATE TRIGGER core_patientidentifier_touch_changed AFTER UPDATE ON core_patientidentifier
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jhe_touch_patients_of_identifiers();
CREATE TRIGGER core_patientidentifier_touch_gone AFTER DELETE ON core_patientidentifier
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jhe_touch_patients_of_identifiers();

DROP TRIGGER core_studypatient_touch ON core_studypatient;
DROP FUNCTION jhe_touch_study_of_enrolment();
CREATE FUNCTION jhe_touch_studies_of_enrolments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- In one order for everybody, so that two patients who leave the same studies do not wait for each other in a circle.
    PERFORM 1 FROM core_study WHERE id IN (SELECT DISTINCT study_id FROM changed) ORDER BY id FOR NO KEY UPDATE;
    UPDATE core_study SET last_updated = clock_timestamp() WHERE id IN (SELECT DISTINCT study_id FROM changed);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION jhe_touch_studies_of_enrolments() IS 'Enrolments are shown with the study: changing them changes the study''s version.';
CREATE TRIGGER core_studypatient_touch_new AFTER INSERT ON core_studypatient
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jhe_touch_studies_of_enrolments();
CREATE TRIGGER core_studypatient_touch_gone AFTER DELETE ON core_studypatient
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION jhe_touch_studies_of_enrolments();
