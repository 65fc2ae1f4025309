//! What an operator can ask for. Each kind of thing has its own requests, beside the code that carries them out.

use serde::{Deserialize, Serialize, Serializer};

use super::operator::{
    AccountRequest, DataRequest, EventRequest, KeyRequest, PluginRequest, SecretRequest, StoreRequest,
};
use crate::secrets::Secret;

/// One request over the control socket, or carried out directly where no kernel runs. The answer is one JSON value,
/// described with each variant, or a problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Answers `{version, pid, started_at, url, generation}`.
    Status,
    Store(StoreRequest),
    Plugin(PluginRequest),
    Account(AccountRequest),
    Key(KeyRequest),
    Secret(SecretRequest),
    Data(DataRequest),
    Event(EventRequest),
    /// The OpenAPI document as it is served.
    OpenApi {
        store: Option<String>,
    },
}

/// A line on the socket while a request is carried out, before its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done: `seeding notes`.
    pub step: String,
    pub done: u64,
    pub total: Option<u64>,
}

/// For passwords and secrets: the socket is the one way on which they travel as they are.
pub(super) fn exposed<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// Bytes in JSON, at a third more than their length instead of four times.
pub(super) mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)
    }
}
