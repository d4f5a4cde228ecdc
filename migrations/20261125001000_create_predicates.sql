-- The authorization vocabulary: one view per base predicate. Every protected query is built on these, and a policy
-- change is a change here. Superusers are members of every organization, so no query has a special case for them.

CREATE VIEW jhe_member AS
    SELECT m.practitioner_id, m.organization_id, m.role
      FROM core_practitionerorganization AS m
      JOIN core_practitioner AS p ON p.id = m.practitioner_id
      JOIN core_jheuser AS u ON u.id = p.jhe_user_id
     WHERE NOT u.is_superuser
    UNION ALL
    SELECT p.id, o.id, 'super_user'
      FROM core_practitioner AS p
      JOIN core_jheuser AS u ON u.id = p.jhe_user_id AND u.is_superuser
     CROSS JOIN core_organization AS o;
COMMENT ON VIEW jhe_member IS 'member(P,O) with role(P,O). Any role reads.';

CREATE VIEW jhe_manages AS
    SELECT practitioner_id, organization_id FROM jhe_member WHERE role IN ('member', 'manager', 'super_user');
COMMENT ON VIEW jhe_manages IS 'manages(P,O): may change patients, studies and consents of O.';

CREATE VIEW jhe_leads AS
    SELECT practitioner_id, organization_id FROM jhe_member WHERE role IN ('manager', 'super_user');
COMMENT ON VIEW jhe_leads IS 'leads(P,O): may change practitioners and sub-organizations of O.';

CREATE VIEW jhe_in_org AS
    SELECT patient_id, organization_id FROM core_patientorganization WHERE confirmed;
COMMENT ON VIEW jhe_in_org IS 'inOrg(pt,O): linked, and not waiting for the patient to agree.';

CREATE VIEW jhe_shares AS
    SELECT m.practitioner_id, i.patient_id, i.organization_id
      FROM jhe_member AS m JOIN jhe_in_org AS i ON i.organization_id = m.organization_id
    UNION ALL
    -- A superuser also sees patients that no organization holds any more.
    SELECT p.id, pt.id, NULL::bigint
      FROM core_practitioner AS p
      JOIN core_jheuser AS u ON u.id = p.jhe_user_id AND u.is_superuser
     CROSS JOIN core_patient AS pt;
COMMENT ON VIEW jhe_shares IS 'shares(P,pt), with the shared organization as witness.';

CREATE VIEW jhe_awaits AS
    SELECT m.practitioner_id, l.patient_id, l.organization_id
      FROM jhe_member AS m
      JOIN core_patientorganization AS l ON l.organization_id = m.organization_id AND NOT l.confirmed
     WHERE NOT EXISTS (SELECT 1 FROM jhe_shares AS s WHERE s.practitioner_id = m.practitioner_id AND s.patient_id = l.patient_id);
COMMENT ON VIEW jhe_awaits IS 'awaits(P,pt): attached by an organization of P, not confirmed, and not shared otherwise.';

CREATE VIEW jhe_manages_patient AS
    SELECT m.practitioner_id, i.patient_id, i.organization_id
      FROM jhe_manages AS m JOIN jhe_in_org AS i ON i.organization_id = m.organization_id;
COMMENT ON VIEW jhe_manages_patient IS 'manages(P,pt,O).';

CREATE VIEW jhe_releases AS
    SELECT s.id AS study_id, s.organization_id, e.patient_id, r.scope_code_id,
           coalesce(c.scope_actions, 'rs') LIKE '%s%' AS may_search,
           coalesce(c.scope_actions, 'rs') LIKE '%r%' AS may_read
      FROM core_study AS s
      JOIN core_studypatient AS e ON e.study_id = s.id
      JOIN core_studyscoperequest AS r ON r.study_id = s.id
      JOIN core_studypatientscopeconsent AS c
        ON c.study_patient_id = e.id AND c.scope_code_id = r.scope_code_id AND c.consented;
COMMENT ON VIEW jhe_releases IS 'releases(S,obs) for each (patient, code): enrolled, requested and consented in the same study, now.';

CREATE VIEW jhe_readable AS
    SELECT m.practitioner_id, r.study_id, r.organization_id, r.patient_id, r.scope_code_id, r.may_search, r.may_read
      FROM jhe_member AS m
      JOIN jhe_releases AS r ON r.organization_id = m.organization_id
      JOIN jhe_in_org AS i ON i.organization_id = r.organization_id AND i.patient_id = r.patient_id;
COMMENT ON VIEW jhe_readable IS 'readable(P,obs) for each (patient, code), with the study that makes it so as witness.';

-- FHIR string search ignores case and accents.
CREATE FUNCTION jhe_fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT lower(regexp_replace(normalize($1, NFKD), U&'[\0300-\036F]', '', 'g'))
$$;
COMMENT ON FUNCTION jhe_fold(text) IS 'Text without case and accents, for comparing.';
