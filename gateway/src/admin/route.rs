//! The form of a row of the admin API's table: what a route is called, who may use it, what it takes and what it answers.
//!
//! The table is the only truth: it registers the handlers, holds roles against them in one place, and is what `openapi` describes.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{FromRequest, Handler, HttpMessage, Responder, ResponseError, web};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::AdminError;
use super::auth::Bearer;
use crate::config::Role;
use crate::objects::Gateway;

/// What kind of act a request is. Whoever decides does nothing else; see the tests of [`super::table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Duty {
    /// Looks, and changes nothing.
    Reads,
    /// Asks for what somebody else decides on; states what a compliance officer states.
    Asks,
    /// Decides on what somebody else asked for. An admin does not.
    Decides,
    /// Runs the fleet.
    Operates,
    /// Makes or takes away what opens data: identities, keys, erasure.
    HoldsKeys,
    /// Sets the installation up.
    SetsUp,
}

impl Duty {
    /// The word for it in documents.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Asks => "asks",
            Self::Decides => "decides",
            Self::Operates => "operates",
            Self::HoldsKeys => "holds-keys",
            Self::SetsUp => "sets-up",
        }
    }
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// Anybody, without a token.
    Anyone,
    /// Bearers of a token of one of these roles.
    Roles(Vec<Role>),
}

/// Makes the JSON Schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A row of the table.
pub(super) struct Route {
    /// The method.
    pub(super) method: Method,
    /// The path, with parameters in braces.
    pub(super) path: &'static str,
    /// Who may.
    pub(super) who: Who,
    /// What kind of act it is.
    pub(super) duty: Duty,
    /// What it is for, in one line.
    pub(super) summary: &'static str,
    /// The parameters behind `?`.
    pub(super) query: Option<Shape>,
    /// The JSON that it takes.
    pub(super) takes: Option<Shape>,
    /// The longest that may be, in bytes.
    pub(super) takes_bytes_max: usize,
    /// What it answers when it succeeds: the status, and the JSON.
    pub(super) answers: (StatusCode, Option<Shape>),
    /// Media types of answers that are files.
    pub(super) files: Vec<&'static str>,
    handler: actix_web::Route,
}

/// Bodies that say nothing else are this long at the most.
const BODY_BYTES_MAX: usize = 1 << 20;

impl Route {
    fn new<F, Args>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self {
            handler: web::method(method.clone()).to(handler),
            method,
            path,
            who: Who::Roles(Vec::new()),
            duty: Duty::SetsUp,
            summary: "",
            query: None,
            takes: None,
            takes_bytes_max: BODY_BYTES_MAX,
            answers: (StatusCode::NO_CONTENT, None),
            files: Vec::new(),
        }
    }

    /// `GET path`
    pub(super) fn get<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::GET, path, handler)
    }

    /// `POST path`
    pub(super) fn post<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::POST, path, handler)
    }

    /// `PUT path`
    pub(super) fn put<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::PUT, path, handler)
    }

    /// `DELETE path`
    pub(super) fn delete<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::DELETE, path, handler)
    }

    /// What kind of act it is, and which roles may do it. An admin may do everything but decide.
    pub(super) fn roles(mut self, duty: Duty, roles: &[Role]) -> Self {
        let admin = (duty != Duty::Decides).then_some(Role::Admin);
        self.duty = duty;
        self.who = Who::Roles(roles.iter().copied().chain(admin).collect());
        self
    }

    /// Needs no token.
    pub(super) fn anyone(mut self, duty: Duty) -> Self {
        self.duty = duty;
        self.who = Who::Anyone;
        self
    }

    /// What it is for, in one line.
    pub(super) const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The parameters behind `?`.
    pub(super) fn query<Q: JsonSchema>(mut self) -> Self {
        self.query = Some(Q::json_schema);
        self
    }

    /// The JSON that it takes.
    pub(super) fn takes<B: JsonSchema>(mut self) -> Self {
        self.takes = Some(SchemaGenerator::subschema_for::<B>);
        self
    }

    /// The longest JSON that it takes.
    pub(super) const fn up_to(mut self, bytes: usize) -> Self {
        self.takes_bytes_max = bytes;
        self
    }

    /// Answers 200 with this.
    pub(super) fn answers<A: JsonSchema>(self) -> Self {
        self.answers_with::<A>(StatusCode::OK)
    }

    /// Answers 201 with this.
    pub(super) fn makes<A: JsonSchema>(self) -> Self {
        self.answers_with::<A>(StatusCode::CREATED)
    }

    /// Answers 202 with this.
    pub(super) fn accepts<A: JsonSchema>(self) -> Self {
        self.answers_with::<A>(StatusCode::ACCEPTED)
    }

    fn answers_with<A: JsonSchema>(mut self, status: StatusCode) -> Self {
        self.answers = (status, Some(SchemaGenerator::subschema_for::<A>));
        self
    }

    /// Answers 200 with a file of this media type, or also with one.
    pub(super) fn file(mut self, media_type: &'static str) -> Self {
        self.answers.0 = StatusCode::OK;
        self.files.push(media_type);
        self
    }

    /// The handler behind its gate.
    pub(super) fn into_handler(self) -> actix_web::Route {
        let Self { who, method, path, handler, .. } = self;
        let gate = std::rc::Rc::new(Gate { who, name: format!("{method} {path}") });
        handler.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
            let gate = std::rc::Rc::clone(&gate);
            async move { gate.pass(request, next).await }
        }))
    }
}

/// Stands before a handler.
struct Gate {
    who: Who,
    name: String,
}

impl Gate {
    async fn pass(
        &self,
        request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        match self.admit(&request).await {
            Ok(()) => next.call(request).await,
            Err(error) => {
                let answer = error.error_response();
                Ok(request.into_response(answer))
            }
        }
    }

    /// Lets those pass who may, and tells the handler who it is. That somebody with a token asked for what its role may not
    /// do is logged before it is told so. Without a valid token nothing is logged: strangers must not be able to fill the log.
    async fn admit(&self, request: &ServiceRequest) -> Result<(), AdminError> {
        let Who::Roles(roles) = &self.who else { return Ok(()) };
        let gateway = request.app_data::<web::Data<Gateway>>().ok_or(AdminError::Unauthenticated)?;
        let bearer = Bearer::of(request.request(), gateway)?;
        if roles.contains(&bearer.role) {
            request.extensions_mut().insert(bearer);
            return Ok(());
        }
        let names: Vec<String> = roles.iter().map(|role| role.to_string()).collect();
        let needed = names.join(", ");
        let log_index = gateway.refuse_role(bearer.caller(), &self.name, &needed).await?;
        Err(AdminError::WrongRole { role: bearer.role, needed, log_index })
    }
}
