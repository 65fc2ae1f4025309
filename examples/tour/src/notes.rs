//! Routes and tables: a list, a resource, and an event for those who care.

use commerce_sdk::prelude::*;

id_type!(pub NoteId = "note");

/// A note as clients see it, and as the statements below select it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Note {
    pub id: NoteId,
    pub title: String,
    pub body: Option<String>,
    pub tags: JsonColumn<Vec<String>>,
    pub written_at: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
pub struct Listing {
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    after: Option<Cursor>,
}

/// The caller's notes, newest first.
#[get("/api/tour/notes", access = customer, problems(422 = "invalid_cursor"))]
pub fn list(cx: &Context, Query(listing): Query<Listing>) -> Result<Json<Page<Note>>, Problem> {
    let limit = listing.limit.unwrap_or(20).min(100);
    let account = account(cx)?;
    let after: Option<(Timestamp, NoteId)> = Cursor::read(&listing.after)?;
    let notes: Vec<Note> = match after {
        None => sql!(
            "select id, title, body, tags, written_at from notes
             where account = $1 order by written_at desc, id desc limit $2",
            account,
            limit + 1
        ),
        Some((time, id)) => sql!(
            "select id, title, body, tags, written_at from notes
             where account = $1 and (written_at < $3 or (written_at = $3 and id < $4))
             order by written_at desc, id desc limit $2",
            account,
            limit + 1,
            time,
            id
        ),
    }
    .all()?;
    Ok(Json(Page::of(notes, limit, |last| {
        Cursor::new(&(last.written_at, &last.id))
    })))
}

#[get("/api/tour/notes/{id}", access = customer, summary = "One note", problems(404 = "unknown_note"))]
pub fn show(cx: &Context, Path(id): Path<NoteId>) -> Result<Json<Note>, Problem> {
    find(&id, account(cx)?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
pub struct NewNote {
    #[schemars(length(min = 1, max = 200))]
    title: String,
    body: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// What others are told once the note is there.
#[derive(Serialize, JsonSchema)]
pub struct Written {
    note_id: NoteId,
}

/// Writes a note.
#[post("/api/tour/notes", access = customer, problems(409 = "title_taken"))]
pub fn write(cx: &Context, Json(new): Json<NewNote>) -> Result<Created<Note>, Problem> {
    let note = Note {
        id: NoteId::new(),
        title: new.title,
        body: new.body,
        tags: JsonColumn(new.tags),
        written_at: clock::now(),
    };
    sql!(
        "insert into notes (id, account, title, body, tags, written_at) values ($1, $2, $3, $4, $5, $6)",
        note.id,
        account(cx)?,
        note.title,
        note.body,
        note.tags,
        note.written_at
    )
    .execute()
    .on_constraint("account, title", || {
        Problem::conflict("title_taken", "You have a note of this title.").field("/title", "is taken")
    })?;
    events::publish(
        "written",
        &note.id,
        &Written {
            note_id: note.id.clone(),
        },
    )?;
    jobs::schedule("remind", &note.id, clock::now() + Duration::from_secs(86_400), &note.id)?;
    Ok(Created {
        location: format!("/api/tour/notes/{}", note.id),
        body: note,
    })
}

/// Absent members stay as they are; `"body": null` clears the body.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NotePatch {
    title: Option<String>,
    body: Patch<String>,
}

/// Changes a note.
#[patch("/api/tour/notes/{id}", access = customer, problems(404 = "unknown_note", 409 = "title_taken"))]
pub fn change(cx: &Context, Path(id): Path<NoteId>, Json(patch): Json<NotePatch>) -> Result<Json<Note>, Problem> {
    let mut note = find(&id, account(cx)?)?;
    note.title = patch.title.unwrap_or(note.title);
    note.body = patch.body.over(note.body);
    sql!(
        "update notes set title = $2, body = $3 where id = $1",
        note.id,
        note.title,
        note.body
    )
    .execute()
    .on_constraint("account, title", || {
        Problem::conflict("title_taken", "You have a note of this title.")
    })?;
    Ok(Json(note))
}

/// Removes a note.
#[delete("/api/tour/notes/{id}", access = customer, problems(404 = "unknown_note"))]
pub fn remove(cx: &Context, Path(id): Path<NoteId>) -> Result<NoContent, Problem> {
    match sql!("delete from notes where id = $1 and account = $2", id, account(cx)?).execute()? {
        0 => Err(unknown_note()),
        _ => {
            jobs::cancel("remind", &id)?;
            Ok(NoContent)
        }
    }
}

/// All notes of the store as one text, for staff.
#[get("/api/tour/export", access = staff("tour.export"))]
pub fn export() -> Result<Response, Problem> {
    let lines = sql!("select title from notes order by written_at, id").scalars::<String>()?;
    let file = "attachment; filename=\"notes.txt\"";
    Ok(Response::new(200)
        .header("content-disposition", file)
        .body("text/plain; charset=utf-8", lines.join("\n")))
}

/// How many notes an account has.
#[function(reads)]
pub fn count(account: String) -> Result<i64, Problem> {
    Ok(sql!("select count(*) from notes where account = $1", account).scalar()?)
}

fn find(id: &NoteId, account: &str) -> Result<Note, Problem> {
    sql!(
        "select id, title, body, tags, written_at from notes where id = $1 and account = $2",
        id,
        account
    )
    .optional()?
    .ok_or_else(unknown_note)
}

fn unknown_note() -> Problem {
    Problem::not_found("unknown_note", "You have no such note.")
}

/// `access = customer` promises one.
fn account(cx: &Context) -> Result<&str, Problem> {
    cx.caller()
        .account()
        .ok_or_else(|| Problem::forbidden("no_account", "Sign in to keep notes."))
}
