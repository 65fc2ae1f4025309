//! What a route's handler answers. A [`Problem`] in its place rolls everything back.

use commerce_contract as contract;
use schemars::JsonSchema;
use serde::Serialize;

use crate::bindings::commerce::kernel::types::Header;
use crate::bindings::exports::commerce::kernel::handle;
use crate::describe::Schemas;
use crate::problem::Problem;

/// What can be the answer of a route's handler, as it is or as a `Result<_, Problem>`.
pub trait Answer: Sized {
    fn respond(self) -> Result<Response, Problem>;

    /// Adds to the route what this answer says about it.
    #[doc(hidden)]
    fn describe(route: &mut contract::Route, schemas: &mut Schemas);

    /// Adds a header. The kernel drops those that are not a plugin's to set (see `kernel/wit/exports.wit`).
    fn with_header(self, name: &'static str, value: impl Into<String>) -> With<Self> {
        With {
            answer: self,
            headers: vec![(name, value.into())],
        }
    }

    /// On a `cacheable` route: the kernel answers the same request by itself for so long, until [`crate::cache::invalidate`]
    /// is told one of the tags.
    fn cached(self, max_age_s: u32, tags: &[&str]) -> With<Self> {
        With {
            answer: self,
            headers: Vec::new(),
        }
        .cached(max_age_s, tags)
    }
}

/// An answer with headers. Further headers join the first.
#[derive(Debug)]
pub struct With<A> {
    answer: A,
    headers: Vec<(&'static str, String)>,
}

impl<A> With<A> {
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// See [`Answer::cached`].
    pub fn cached(self, max_age_s: u32, tags: &[&str]) -> Self {
        self.with_header("cache-control", format!("public, max-age={max_age_s}"))
            .with_header("cache-tag", tags.join(", "))
    }
}

impl<A: Answer> Answer for With<A> {
    fn respond(self) -> Result<Response, Problem> {
        let mut response = self.answer.respond()?;
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        Ok(response)
    }

    fn describe(route: &mut contract::Route, schemas: &mut Schemas) {
        A::describe(route, schemas);
    }
}

impl<A: Answer> Answer for Result<A, Problem> {
    fn respond(self) -> Result<Response, Problem> {
        self?.respond()
    }

    fn describe(route: &mut contract::Route, schemas: &mut Schemas) {
        A::describe(route, schemas);
    }
}

/// A JSON body: as a parameter the request's, as an answer 200.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize + JsonSchema> Answer for Json<T> {
    fn respond(self) -> Result<Response, Problem> {
        Response::json(200, &self.0)
    }

    fn describe(route: &mut contract::Route, schemas: &mut Schemas) {
        let schema = Some(schemas.answered::<T>());
        route.answers.push(contract::Answer {
            status: 200,
            description: "OK".to_owned(),
            schema,
        });
    }
}

/// 201, with the path of what was created and its representation.
#[derive(Clone, Debug)]
pub struct Created<T> {
    pub location: String,
    pub body: T,
}

impl<T: Serialize + JsonSchema> Answer for Created<T> {
    fn respond(self) -> Result<Response, Problem> {
        Ok(Response::json(201, &self.body)?.header("location", self.location))
    }

    fn describe(route: &mut contract::Route, schemas: &mut Schemas) {
        let schema = Some(schemas.answered::<T>());
        route.answers.push(contract::Answer {
            status: 201,
            description: "Created".to_owned(),
            schema,
        });
    }
}

/// 204.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl Answer for NoContent {
    fn respond(self) -> Result<Response, Problem> {
        Ok(Response::new(204))
    }

    fn describe(route: &mut contract::Route, _: &mut Schemas) {
        route.answers.push(contract::Answer {
            status: 204,
            description: "Done".to_owned(),
            schema: None,
        });
    }
}

/// Everything else: another status, another content type, bytes.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn json(status: u16, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(Problem::internal)?;
        Ok(Self::new(status).body("application/json", body))
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }
}

impl Answer for Response {
    fn respond(self) -> Result<Response, Problem> {
        Ok(self)
    }

    fn describe(route: &mut contract::Route, _: &mut Schemas) {
        route.answers.push(contract::Answer {
            status: 200,
            description: "OK".to_owned(),
            schema: None,
        });
    }
}

impl From<Response> for handle::Response {
    fn from(response: Response) -> Self {
        let headers = response.headers.into_iter();
        Self {
            status: response.status,
            headers: headers
                .map(|(name, value)| Header {
                    name: name.to_owned(),
                    value,
                })
                .collect(),
            body: response.body,
        }
    }
}
