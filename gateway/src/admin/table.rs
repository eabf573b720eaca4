//! All routes of the admin API, gathered from the files that have their handlers.

use std::collections::BTreeMap;

use actix_web::web;

use super::route::Route;
use super::{
    AdminError, approvals, audit, deletion, fleet, identity, nodes, openapi, placement, policy, proof, proposals,
    registers, repair, reports, standing,
};

/// Every row.
pub(super) fn routes() -> Vec<Route> {
    let areas = [
        approvals::routes(),
        audit::routes(),
        deletion::routes(),
        fleet::routes(),
        identity::routes(),
        nodes::routes(),
        openapi::routes(),
        placement::routes(),
        policy::routes(),
        proof::routes(),
        registers::routes(),
        proposals::routes(),
        repair::routes(),
        reports::routes(),
        standing::routes(),
    ];
    areas.into_iter().flatten().collect()
}

/// Registers every row. In the order of paths, words come before parameters (`{` sorts after all letters), so that
/// `/v1/policies/test` is not taken for a pack.
pub(super) fn register(app: &mut web::ServiceConfig) {
    let mut paths: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
    for route in routes() {
        paths.entry(route.path).or_default().push(route);
    }
    let malformed = |error: &dyn std::fmt::Display| actix_web::Error::from(AdminError::BadRequest(error.to_string()));
    app.app_data(web::QueryConfig::default().error_handler(move |error, _| malformed(&error)));
    app.app_data(web::PathConfig::default().error_handler(move |error, _| malformed(&error)));
    for (path, routes) in paths {
        let longest = routes.iter().map(|route| route.takes_bytes_max).max().unwrap_or_default();
        let json = web::JsonConfig::default().limit(longest).error_handler(move |error, _| malformed(&error));
        let resource = web::resource(path).app_data(json);
        app.service(routes.into_iter().fold(resource, |resource, route| resource.route(route.into_handler())));
    }
    app.default_service(web::to(|| async {
        Err::<actix_web::HttpResponse, _>(AdminError::NotFound(
            "there is no such route: GET /v1/openapi.json describes all".to_owned(),
        ))
    }));
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::route::{Duty, Who};
    use super::*;
    use crate::config::Role;

    /// Which kinds of act each role may do somewhere.
    fn duties() -> BTreeMap<&'static str, BTreeSet<Duty>> {
        let mut duties: BTreeMap<&'static str, BTreeSet<Duty>> = BTreeMap::new();
        for route in routes() {
            if let Who::Roles(roles) = &route.who {
                for role in roles {
                    duties.entry(role.name()).or_default().insert(route.duty);
                }
            }
        }
        duties
    }

    #[test]
    fn every_route_says_what_it_is_for_and_who_may() {
        let mut seen = BTreeSet::new();
        let mut open = Vec::new();
        for route in routes() {
            let name = format!("{} {}", route.method, route.path);
            assert!(route.summary.ends_with('.') && route.summary.len() > 10, "{name}: {}", route.summary);
            match &route.who {
                Who::Anyone => open.push(name.clone()),
                Who::Roles(roles) => {
                    assert!(!roles.is_empty(), "{name}");
                    let distinct: BTreeSet<_> = roles.iter().map(|role| role.name()).collect();
                    assert_eq!(distinct.len(), roles.len(), "{name}");
                }
            }
            assert!(seen.insert(name.clone()), "{name} is there twice");
        }
        open.sort();
        assert_eq!(open, ["GET /v1/health", "GET /v1/openapi.json", "POST /v1/fleet/join"]);
    }

    #[test]
    fn whoever_decides_does_nothing_else_and_holds_no_keys() {
        for (role, duties) in duties() {
            if duties.contains(&Duty::Decides) {
                assert!(duties.is_subset(&BTreeSet::from([Duty::Reads, Duty::Decides])), "{role}: {duties:?}");
            }
        }
    }

    #[test]
    fn auditors_change_nothing_and_officers_hold_no_keys() {
        let duties = duties();
        assert_eq!(duties["auditor"], BTreeSet::from([Duty::Reads]));
        assert!(!duties["officer"].contains(&Duty::HoldsKeys));
        assert!(!duties["admin"].contains(&Duty::Decides));
        assert_eq!(duties.len(), Role::ALL.len(), "a role that may do nothing");
    }

    #[test]
    fn the_documents_say_what_kinds_of_act_a_role_may_do() {
        let documented = include_str!("../../../docs/access.md");
        for (role, duties) in duties() {
            let line = documented.lines().find_map(|line| line.strip_prefix(&format!("| `{role}` | ")));
            let stated = line.and_then(|line| line.split(" |").next()).unwrap_or_default();
            let stated: BTreeSet<&str> = stated.split(", ").collect();
            let had: BTreeSet<&str> = duties.into_iter().map(Duty::name).collect();
            assert!(had.is_subset(&stated), "docs/access.md says that {role} {stated:?}; in the table it {had:?}");
        }
    }
}
