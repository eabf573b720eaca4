//! Keys that work, keys that do not, and sessions.

use super::*;
use crate::catalog::Identity;
use crate::clock::Clock;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn seals() -> Seals {
    Seals::derive(&[9; 32], Clock)
}

fn key(id: &str, user: Option<&str>) -> AccessKey {
    AccessKey {
        id: id.to_owned(),
        tenant: tenant("acme"),
        user: user.map(str::to_owned),
        sealed_secret: seals().seal_secret(id, "hush").unwrap().into(),
        created: UnixMillis(1),
        expires: None,
        enabled: true,
    }
}

fn user(policy: Option<&str>) -> User {
    User {
        tenant: tenant("acme"),
        name: "ada".to_owned(),
        created: UnixMillis(1),
        enabled: true,
        policy: policy.map(str::to_owned),
    }
}

fn role() -> Role {
    Role {
        tenant: tenant("acme"),
        name: "train".to_owned(),
        bucket: "bucket".to_owned(),
        prefix: "train/".to_owned(),
        places: vec!["CN".to_owned()],
        created: UnixMillis(5),
    }
}

fn accounts(all: Vec<Identity>) -> Accounts {
    let credential =
        Credential { tenant: tenant("old"), access_key: "AKIDOLD".to_owned(), secret_key: "configured".to_owned() };
    let accounts = Accounts::new(vec![credential], seals());
    accounts.take(Identities { epoch: 1, all });
    accounts
}

fn issue(accounts: &Accounts, assumed_by: &str, policy: Option<&str>) -> IssuedSession {
    let request =
        SessionRequest { assumed_by, role: &role(), name: "job-7", policy, expires: UnixMillis(NOW.0 + 900_000) };
    accounts.issue(&request, Clock).unwrap()
}

#[test]
fn keys_of_the_configuration_and_of_the_catalog_work_side_by_side() {
    let accounts = accounts(vec![Identity::Key(key("DKEY1", None))]);
    assert_eq!(accounts.secret("AKIDOLD", NOW).unwrap().as_str(), "configured");
    assert_eq!(accounts.secret("DKEY1", NOW).unwrap().as_str(), "hush");
    assert_eq!(accounts.holder("DKEY1", None, NOW).unwrap(), KeyHolder::of_tenant(tenant("acme"), "DKEY1"));
    assert_eq!(accounts.secret("DKEY2", NOW).unwrap_err(), Unusable::Key);
    assert!(accounts.knows("AKIDOLD") && accounts.knows("DKEY1") && !accounts.knows("DKEY2") && !accounts.knows(""));
}

#[test]
fn a_key_that_is_disabled_or_expired_or_whose_holder_is_disabled_does_not_work() {
    let tenant_row = |enabled| Identity::Tenant(Tenant { tenant: tenant("acme"), created: UnixMillis(1), enabled });
    let of_ada = || Identity::Key(key("DKEY1", Some("ada")));
    let works = |all: Vec<Identity>| {
        let accounts = accounts(all);
        let secret = accounts.secret("DKEY1", NOW).is_ok();
        assert_eq!(secret, accounts.holder("DKEY1", None, NOW).is_ok());
        secret
    };
    assert!(works(vec![tenant_row(true), Identity::User(user(None)), of_ada()]));
    assert!(!works(vec![tenant_row(false), Identity::User(user(None)), of_ada()]));
    assert!(!works(vec![Identity::User(User { enabled: false, ..user(None) }), of_ada()]));
    assert!(!works(vec![of_ada()]), "its user is gone");
    assert!(!works(vec![Identity::Key(AccessKey { enabled: false, ..key("DKEY1", None) })]));
    assert!(!works(vec![Identity::Key(AccessKey { expires: Some(NOW), ..key("DKEY1", None) })]));
    assert!(works(vec![Identity::Key(AccessKey { expires: Some(UnixMillis(NOW.0 + 1)), ..key("DKEY1", None) })]));
}

