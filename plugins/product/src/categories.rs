//! The tree of categories.
//!
//! Each row knows its path of ids from the root; `category_ancestors` has every pair of a category and one above it (and
//! itself), which is what shelves are derived from. Both change together, under locks of everything on the two paths a
//! move touches, so that two moves can't close a circle.

use std::collections::{BTreeMap, BTreeSet};

use commerce_sdk::prelude::*;

use crate::announce::{self, CATEGORIES};
use crate::input::some_text;
use crate::products::KEEP_S;
use crate::{shelves, slug};

/// Levels. Far below what a path of ids can hold in an index.
const DEEPEST: usize = 12;

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Category {
    id: String,
    parent_id: Option<String>,
    slug: String,
    title: String,
    description: String,
    position: i64,
    /// The ids from the root to this category, each followed by a slash.
    path: String,
    version: i64,
}

#[derive(Serialize, JsonSchema)]
pub struct CategoryWithPath {
    #[serde(flatten)]
    category: Category,
    /// From the root to its parent.
    ancestors: Vec<Category>,
    /// Directly below, by position.
    children: Vec<Category>,
}

#[derive(Deserialize, JsonSchema)]
pub struct CategoriesQuery {
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    after: Option<Cursor>,
}

#[derive(Deserialize, JsonSchema)]
pub struct CategoryInput {
    #[schemars(length(min = 1, max = 255))]
    title: String,
    /// Made from the title where it is absent.
    slug: Option<String>,
    parent_id: Option<String>,
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    description: String,
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    position: i64,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CategoryPatch {
    #[schemars(length(min = 1, max = 255))]
    title: Option<String>,
    slug: Option<String>,
    /// `null` makes it a root.
    parent_id: Patch<String>,
    #[schemars(length(max = 10_000))]
    description: Option<String>,
    #[schemars(range(min = 0, max = 1_000_000))]
    position: Option<i64>,
}

macro_rules! categories_where {
    ($rest:literal) => {
        concat!("select c.id, c.parent_id, c.slug, c.title, c.description, c.position, c.path, c.version from categories c ", $rest)
    };
}

/// All categories, each behind the one above it
#[get("/api/categories", access = public, cacheable, operation = "list_categories", problems(422 = "invalid_cursor"))]
pub fn list(Query(query): Query<CategoriesQuery>) -> Result<With<Json<Page<Category>>>, Problem> {
    let limit = query.limit.unwrap_or(200).clamp(1, 500);
    let after = Cursor::read::<String>(&query.after)?.unwrap_or_default();
    let categories = sql!(
        categories_where!("where c.path > $1 order by c.path limit $2"),
        after,
        limit + 1
    )
    .all::<Category>()?;
    let page = Page::of(categories, limit, |last| Cursor::new(&last.path));
    Ok(Json(page).cached(KEEP_S, &[CATEGORIES]))
}

/// A category by its id or slug, with what is above and directly below
#[get("/api/categories/{category}", access = public, cacheable, operation = "show_category", problems(404 = "unknown_category"))]
pub fn show(Path(name): Path<String>) -> Result<With<Json<CategoryWithPath>>, Problem> {
    let category = find(&name)?.ok_or_else(unknown)?;
    let ids: Vec<&str> = category
        .path
        .split_terminator('/')
        .filter(|id| *id != category.id)
        .collect();
    let ancestors = sql!(
        categories_where!("where c.id = any($1) order by c.path"),
        JsonColumn(ids)
    )
    .all::<Category>()?;
    let children = sql!(
        categories_where!("where c.parent_id = $1 order by c.position, c.id"),
        category.id
    )
    .all::<Category>()?;
    Ok(Json(CategoryWithPath {
        category,
        ancestors,
        children,
    })
    .cached(KEEP_S, &[CATEGORIES]))
}

/// Makes a category
#[post("/api/categories", access = staff("product.write"), operation = "create_category",
    problems(409 = "slug_taken", 422 = "unknown_category", 422 = "too_deep"))]
pub fn create(Json(input): Json<CategoryInput>) -> Result<Created<Category>, Problem> {
    let id = ids::new("cat");
    let slug = match input.slug {
        Some(slug) => valid(slug)?,
        None => slug::from_title(&input.title),
    };
    let parent = input.parent_id.as_deref().map(lock_parent).transpose()?;
    let path = below(parent.as_ref(), &id, 0)?;
    insert(&[CategoryRow {
        id: &id,
        parent_id: parent.as_ref().map(|parent| parent.id.as_str()),
        slug: &slug,
        title: input.title.trim(),
        description: input.description.trim(),
        position: input.position,
        path: &path,
        at: clock::now(),
    }])?;
    announce::categories_changed()?;
    Ok(Created {
        location: format!("/api/categories/{id}"),
        body: find(&id)?.ok_or_else(unknown)?,
    })
}

/// Changes a category, or moves it with everything below
#[patch("/api/categories/{category}", access = staff("product.write"), operation = "change_category",
    problems(404 = "unknown_category", 409 = "slug_taken", 422 = "category_cycle", 422 = "unknown_category", 422 = "too_deep"))]
