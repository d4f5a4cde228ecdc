//! What a request is about, as far as its path tells: for entries of the audit trail about requests that were refused.

use jhe_domain::audit::AuditEntry;
use jhe_domain::{OrganizationId, PatientId};

/// What the trail calls a request that is about no kind of row.
pub(crate) const WHOLE: &str = "Request";

/// Collections of the Admin API and types of the FHIR API, with what the trail calls their rows.
const KINDS: [(&str, &str); 21] = [
    ("/api/v1/patients", "Patient"),
    ("/api/v1/organizations", "Organization"),
    ("/api/v1/studies", "Study"),
    ("/api/v1/observations", "Observation"),
    ("/api/v1/practitioners", "Practitioner"),
    ("/api/v1/users", "JheUser"),
    ("/api/v1/data_sources", "DataSource"),
    ("/api/v1/clients", "Application"),
    ("/api/v1/fhir_sources", "FhirSource"),
    ("/api/v1/jhe_settings", "JheSetting"),
    ("/api/v1/practitioner_clients", "PractitionerClient"),
    ("/api/v1/invitation", "PatientInvitation"),
    ("/api/v1/audit_events", "AuditEvent"),
    ("/fhir/r5/Patient", "Patient"),
    ("/fhir/r5/Organization", "Organization"),
    ("/fhir/r5/Group", "Study"),
    ("/fhir/r5/Observation", "Observation"),
    ("/fhir/r5/Practitioner", "Practitioner"),
    ("/fhir/r5/Device", "DataSource"),
    ("/fhir/r5/AuditEvent", "AuditEvent"),
    // Bundles hold nothing but uploads.
    ("/fhir/r5", "Observation"),
];

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) resource: &'static str,
    pub(crate) id: Option<i64>,
}

impl Target {
    /// By the template of the route and the path. Only a number is an id: what else a path holds may be a secret.
    pub(crate) fn of(template: &str, path: &str) -> Self {
        let found = KINDS.iter().find_map(|(collection, resource)| {
            let below = template.strip_prefix(collection)?;
            // The base of the FHIR API is a route itself; what is below it and no type of ours is about nothing.
            let is_it = below.is_empty() || (below.starts_with('/') && *collection != "/fhir/r5");
            is_it.then_some((*collection, below, *resource))
        });
        let Some((collection, below, resource)) = found else { return Self { resource: WHOLE, id: None } };
        let names_one = below.starts_with("/{");
        let segment = path.strip_prefix(collection).and_then(|rest| rest.trim_start_matches('/').split('/').next());
        let id = segment.filter(|_| names_one).and_then(|text| text.parse().ok()).filter(|id| *id >= 0);
        Self { resource, id }
    }

    /// Completes an entry by it.
    pub(crate) fn complete(self, mut entry: AuditEntry) -> AuditEntry {
        entry.resource = self.resource;
        entry.resource_id = self.id;
        match self.resource {
            "Patient" => entry.patient_id = self.id.map(PatientId),
            "Organization" => entry.organization_id = self.id.map(OrganizationId),
            _ => {}
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_what_requests_are_about() {
        let check = |template: &str, path: &str, resource: &str, id: Option<i64>| {
            assert_eq!(Target::of(template, path), Target { resource: expected(resource), id }, "{template} {path}");
        };
        check("/api/v1/patients/{id}", "/api/v1/patients/40003", "Patient", Some(40003));
        check("/api/v1/patients/{id}/consents", "/api/v1/patients/40003/consents", "Patient", Some(40003));
        check("/api/v1/patients", "/api/v1/patients", "Patient", None);
        check("/api/v1/patients/global_lookup", "/api/v1/patients/global_lookup", "Patient", None);
        check("/api/v1/organizations/{id}/users", "/api/v1/organizations/20003/users", "Organization", Some(20003));
        check("/api/v1/data_sources/{id}", "/api/v1/data_sources/70001", "DataSource", Some(70001));
        check("/api/v1/practitioner_clients/{id}", "/api/v1/practitioner_clients/1", "PractitionerClient", Some(1));
        check(
            "/api/v1/invitation/{id}",
            "/api/v1/invitation/abcdefghijklmnopqrstuvwxyz012345",
            "PatientInvitation",
            None,
        );
        check("/fhir/r5/Group/{id}", "/fhir/r5/Group/30001", "Study", Some(30001));
        check("/fhir/r5/Patient/{id}", "/fhir/r5/Patient/-1", "Patient", None);
        check("/fhir/r5/Observation/_search", "/fhir/r5/Observation/_search", "Observation", None);
        check("/fhir/r5", "/fhir/r5", "Observation", None);
        check("/fhir/r5/{*rest}", "/fhir/r5/Immunization/1", WHOLE, None);
        check("/accounts/login/", "/accounts/login/", WHOLE, None);
        check("-", "/api/v1/patients/40003/nothing", WHOLE, None);
    }

    fn expected(name: &str) -> &'static str {
        KINDS.iter().map(|(_, resource)| *resource).find(|resource| *resource == name).unwrap_or(WHOLE)
    }
}
