//! What the operator sees on the machine itself: a page, the same as JSON, and Prometheus metrics. On loopback only, read
//! only, without scripts; it tells nothing that could be used against the data, for there is nothing to tell.

mod metrics;
mod page;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, X_CONTENT_TYPE_OPTIONS};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

pub use self::view::{GatewayView, LocalView};
use crate::database::DatabaseError;
use crate::node::Node;

/// The page as JSON: what `domicile node status` reads.
pub const LOCAL_STATUS_PATH: &str = "/status.json";
/// No script, no frame, nothing from elsewhere.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves the page on `address`, which is a loopback address.
pub(crate) fn serve(node: Arc<Node>, address: SocketAddr) -> std::io::Result<(Server, SocketAddr)> {
    let data = web::Data::from(node);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/", web::get().to(page))
            .route(LOCAL_STATUS_PATH, web::get().to(status))
            .route("/metrics", web::get().to(metrics))
            .default_service(web::to(|| async {
                HttpResponse::NotFound().body("there are: / /status.json /metrics\n")
            }))
    })
    .workers(1)
    .max_connections(64)
    .disable_signals()
    .bind(address)?;
    let bound = server.addrs().first().copied().unwrap_or(address);
    Ok((server.run(), bound))
}

async fn page(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    answer(&request, node, "text/html; charset=utf-8", |view| page::render(view).into_string()).await
}

async fn status(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    let json = |view: &LocalView| serde_json::to_string_pretty(view).unwrap_or_default();
    answer(&request, node, "application/json", json).await
}

async fn metrics(request: HttpRequest, node: web::Data<Node>) -> HttpResponse {
    answer(&request, node, "application/openmetrics-text; version=1.0.0; charset=utf-8", metrics::encode).await
}

async fn answer(
    request: &HttpRequest,
    node: web::Data<Node>,
    kind: &'static str,
    write: impl FnOnce(&LocalView) -> String,
) -> HttpResponse {
    if !is_local(request) {
        return HttpResponse::Forbidden().body("this page is for this machine: ask for it by a loopback address\n");
    }
    let view = tokio::task::spawn_blocking(move || node.local_view()).await;
    let Ok(Ok(view)) = view else {
        return HttpResponse::ServiceUnavailable().body("the node cannot read its database: see its log\n");
    };
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(write(&view))
}

/// Whether the request names this machine. A page of elsewhere that a browser here was led to, whose name was made to
/// point to loopback, names itself.
fn is_local(request: &HttpRequest) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Node {
    /// Everything that the operator is shown.
    pub(crate) fn local_view(&self) -> Result<LocalView, DatabaseError> {
        view::of(self)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let named = |host: &str| is_local(&TestRequest::get().insert_header((HOST, host)).to_http_request());
        for good in ["127.0.0.1:7480", "127.10.0.1", "localhost:7480", "LOCALHOST", "[::1]:7480"] {
            assert!(named(good), "{good}");
        }
        for bad in ["", "evil.example", "evil.example:7480", "127.0.0.1.evil.example", "192.0.2.1:7480"] {
            assert!(!named(bad), "{bad}");
        }
    }
}