pub fn change(Path(id): Path<String>, Json(patch): Json<CategoryPatch>) -> Result<Json<Category>, Problem> {
    let parent_id = match &patch.parent_id {
        Patch::Absent => None,
        Patch::Null => Some(None),
        Patch::Value(parent) => Some(Some(parent.as_str())),
    };
    if let Some(parent_id) = parent_id {
        move_below(&id, parent_id)?;
    }
    let slug = patch.slug.map(valid).transpose()?;
    let changed = sql!(
        "update categories set title = coalesce($2, title), slug = coalesce($3, slug), description = coalesce($4, description),
            position = coalesce($5, position), version = version + 1, updated_at = $6
         where id = $1",
        id,
        some_text(patch.title),
        slug,
        patch.description,
        patch.position,
        clock::now()
    )
    .execute()
    .on_constraint("slug", slug_taken)?;
    if changed == 0 {
        return Err(unknown());
    }
    announce::categories_changed()?;
    find(&id)?.ok_or_else(unknown).map(Json)
}

/// Deletes a category that has none below; its products stay
#[delete("/api/categories/{category}", access = staff("product.write"), operation = "remove_category",
    problems(404 = "unknown_category", 409 = "category_has_children"))]
pub fn remove(Path(id): Path<String>) -> Result<NoContent, Problem> {
    lock([id.as_str()])?;
    if sql!("select 1 as one from categories where parent_id = $1 limit 1", id)
        .optional::<(i64,)>()?
        .is_some()
    {
        return Err(Problem::conflict(
            "category_has_children",
            "Move or delete the categories below it first.",
        ));
    }
    let products = sql!("select product_id from product_categories where category_id = $1", id).scalars::<String>()?;
    if sql!("delete from categories where id = $1", id).execute()? == 0 {
        return Err(unknown());
    }
    shelves::refill(&products, store()?.currency)?;
    announce::categories_changed()?;
    Ok(NoContent)
}

/// Ids for ids and slugs, each once.
pub fn resolve(names: &[String]) -> Result<Vec<String>, Problem> {
    Named::find(names.iter())?.resolve(names)
}

/// What the names that clients give to categories mean: (id, slug).
pub struct Named(Vec<(String, String)>);

impl Named {
    pub fn find<'a>(names: impl Iterator<Item = &'a String>) -> Result<Self, Problem> {
        let names: Vec<&String> = names.collect();
        if names.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let known = sql!(
            "select id, slug from categories where id = any($1) or slug = any($1)",
            JsonColumn(names)
        );
        Ok(Self(known.all()?))
    }

    pub fn resolve(&self, names: &[String]) -> Result<Vec<String>, Problem> {
        let mut ids = BTreeSet::new();
        let mut problem = Problem::unprocessable("unknown_category", "Some categories are not there.");
        for (at, name) in names.iter().enumerate() {
            match self.0.iter().find(|(id, slug)| id == name || slug == name) {
                Some((id, _)) => _ = ids.insert(id.clone()),
                None => problem = problem.field(format!("/categories/{at}"), "is no category's id or slug"),
            }
        }
        if problem.errors.is_empty() {
            Ok(ids.into_iter().collect())
        } else {
            Err(problem)
        }
    }
}

/// A tree that a demonstration needs: (slug, title, slug of the parent), parents first. What is there already stays.
pub fn ensure(tree: &[(&str, &str, Option<&str>)]) -> Result<BTreeMap<String, String>, Problem> {
    let slugs: Vec<&str> = tree.iter().map(|(slug, ..)| *slug).collect();
    let known = sql!(
        "select slug, id, path from categories where slug = any($1)",
        JsonColumn(slugs)
    )
    .all::<(String, String, String)>()?;
    let mut found: BTreeMap<String, (String, String)> =
        known.into_iter().map(|(slug, id, path)| (slug, (id, path))).collect();
    let mut made = false;
    for (position, (slug, title, parent)) in tree.iter().enumerate() {
        if found.contains_key(*slug) {
            continue;
        }
        let id = ids::new("cat");
        let parent = parent.and_then(|parent| found.get(parent));
        let path = parent.map_or_else(|| format!("{id}/"), |(_, path)| format!("{path}{id}/"));
        insert(&[CategoryRow {
            id: &id,
            parent_id: parent.map(|(id, _)| id.as_str()),
            slug,
            title,
            description: "",
            position: position as i64,
            path: &path,
            at: clock::now(),
        }])?;
        found.insert((*slug).to_owned(), (id, path));
        made = true;
    }
    if made {
        announce::categories_changed()?;
    }
    Ok(found.into_iter().map(|(slug, (id, _))| (slug, id)).collect())
}

struct CategoryRow<'a> {
    id: &'a str,
    parent_id: Option<&'a str>,
    slug: &'a str,
    title: &'a str,
    description: &'a str,
    position: i64,
    path: &'a str,
    at: Timestamp,
}

