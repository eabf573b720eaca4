//! Tenants, users, keys and roles.

use bytes::Bytes;
use domicile_types::{TenantId, UnixMillis};

use super::{CatalogError, World, on_memory};
use crate::catalog::{AccessKey, Identity, IdentityChange, IdentityName, Tenant, User};

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn tenant_row() -> Identity {
    Identity::Tenant(Tenant { tenant: acme(), created: UnixMillis(1), enabled: true })
}

fn user_row() -> Identity {
    Identity::User(User { tenant: acme(), name: "ada".to_owned(), created: UnixMillis(1), enabled: true, policy: None })
}

fn key_row(user: Option<&str>) -> Identity {
    Identity::Key(AccessKey {
        id: "DKEY1".to_owned(),
        tenant: acme(),
        user: user.map(str::to_owned),
        sealed_secret: Bytes::from_static(b"sealed"),
        created: UnixMillis(1),
        expires: None,
        enabled: true,
    })
}

#[tokio::test]
async fn a_change_raises_the_epoch_and_no_change_is_not_read_again() {
    let catalog = World::catalog(on_memory().0, 1);
    assert!(catalog.identities_since(0).await.unwrap().is_none());
    catalog.add_identity(tenant_row()).await.unwrap();
    let read = catalog.identities_since(0).await.unwrap().unwrap();
    assert_eq!((read.epoch, read.all), (1, vec![tenant_row()]));
    assert!(catalog.identities_since(1).await.unwrap().is_none());
    catalog.change_identity(IdentityName::Tenant(acme()), IdentityChange::Enabled(false)).await.unwrap();
    let read = catalog.identities_since(1).await.unwrap().unwrap();
    assert!(matches!(read.all.as_slice(), [Identity::Tenant(Tenant { enabled: false, .. })]));
}

#[tokio::test]
async fn one_of_the_same_name_is_refused() {
    let catalog = World::catalog(on_memory().0, 1);
    catalog.add_identity(user_row()).await.unwrap();
    let Identity::User(user) = user_row() else { unreachable!() };
    let other = Identity::User(User { created: UnixMillis(2), ..user });
    assert!(matches!(catalog.add_identity(other).await, Err(CatalogError::IdentityExists)));
}

#[tokio::test]
async fn a_key_needs_its_user_and_keeps_it_from_being_removed() {
    let catalog = World::catalog(on_memory().0, 1);
    assert!(matches!(catalog.add_identity(key_row(Some("ada"))).await, Err(CatalogError::NoSuchIdentity)));
    for row in [tenant_row(), user_row(), key_row(Some("ada"))] {
        catalog.add_identity(row).await.unwrap();
    }
    let user = IdentityName::User(acme(), "ada".to_owned());
    for used in [user.clone(), IdentityName::Tenant(acme())] {
        assert!(matches!(catalog.remove_identity(used).await, Err(CatalogError::IdentityInUse)));
    }
    for name in [IdentityName::Key("DKEY1".to_owned()), user.clone(), IdentityName::Tenant(acme())] {
        catalog.remove_identity(name).await.unwrap();
    }
    assert!(matches!(catalog.remove_identity(user).await, Err(CatalogError::NoSuchIdentity)));
    assert!(catalog.identities_since(0).await.unwrap().unwrap().all.is_empty());
}

#[tokio::test]
async fn what_an_identity_cannot_have_is_no_change() {
    let catalog = World::catalog(on_memory().0, 1);
    catalog.add_identity(tenant_row()).await.unwrap();
    let change = IdentityChange::Expires(None);
    assert!(catalog.change_identity(IdentityName::Tenant(acme()), change).await.is_err());
    let none = IdentityName::Role(acme(), "none".to_owned());
    assert!(matches!(
        catalog.change_identity(none, IdentityChange::Enabled(true)).await,
        Err(CatalogError::NoSuchIdentity)
    ));
}
