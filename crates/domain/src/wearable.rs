//! Wearables: devices whose readings another service gathers for a patient (integrations §2).

/// The provider whose connections are known. The service takes others by name; the original knew this one.
pub const PROVIDER: &str = "oura";

/// Codes of the data types that a connection feeds (integrations §2.5).
pub const FED_CODES: &[&str] = &[
    "omh:body-temperature:4.0",
    "omh:body-weight:3.0",
    "omh:heart-rate:2.0",
    "omh:oxygen-saturation:2.0",
    "omh:physical-activity:1.2",
    "omh:respiratory-rate:2.0",
    "omh:rr-interval:1.0",
    "omh:sleep-duration:2.0",
    "omh:sleep-episode:1.1",
    "omh:step-count:3.0",
    "ieee:sleep-stage-summary:1.0",
];