fn insert(rows: &[CategoryRow<'_>]) -> Result<(), Problem> {
    for row in rows {
        sql!(
            "insert into categories (id, parent_id, slug, title, description, position, path, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
            row.id,
            row.parent_id,
            row.slug,
            row.title,
            row.description,
            row.position,
            row.path,
            row.at
        )
        .execute()
        .on_constraint("slug", slug_taken)?;
        sql!(
            "insert into category_ancestors (category_id, ancestor_id)
             select $1, c.id from categories c where c.id = any($2)",
            row.id,
            JsonColumn(row.path.split_terminator('/').collect::<Vec<_>>())
        )
        .execute()?;
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct MovedPath {
    id: String,
    path: String,
}

fn move_below(id: &str, parent_id: Option<&str>) -> Result<(), Problem> {
    // Locks first, then looks: a move that waited for another sees what that one did.
    let parent_path = match parent_id {
        Some(parent) => find(parent)?.ok_or_else(unknown_parent)?.path,
        None => String::new(),
    };
    lock(parent_path.split_terminator('/').chain([id]))?;
    let moved = find(id)?.ok_or_else(unknown)?;
    let parent = parent_id
        .map(|parent| find(parent)?.ok_or_else(unknown_parent))
        .transpose()?;
    if moved.parent_id.as_deref() == parent.as_ref().map(|parent| parent.id.as_str()) {
        return Ok(());
    }
    if parent
        .as_ref()
        .is_some_and(|parent| parent.path.split_terminator('/').any(|above| above == id))
    {
        let problem = Problem::unprocessable("category_cycle", "A category can't be below itself.");
        return Err(problem.field("/parent_id", "is this category or below it"));
    }
    let subtree = sql!(
        "select id, path from categories where path >= $1 and path < $2",
        moved.path,
        upper_bound(&moved.path)
    )
    .all::<MovedPath>()?;
    let deepest = subtree
        .iter()
        .map(|row| depth(&row.path) - depth(&moved.path))
        .max()
        .unwrap_or(0);
    let path = below(parent.as_ref(), id, deepest)?;
    let moved_paths = subtree.into_iter().map(|row| MovedPath {
        path: format!("{path}{}", &row.path[moved.path.len()..]),
        ..row
    });
    sql!(
        "update categories set path = r.path, version = categories.version + 1
         from json_rows($1) as r(id text, path text) where categories.id = r.id",
        JsonColumn(moved_paths.collect::<Vec<_>>())
    )
    .execute()?;
    sql!(
        "update categories set parent_id = $2 where id = $1",
        id,
        parent.as_ref().map(|parent| parent.id.as_str())
    )
    .execute()?;
    sql!(
        "delete from category_ancestors
         where category_id in (select a.category_id from category_ancestors a where a.ancestor_id = $1)
            and ancestor_id not in (select a.category_id from category_ancestors a where a.ancestor_id = $1)",
        id
    )
    .execute()?;
    if let Some(parent) = parent {
        sql!(
            "insert into category_ancestors (category_id, ancestor_id)
             select b.category_id, a.ancestor_id
             from category_ancestors b join category_ancestors a on a.category_id = $2
             where b.ancestor_id = $1",
            id,
            parent.id
        )
        .execute()?;
    }
    shelves::refill_category(id, store()?.currency)
}

fn find(name: &str) -> Result<Option<Category>, Problem> {
    let statement = match name.starts_with("cat_") {
        true => sql!(categories_where!("where c.id = $1"), name),
        false => sql!(categories_where!("where c.slug = $1"), name),
    };
    Ok(statement.optional()?)
}

fn lock_parent(id: &str) -> Result<Category, Problem> {
    lock([id])?;
    find(id)?.ok_or_else(unknown_parent)
}

fn lock<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<(), Problem> {
    let ids: Vec<&str> = ids.into_iter().collect();
    sql!(
        "select id from categories where id = any($1) order by id for update",
        JsonColumn(ids)
    )
    .scalars::<String>()?;
    Ok(())
}

/// The path of a category below `parent`, with `levels` more below itself.
fn below(parent: Option<&Category>, id: &str, levels: usize) -> Result<String, Problem> {
    let path = format!("{}{id}/", parent.map_or("", |parent| parent.path.as_str()));
    if depth(&path) + levels > DEEPEST {
        return Err(Problem::unprocessable(
            "too_deep",
            format!("Categories go {DEEPEST} levels deep."),
        ));
    }
    Ok(path)
}

fn depth(path: &str) -> usize {
    path.split_terminator('/').count()
}

fn upper_bound(path: &str) -> String {
    format!("{path}~")
}

fn valid(slug: String) -> Result<String, Problem> {
    if slug::is_valid(&slug) {
        return Ok(slug);
    }
    Err(Problem::unprocessable("invalid_body", "Some fields can't be used.")
        .field("/slug", "is not lower-case letters, digits and hyphens"))
}

fn slug_taken() -> Problem {
    Problem::conflict("slug_taken", "Another category has this slug.").field("/slug", "is taken")
}

fn unknown() -> Problem {
    Problem::not_found("unknown_category", "There is no such category.")
}

fn unknown_parent() -> Problem {
    Problem::unprocessable("unknown_category", "There is no such category to put it below.")
        .field("/parent_id", "is no category")
}