#[test]
fn a_secret_opens_for_its_own_key_alone() {
    let stolen = AccessKey { id: "DKEY2".to_owned(), ..key("DKEY1", None) };
    assert!(accounts(vec![Identity::Key(stolen)]).secret("DKEY2", NOW).is_err());
    let sealed = seals().seal_secret("DKEY1", "hush").unwrap();
    assert!(!sealed.windows(4).any(|window| window == b"hush"));
}

#[test]
fn a_users_key_is_limited_by_the_users_policy() {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
    let of = |policy| accounts(vec![Identity::User(user(policy)), Identity::Key(key("DKEY1", Some("ada")))]);
    let holder = of(Some(policy)).holder("DKEY1", None, NOW).unwrap();
    assert_eq!((holder.user.as_deref(), holder.limits.policies.len()), (Some("ada"), 1));
    assert!(of(None).holder("DKEY1", None, NOW).unwrap().limits.is_none());
    assert_eq!(
        of(Some("{}")).holder("DKEY1", None, NOW).unwrap_err(),
        Unusable::Key,
        "never less than the policy says"
    );
}

#[test]
fn a_session_is_limited_by_its_role_and_carries_whose_it_is() {
    let all = vec![Identity::Key(key("DKEY1", Some("ada"))), Identity::User(user(None)), Identity::Role(role())];
    let accounts = accounts(all);
    let session = issue(&accounts, "DKEY1", None);
    assert!(accounts.knows(&session.access_key));
    assert_eq!(*accounts.secret(&session.access_key, NOW).unwrap(), *session.secret_key);
    let holder = accounts.holder(&session.access_key, Some(&session.token), NOW).unwrap();
    assert_eq!((holder.user.as_deref(), holder.session.as_deref()), (Some("ada"), Some("train/job-7")));
    let scope = holder.limits.scope.clone().unwrap();
    assert_eq!((scope.bucket.as_str(), scope.prefix.as_str(), scope.places.len()), ("bucket", "train/", 1));
}

#[test]
fn a_session_needs_its_own_token_and_ends() {
    let accounts = accounts(vec![Identity::Role(role())]);
    let (one, other) = (issue(&accounts, "AKIDOLD", None), issue(&accounts, "AKIDOLD", None));
    let holder = |access_key: &str, token: Option<&str>, now| accounts.holder(access_key, token, now).unwrap_err();
    // A role of one tenant is no role for the key of another.
    assert_eq!(holder(&one.access_key, Some(&one.token), NOW), Unusable::Token);
    assert_eq!(holder(&one.access_key, None, NOW), Unusable::Token);
    assert_eq!(holder(&one.access_key, Some(""), NOW), Unusable::Token);
    assert_eq!(holder(&one.access_key, Some(&other.token), NOW), Unusable::Token);
    assert_eq!(holder(&one.access_key, Some("AAAA"), NOW), Unusable::Token);
    assert_eq!(holder(&one.access_key, Some(&one.token), one.expires), Unusable::TokenExpired);
    assert_eq!(holder("AKIDOLD", Some(&one.token), NOW), Unusable::Token, "a lasting key has no token");
}

#[test]
fn a_session_ends_with_its_role_and_with_the_key_that_assumed_it() {
    let holds = |all: Vec<Identity>| {
        let issuer = accounts(vec![Identity::Key(key("DKEY1", None)), Identity::Role(role())]);
        let session = issue(&issuer, "DKEY1", None);
        accounts(all).holder(&session.access_key, Some(&session.token), NOW)
    };
    assert!(holds(vec![Identity::Key(key("DKEY1", None)), Identity::Role(role())]).is_ok());
    let made_anew = Role { created: UnixMillis(6), ..role() };
    for gone in [
        vec![Identity::Key(key("DKEY1", None))],
        vec![Identity::Key(key("DKEY1", None)), Identity::Role(made_anew)],
        vec![Identity::Role(role())],
        vec![Identity::Key(AccessKey { enabled: false, ..key("DKEY1", None) }), Identity::Role(role())],
    ] {
        assert_eq!(holds(gone).unwrap_err(), Unusable::Token);
    }
}
