//! The table of routes as an OpenAPI 3.1 document. What it says of a type is what serde reads and writes of it.

use actix_web::{HttpResponse, web};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::route::{Duty, Route, Shape, Who};
use super::table::routes as table;
use super::views::Failure;

/// Where types are.
const TYPES: &str = "/components/schemas";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/openapi.json", show)
            .anyone(Duty::Reads)
            .summary("This document.")
            .answers::<Map<String, Value>>(),
    ]
}

/// `GET /v1/openapi.json`: says nothing that the program's text does not say.
async fn show() -> HttpResponse {
    // A few milliseconds of work for whoever asks: made once.
    static DOCUMENT: std::sync::OnceLock<web::Bytes> = std::sync::OnceLock::new();
    let document = DOCUMENT.get_or_init(|| web::Bytes::from(document().to_string()));
    HttpResponse::Ok().content_type("application/json").body(document.clone())
}

/// The whole document.
#[must_use]
pub(crate) fn document() -> Value {
    let mut types = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = TYPES.into();
            settings.meta_schema = None;
        })
        .into_generator();
    let failure = types.subschema_for::<Failure>();
    let mut paths = Map::new();
    for route in table() {
        let operation = operation(&route, &failure, &mut types);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let schemas = types.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Domicile admin API",
            "description": "Times are milliseconds since 1970-01-01T00:00:00Z. `x-roles` names the roles that may, `x-duty` the kind \
                            of act. Every refusal for a role and every change is an entry of the audit log.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, failure: &Schema, types: &mut SchemaGenerator) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), json!(operation_id(route)));
    operation.insert("summary".to_owned(), json!(route.summary));
    operation.insert("tags".to_owned(), json!([route.path.split('/').nth(2).unwrap_or_default()]));
    operation.insert("x-duty".to_owned(), json!(route.duty.name()));
    let parameters: Vec<Value> = path_parameters(route.path).chain(query_parameters(route.query, types)).collect();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let Some(shape) = route.takes {
        let schema = shape(types);
        let content = json!({ "application/json": { "schema": schema } });
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    let refusal = |why: &str| json!({ "description": why, "content": { "application/json": { "schema": failure } } });
    let mut responses = Map::new();
    responses.insert(route.answers.0.as_u16().to_string(), answer(route, types));
    responses.insert("400".to_owned(), refusal("What was asked does not make sense; the error says what to change."));
    if let Who::Roles(roles) = &route.who {
        operation.insert("security".to_owned(), json!([{ "token": [] }]));
        operation.insert("x-roles".to_owned(), json!(roles));
        responses.insert("401".to_owned(), refusal("No token, or not one of this gateway's."));
        responses.insert("403".to_owned(), refusal("The token's role, tenant or person may not do that."));
    }
    responses.insert("404".to_owned(), refusal("There is no such thing."));
    responses.insert("409".to_owned(), refusal("It does not fit how things stand now."));
    responses.insert("451".to_owned(), refusal("A rule denies it; the error names the rule and the log's entry."));
    responses.insert("503".to_owned(), refusal("The log takes no entry, or the gateway stops: ask again."));
    operation.insert("responses".to_owned(), Value::Object(responses));
    Value::Object(operation)
}

fn answer(route: &Route, types: &mut SchemaGenerator) -> Value {
    let mut content = Map::new();
    if let Some(shape) = route.answers.1 {
        content.insert("application/json".to_owned(), json!({ "schema": shape(types) }));
    }
    for media_type in &route.files {
        content.insert((*media_type).to_owned(), json!({}));
    }
    match content.is_empty() {
        true => json!({ "description": "Done." }),
        false => json!({ "description": "Done.", "content": content }),
    }
}

/// `post-fleet-nodes-node-drain`
fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '.']).filter(|word| !word.is_empty() && *word != "v1");
    let words = words.map(|word| word.trim_matches(['{', '}']).to_owned());
    let method = route.method.as_str().to_ascii_lowercase();
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("-")
}

fn path_parameters(path: &str) -> impl Iterator<Item = Value> {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    named.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
}

fn query_parameters(query: Option<Shape>, types: &mut SchemaGenerator) -> Vec<Value> {
    let Some(query) = query else { return Vec::new() };
    let schema = query(types);
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let parameter = |(name, mut schema): (String, Value)| {
        let required = required.iter().any(|required| required.as_str() == Some(&name));
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({ "name": name, "in": "query", "required": required, "schema": schema });
        if let (Some(parameter), Some(description)) = (parameter.as_object_mut(), description) {
            parameter.insert("description".to_owned(), description);
        }
        parameter
    };
    properties.into_iter().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    found.insert(reference.clone());
                }
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_in_the_document_and_has_a_name_of_its_own() {
        let document = document();
        let mut names = BTreeSet::new();
        for route in table() {
            let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            assert_eq!(operation["summary"], route.summary, "{} {}", route.method, route.path);
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
        }
        let described = document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len());
        assert_eq!(described.sum::<usize>(), names.len());
    }

    #[test]
    fn every_reference_resolves_and_every_path_parameter_is_described() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for (path, operations) in document["paths"].as_object().unwrap() {
            for operation in operations.as_object().unwrap().values() {
                let stated = operation["parameters"].as_array().cloned().unwrap_or_default();
                let stated = stated.iter().filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(stated, path.matches('{').count(), "{path}");
            }
        }
    }

    #[test]
    fn query_parameters_say_whether_they_must_be_given() {
        let document = document();
        let parameters = document["paths"]["/v1/where"]["get"]["parameters"].as_array().unwrap();
        let required: Vec<_> = parameters.iter().map(|it| (it["name"].as_str().unwrap(), &it["required"])).collect();
        assert_eq!(required, [("bucket", &json!(true)), ("key", &json!(true))]);
    }
}
