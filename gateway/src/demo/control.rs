//! The control endpoint: single processes down and up, and questions to nodes. On loopback, behind a token.

use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::ask::{self, Question};
use super::manifest::Control;
use super::supervise::{Down, Fleet};

struct State {
    fleet: Fleet,
    token: String,
}

/// Starts it where the manifest says.
pub(super) fn serve(fleet: Fleet, control: &Control) -> anyhow::Result<Server> {
    let state = web::Data::new(State { fleet, token: control.token.clone() });
    let address = control.url.trim_start_matches("http://").to_owned();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/processes/{name}/{action}", web::post().to(process))
            .route("/healthy", web::post().to(healthy))
            .route("/ask", web::post().to(ask))
            .route("/nodes/{name}/status", web::get().to(status))
    });
    let server = server.workers(1).disable_signals().bind(&address);
    Ok(server.with_context(|| format!("{address} is taken: does another demo run?"))?.run())
}

/// `POST /processes/{name}/stop|kill|start`: answers when it is so. `doom`: the process may end by itself from now on;
/// `ended`: answers when it has.
async fn process(request: HttpRequest, state: web::Data<State>, path: web::Path<(String, String)>) -> HttpResponse {
    let (name, action) = path.into_inner();
    let done = async {
        match action.as_str() {
            "start" => state.fleet.start(&name).await.map(|()| json!({ "started": name })),
            "stop" => state.fleet.down(&name, Down::Stop).await.map(|status| json!({ "ended": status.to_string() })),
            "kill" => state.fleet.down(&name, Down::Kill).await.map(|status| json!({ "ended": status.to_string() })),
            "doom" => state.fleet.doom(&name).await.map(|()| json!({ "doomed": name })),
            "ended" => state.fleet.ended(&name).await.map(|status| json!({ "ended": status.to_string() })),
            _ => Err(anyhow::anyhow!("{action:?} is none of start, stop, kill, doom, ended")),
        }
    };
    answer(&request, &state, done).await
}

/// `POST /healthy`: answers when every gateway that runs sees every node that runs.
async fn healthy(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    answer(&request, &state, async { state.fleet.healthy().await.map(|()| json!({})) }).await
}

/// `POST /ask`: see [`Question`].
async fn ask(request: HttpRequest, state: web::Data<State>, question: web::Json<Question>) -> HttpResponse {
    let asked = async {
        let manifest = state.fleet.manifest().await;
        Ok(serde_json::to_value(ask::ask(&manifest, &question).await?)?)
    };
    answer(&request, &state, asked).await
}

/// `GET /nodes/{name}/status`: the node's own counters.
async fn status(request: HttpRequest, state: web::Data<State>, name: web::Path<String>) -> HttpResponse {
    let asked = async {
        let manifest = state.fleet.manifest().await;
        Ok(serde_json::to_value(ask::status(&manifest, &name).await?)?)
    };
    answer(&request, &state, asked).await
}

async fn answer(
    request: &HttpRequest,
    state: &State,
    work: impl Future<Output = anyhow::Result<serde_json::Value>>,
) -> HttpResponse {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !bool::from(given.as_bytes().ct_eq(state.token.as_bytes())) {
        return HttpResponse::Unauthorized().json(json!({ "error": "send the control token of demo.json as bearer" }));
    }
    match work.await {
        Ok(value) => HttpResponse::Ok().json(value),
        Err(error) => HttpResponse::BadRequest().json(json!({ "error": format!("{error:#}") })),
    }
}
