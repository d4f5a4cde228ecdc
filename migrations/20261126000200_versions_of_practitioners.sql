-- A practitioner's version is that of its record: the view it last looked at is no part of it.
DROP TRIGGER core_practitioner_touch ON core_practitioner;
CREATE TRIGGER core_practitioner_touch BEFORE UPDATE ON core_practitioner
    FOR EACH ROW WHEN ((OLD.identifier, OLD.name_family, OLD.name_given) IS DISTINCT FROM (NEW.identifier, NEW.name_family, NEW.name_given))
    EXECUTE FUNCTION jhe_touch();
