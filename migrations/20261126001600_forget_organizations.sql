-- A remembered selection must not name an organization that is gone (as it is with studies).
CREATE FUNCTION jhe_forget_organization() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE core_practitioner SET settings = settings - 'current_organization_id' WHERE settings -> 'current_organization_id' = to_jsonb(OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER core_organization_forget AFTER DELETE ON core_organization FOR EACH ROW EXECUTE FUNCTION jhe_forget_organization();
UPDATE core_practitioner SET settings = settings - 'current_organization_id'
 WHERE settings ? 'current_organization_id'
   AND NOT EXISTS (SELECT FROM core_organization AS o WHERE to_jsonb(o.id) = settings -> 'current_organization_id');
