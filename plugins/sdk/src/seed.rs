//! A believable demonstration, for `commerce seed`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks the function named in `seed` of [`crate::plugin!`] for the items `from..from + count`, the same for the same numbers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SeedRequest")]
pub struct Seed {
    pub count: u64,
    pub from: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "SeedReport")]
pub struct Seeded {
    pub created: u64,
}
