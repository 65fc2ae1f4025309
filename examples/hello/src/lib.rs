//! The smallest plugin that does something: it greets by name and remembers how often.

use commerce_sdk::prelude::*;

commerce_sdk::plugin! {
    routes: [read, greet],
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Greeting {
    text: String,
    /// How often this name was greeted.
    count: i64,
}

/// Reads a greeting.
#[get("/api/hello/{name}", access = public, problems(404 = "never_greeted"))]
fn read(name: Path<String>) -> Result<Json<Greeting>, Problem> {
    let count = sql!("select count from greetings where name = $1", name.0)
        .optional::<(i64,)>()?
        .map(|(count,)| count)
        .ok_or_else(|| Problem::not_found("never_greeted", "Nobody of that name was greeted."))?;
    Ok(Json(greeting(&name.0, count)))
}

#[derive(Deserialize, JsonSchema)]
struct Guest {
    #[schemars(length(min = 1, max = 100))]
    name: String,
}

/// Greets somebody, and counts it.
#[post("/api/hello", access = public)]
fn greet(guest: Json<Guest>) -> Result<Created<Greeting>, Problem> {
    let name = guest.0.name;
    let count = sql!(
        "insert into greetings (name, count) values ($1, 1)
         on conflict (name) do update set count = greetings.count + 1
         returning count",
        name
    )
    .scalar::<i64>()?;
    Ok(Created {
        location: format!("/api/hello/{name}"),
        body: greeting(&name, count),
    })
}

fn greeting(name: &str, count: i64) -> Greeting {
    Greeting {
        text: format!("Hello, {name}!"),
        count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_names_its_guest() {
        assert_eq!(greeting("Ani", 1).text, "Hello, Ani!");
    }
}
