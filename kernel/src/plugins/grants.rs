//! What the operator granted a plugin: the manifest's own shape, never more than the manifest asks for.
//!
//! Asked and granted are two checks. A narrowed grant lets the plugin install and run; what was left out is refused on the path
//! of the real call, with the sentence the plugin's author needs.

use commerce_contract::Capabilities;
use serde::{Deserialize, Serialize};

use super::bindings::imports::types::Refusal;

/// The operator's answer to what a package asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// All that it asks for.
    All,
    /// What was granted to the version before; fails where the new one asks for more.
    Unchanged,
    /// Exactly this, whatever it asks for beyond.
    Listed(Capabilities),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GrantError {
    #[error("granted, but the package does not ask for it: {0}")]
    NotAsked(String),
    #[error("the package asks for more than was granted before: {0}")]
    Wider(String),
}

pub fn decide(
    decision: &Decision,
    asked: &Capabilities,
    before: Option<&Capabilities>,
) -> Result<Capabilities, GrantError> {
    match decision {
        Decision::All => Ok(asked.clone()),
        Decision::Unchanged => {
            let nothing = Capabilities::default();
            let before = before.unwrap_or(&nothing);
            match beyond(asked, before) {
                more if more.is_empty() => Ok(asked.clone()),
                more => Err(GrantError::Wider(more.join(", "))),
            }
        }
        Decision::Listed(listed) => match beyond(listed, asked) {
            more if more.is_empty() => Ok(listed.clone()),
            more => Err(GrantError::NotAsked(more.join(", "))),
        },
    }
}

/// Everything in `wide` that is not in `narrow`, as an operator reads it: `http api.example.com`, `call notes.archive`.
pub fn beyond(wide: &Capabilities, narrow: &Capabilities) -> Vec<String> {
    // Destructured, so that a new capability cannot be forgotten here.
    let Capabilities {
        sql,
        views,
        call,
        services,
        provides,
        publish,
        subscribe,
        jobs,
        cache,
        http,
        secrets,
    } = wide;
    let switches = [
        ("sql", *sql, narrow.sql),
        ("jobs", *jobs, narrow.jobs),
        ("cache", *cache, narrow.cache),
    ];
    let lists = [
        ("read view", views, &narrow.views),
        ("call", call, &narrow.call),
        ("use service", services, &narrow.services),
        ("provide", provides, &narrow.provides),
        ("publish", publish, &narrow.publish),
        ("subscribe to", subscribe, &narrow.subscribe),
        ("http", http, &narrow.http),
        ("secret", secrets, &narrow.secrets),
    ];
    let switches = switches
        .into_iter()
        .filter(|(_, wide, narrow)| *wide && !narrow)
        .map(|(name, ..)| name.to_owned());
    let entries = lists.into_iter().flat_map(|(name, wide, narrow)| {
        wide.iter()
            .filter(|entry| !narrow.contains(entry))
            .map(move |entry| format!("{name} {entry}"))
    });
    switches.chain(entries).collect()
}

/// The refusal a plugin's author reads: what to write where, or whom to ask.
pub fn not_granted(asked: bool, entry: &str) -> Refusal {
    Refusal::NotGranted(if asked {
        format!("the operator has not granted `{entry}`")
    } else {
        format!("write `{entry}` under [capabilities] in plugin.toml and have the operator grant it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(hosts: &[&str]) -> Capabilities {
        Capabilities {
            sql: true,
            http: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..Capabilities::default()
        }
    }

    #[test]
    fn an_upgrade_that_asks_for_another_host_needs_a_new_yes() {
        let before = asking(&["a.example"]);
        let error = decide(
            &Decision::Unchanged,
            &asking(&["a.example", "b.example"]),
            Some(&before),
        )
        .unwrap_err();
        assert_eq!(error, GrantError::Wider("http b.example".to_owned()));
    }

    #[test]
    fn an_operator_may_grant_less_but_not_what_nobody_asked_for() {
        let narrow = decide(&Decision::Listed(asking(&[])), &asking(&["a.example"]), None).unwrap();
        assert!(narrow.http.is_empty());
        let error = decide(&Decision::Listed(asking(&["x.example"])), &asking(&[]), None).unwrap_err();
        assert_eq!(error, GrantError::NotAsked("http x.example".to_owned()));
    }
}
