-- References between imported resources (FHIR §6.5). No route has stored a resource so far but the demo data's, so that the index
-- below is made within the migration.

ALTER TABLE core_fhirauxresource ADD COLUMN ref_unresolved boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN core_fhirauxresource.patient_fhir_id IS 'Id of the patient upstream, as the body names it.';
COMMENT ON COLUMN core_fhirauxresource.fhir_resource_id IS 'Id of the resource upstream; what comes again under it replaces the row.';
COMMENT ON COLUMN core_fhirauxresource.fhir_data IS 'The resource, without its type.';
COMMENT ON COLUMN core_fhirauxresource.ref_indexed IS 'Whether its references were looked at since the body was stored: who stores a body sets false.';
COMMENT ON COLUMN core_fhirauxresource.ref_unresolved IS 'Of an indexed row: whether the target of a reference was missing, so that the next run looks again.';

-- What a run has to look at, in the order in which it does.
CREATE INDEX core_fhirauxresource_pending_idx ON core_fhirauxresource (fhir_source_id, id) WHERE NOT ref_indexed OR ref_unresolved;

-- The version of a resource is the time of its last change. That a row was looked at is none.
DROP TRIGGER core_fhirauxresource_touch ON core_fhirauxresource;
CREATE TRIGGER core_fhirauxresource_touch BEFORE UPDATE ON core_fhirauxresource
    FOR EACH ROW WHEN ((OLD.fhir_source_id, OLD.resource_type, OLD.patient_fhir_id, OLD.fhir_resource_id, OLD.fhir_data)
           IS DISTINCT FROM (NEW.fhir_source_id, NEW.resource_type, NEW.patient_fhir_id, NEW.fhir_resource_id, NEW.fhir_data))
    EXECUTE FUNCTION jhe_touch();
