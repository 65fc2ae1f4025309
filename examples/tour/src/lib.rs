//! One small use of everything that the SDK offers, a file for each part: look here for how a thing is done.

mod notes;
mod shipping;
mod upkeep;
mod weather;

use commerce_sdk::prelude::*;

commerce_sdk::plugin! {
    routes: [
        notes::list, notes::show, notes::write, notes::change, notes::remove, notes::export,
        weather::weather,
    ],
    functions: [notes::count],
    provides: { "shipping@1": [shipping::rates] },
    consumers: [upkeep::on_completed],
    jobs: [upkeep::remind],
    schedules: [upkeep::sweep],
    publishes: { "written": notes::Written },
    imports: { "notes": { "csv": upkeep::import_csv } },
    seed: { "notes": upkeep::seed },
    permissions: { "tour.export": "Download all notes" },
    settings: Settings,
}

/// What the store's staff may set.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// Notes older than this are removed.
    #[serde(default = "a_year")]
    pub keep_days: u32,
    /// What the flat shipping costs.
    pub shipping_price: Option<Money>,
}

fn a_year() -> u32 {
    365
}

#[cfg(test)]
mod tests {
    use commerce_sdk::testing;

    #[test]
    fn the_descriptor_tells_bodies_from_answers() {
        let descriptor = testing::describe::<super::ThePlugin>();
        let list = descriptor
            .routes
            .iter()
            .find(|route| route.operation == "tour.list")
            .unwrap();
        assert_eq!(list.path, "/api/tour/notes");
        assert_eq!(list.summary, "The caller's notes, newest first");
        assert!(list.query.as_ref().unwrap()["properties"]["after"].is_object());
        assert_eq!(
            list.answers[0].schema.as_ref().unwrap()["$ref"],
            "#/components/schemas/NotePage"
        );
        assert_eq!(descriptor.schemas["Note"]["properties"]["tags"]["type"], "array");

        let functions: Vec<_> = descriptor
            .functions
            .iter()
            .map(|function| function.name.as_str())
            .collect();
        assert_eq!(functions, ["count", "rates", "import_csv", "seed"]);
        assert_eq!(descriptor.provides["shipping@1"], ["rates"]);
        assert_eq!(descriptor.settings.unwrap()["properties"]["keep_days"]["default"], 365);
    }
}
