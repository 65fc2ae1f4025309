//! Answers that try to say more than a plugin may, and routes that show what the pipeline let through.

use commerce_sdk::prelude::*;

commerce_sdk::plugin! {
    routes: [rude, echo, kept, forget, knock, knock_staged, staff_only, customers_only],
    permissions: { "impolite.enter": "Enter where staff may" },
}

/// Headers that would hurt: a second header in a value, a cookie, another origin's right, a security header less.
#[get("/api/impolite/rude/{how}", access = public)]
fn rude(how: Path<String>) -> Result<Response, Problem> {
    let polite = Response::new(200);
    Ok(match how.0.as_str() {
        "split" => polite.header("location", "/a\r\nset-cookie: session=stolen"),
        "cookie" => polite.header("set-cookie", "session=stolen"),
        "origin" => polite.header("access-control-allow-origin", "https://evil.example"),
        "frames" => polite.header("x-frame-options", "ALLOWALL"),
        "public" => polite.header("cache-control", "public, max-age=600"),
        "error" => Response::new(409).body("text/html", b"<h1>no</h1>".to_vec()),
        "odd" => Response::new(42),
        _ => return Err(Problem::not_found("not_found", "Nothing rude here.")),
    })
}

/// What of a request reaches a plugin.
#[get("/api/impolite/echo", access = public, headers("x-told"))]
fn echo(cx: &Context) -> Result<Response, Problem> {
    let seen: Vec<Option<&str>> = ["x-told", "x-untold", "authorization", "cookie", "x-store"]
        .iter()
        .map(|name| cx.header(name))
        .collect();
    Response::json(200, &seen)
}

#[derive(Deserialize, JsonSchema)]
struct Wish {
    colour: Option<String>,
}

/// A new id, what was told, what was not, and whether the caller is known.
type Seen = (String, String, String, bool);

/// A kept answer that would show a poisoned key: it repeats all it was told.
#[get("/api/impolite/kept", access = public, cacheable, headers("x-told"))]
fn kept(cx: &Context, wish: Query<Wish>) -> Result<With<Json<Seen>>, Problem> {
    let told = cx.header("x-told").unwrap_or_default().to_owned();
    let untold = cx.header("x-untold").unwrap_or_default().to_owned();
    let knows_caller = cx.caller().account().is_some();
    Ok(Json((
        ids::new("made"),
        told + &wish.0.colour.unwrap_or_default(),
        untold,
        knows_caller,
    ))
    .cached(60, &["kept"]))
}

#[post("/api/impolite/forget", access = public)]
fn forget() -> Result<NoContent, Problem> {
    cache::invalidate(&["kept"])?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
struct Knock {
    #[schemars(length(min = 1, max = 20))]
    who: String,
}

#[derive(Serialize, JsonSchema)]
struct Knocked {
    id: String,
    /// How many knocks there are now.
    count: i64,
}

/// One row more; who is called `nobody` is refused after it was written, and `slowpoke` takes a while.
#[post("/api/impolite/knocks", access = public, headers("x-door-token"), problems(409 = "nobody_there"))]
fn knock(knock: Json<Knock>) -> Result<Created<Knocked>, Problem> {
    write(&knock.0.who)
}

#[post("/api/impolite/staged-knocks", access = public, staged, problems(409 = "nobody_there"))]
fn knock_staged(knock: Json<Knock>) -> Result<Created<Knocked>, Problem> {
    transaction(|| write(&knock.0.who))
}

fn write(who: &str) -> Result<Created<Knocked>, Problem> {
    let id = ids::new("knock");
    sql!("insert into knocks (id, who) values ($1, $2)", id, who).execute()?;
    let count = sql!("select count(*) from knocks").scalar::<i64>()?;
    match who {
        "nobody" => Err(Problem::conflict("nobody_there", "Nobody is there.")),
        _ => Ok(Created {
            location: format!("/api/impolite/knocks/{id}"),
            body: Knocked { id, count },
        }),
    }
}

#[get("/api/impolite/staff", access = staff("impolite.enter"))]
fn staff_only() -> Result<NoContent, Problem> {
    Ok(NoContent)
}

#[get("/api/impolite/customers", access = customer)]
fn customers_only() -> Result<NoContent, Problem> {
    Ok(NoContent)
}
