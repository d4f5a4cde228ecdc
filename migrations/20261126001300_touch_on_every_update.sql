-- A row that somebody saves is as new as that, whether or not anything in it is another (data model §1).
DROP TRIGGER core_organization_touch ON core_organization;
CREATE TRIGGER core_organization_touch BEFORE UPDATE ON core_organization FOR EACH ROW EXECUTE FUNCTION jhe_touch();
DROP TRIGGER core_datasource_touch ON core_datasource;
CREATE TRIGGER core_datasource_touch BEFORE UPDATE ON core_datasource FOR EACH ROW EXECUTE FUNCTION jhe_touch();
DROP TRIGGER core_fhirsource_touch ON core_fhirsource;
CREATE TRIGGER core_fhirsource_touch BEFORE UPDATE ON core_fhirsource FOR EACH ROW EXECUTE FUNCTION jhe_touch();
