//! Talking to a provider: a secret, an outgoing request, a cache. A GET opens no transaction, so it may; a route that
//! changes something would have to be `staged`, because none may be open meanwhile.

use commerce_sdk::http;
use commerce_sdk::prelude::*;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Weather {
    celsius: i32,
}

/// The weather where the store is.
#[get("/api/tour/weather", access = public, problems(503 = "unavailable"))]
pub fn weather() -> Result<Json<Weather>, Problem> {
    if let Some(weather) = cache::get::<Weather>("weather")? {
        return Ok(Json(weather));
    }
    let key = secret("weather_key")?.ok_or_else(|| Problem::unavailable("The weather is not set up here."))?;
    let url = format!("https://api.example.com/weather?zone={}", store()?.timezone);
    let answer = http::get(url)
        .header("authorization", key)
        .timeout(Duration::from_secs(2))
        .send()?;
    if !answer.is_success() {
        log::warn!("the weather answers {}", answer.status);
        return Err(Problem::unavailable("There is no weather today."));
    }
    let weather: Weather = answer.json()?;
    cache::set("weather", &weather, Duration::from_secs(600))?;
    Ok(Json(weather))
}
