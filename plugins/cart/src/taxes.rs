//! The table of tax rates, as staff keep it.

use commerce_sdk::money::Rate;
use commerce_sdk::prelude::*;

use crate::TaxRateId;

#[derive(Deserialize, JsonSchema)]
pub struct NewTaxRate {
    /// What customers read. Of the rates of one name the most exact one applies.
    #[schemars(length(min = 1, max = 60))]
    pub name: String,
    /// ISO 3166-1 alpha-2.
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    pub country: String,
    #[schemars(length(min = 1, max = 120))]
    pub province: Option<String>,
    /// Beginning of the postal code.
    #[schemars(length(min = 1, max = 20))]
    pub postal_prefix: Option<String>,
    /// The variants' tax category; `shipping` for the shipping price; all variants where nothing is said.
    #[schemars(length(min = 1, max = 60))]
    pub category: Option<String>,
    /// 11 % is 11/100.
    pub rate: Rate,
    /// Whether prices include it already.
    #[serde(default)]
    pub inclusive: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TaxRate")]
pub struct StaffTaxRate {
    pub id: TaxRateId,
    pub name: String,
    pub country: String,
    pub province: Option<String>,
    pub postal_prefix: Option<String>,
    pub category: Option<String>,
    pub rate: Rate,
    pub inclusive: bool,
}

#[derive(Deserialize)]
struct Row {
    id: TaxRateId,
    name: String,
    country: String,
    province: Option<String>,
    postal_prefix: Option<String>,
    category: Option<String>,
    numerator: u32,
    denominator: u32,
    inclusive: bool,
}

impl Row {
    fn into_answer(self) -> Result<StaffTaxRate, Problem> {
        Ok(StaffTaxRate {
            id: self.id,
            name: self.name,
            country: self.country,
            province: self.province,
            postal_prefix: self.postal_prefix,
            category: self.category,
            rate: Rate::new(self.numerator, self.denominator)?,
            inclusive: self.inclusive,
        })
    }
}

/// Four places behind the point of a percentage. Several rates inside of one price have a common denominator, which must
/// stay a number.
const MOST_PRECISE: u32 = 1_000_000;

/// Adds a rate.
#[post("/api/tax-rates", access = staff("cart.write"), operation = "create_tax_rate")]
pub fn create(Json(body): Json<NewTaxRate>) -> Result<Created<StaffTaxRate>, Problem> {
    if body.rate.denominator() > MOST_PRECISE {
        return Err(
            Problem::unprocessable("invalid_body", "The rate can't be computed with.")
                .field("/rate/denominator", format!("must be at most {MOST_PRECISE}")),
        );
    }
    let row: Row = sql!(
        "insert into tax_rates
             (id, name, country, province, postal_prefix, category, numerator, denominator, inclusive, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         returning id, name, country, province, postal_prefix, category, numerator, denominator, inclusive",
        TaxRateId::new(),
        body.name,
        body.country,
        body.province,
        body.postal_prefix,
        body.category,
        body.rate.numerator(),
        body.rate.denominator(),
        body.inclusive,
        clock::now()
    )
    .one()?;
    Ok(Created {
        location: format!("/api/tax-rates/{}", row.id),
        body: row.into_answer()?,
    })
}

#[derive(Deserialize, JsonSchema)]
pub struct TaxRateListing {
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    pub country: Option<String>,
    /// At most 100; 20 where nothing is said.
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<u32>,
    pub after: Option<Cursor>,
}

/// Lists rates by country.
#[get("/api/tax-rates", access = staff("cart.read"), operation = "list_tax_rates", problems(422 = "invalid_cursor"))]
pub fn list(Query(query): Query<TaxRateListing>) -> Result<Json<Page<StaffTaxRate>>, Problem> {
    let limit = query.limit.unwrap_or(20);
    let after = Cursor::read::<(String, String)>(&query.after)?.unwrap_or_default();
    let rows = sql!(
        "select id, name, country, province, postal_prefix, category, numerator, denominator, inclusive
         from tax_rates
         where (country, id) > ($1, $2) and (cast($3 as text) is null or country = $3)
         order by country, id limit $4",
        after.0,
        after.1,
        query.country,
        limit + 1
    )
    .all::<Row>()?;
    let page = Page::of(rows, limit, |row| Cursor::new(&(&row.country, &row.id)));
    let items = page.items.into_iter().map(Row::into_answer).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next: page.next }))
}

/// Removes a rate. Transactions keep the taxes they were made with.
#[delete(
    "/api/tax-rates/{id}",
    access = staff("cart.write"),
    operation = "remove_tax_rate",
    problems(404 = "not_found")
)]
pub fn remove(Path(id): Path<TaxRateId>) -> Result<NoContent, Problem> {
    match sql!("delete from tax_rates where id = $1", id).execute()? {
        0 => Err(Problem::not_found("not_found", "There is no such tax rate.")),
        _ => Ok(NoContent),
    }
}
