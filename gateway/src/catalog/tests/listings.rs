//! Listings of objects.

use super::*;

pub(super) fn all() -> ListQuery {
    ListQuery { prefix: String::new(), delimiter: None, start: ListStart::Beginning, max_keys: 1_000 }
}

async fn with_keys(keys: &[&str]) -> World {
    let world = World::new().await;
    for key in keys {
        world.put(key, "e").await.unwrap();
    }
    world
}

/// Keys, groups, whether truncated.
fn shown(page: &ListPage) -> (Vec<&str>, Vec<&str>, bool) {
    let keys = page.objects.iter().map(|object| object.key.as_str()).collect();
    (keys, page.common_prefixes.iter().map(String::as_str).collect(), page.truncated)
}

const KEYS: [&str; 8] = ["a", "b/1", "b/2/x", "b0", "c/1", "c/2", "\u{e9}", "\u{1f600}/z"];

#[test]
fn keys_are_sorted_by_their_bytes() {
    run(async {
        let world = with_keys(&["b", "\u{e9}", "a/b", "B", "a", "a-b"]).await;
        let page = world.catalog.list_objects(&world.bucket, all()).await.unwrap();
        assert_eq!(shown(&page), (vec!["B", "a", "a-b", "a/b", "b", "\u{e9}"], vec![], false));
        assert_eq!((page.objects[0].size, page.objects[0].etag.as_str()), (10, "e"));
        assert_eq!(page.objects[0].checksums, [(ChecksumAlgorithm::Crc32, ChecksumKind::FullObject)]);
        assert_eq!((page.next_marker, page.next_token), (None, None));
    });
}

#[test]
fn a_delimiter_groups_what_follows_the_prefix() {
    run(async {
        let world = with_keys(&KEYS).await;
        let list = |prefix: &str, delimiter: &str| {
            let query = ListQuery { prefix: prefix.to_owned(), delimiter: Some(delimiter.to_owned()), ..all() };
            world.catalog.list_objects(&world.bucket, query)
        };
        let page = list("", "/").await.unwrap();
        assert_eq!(shown(&page), (vec!["a", "b0", "\u{e9}"], vec!["b/", "c/", "\u{1f600}/"], false));
        let page = list("b/", "/").await.unwrap();
        assert_eq!(shown(&page), (vec!["b/1"], vec!["b/2/"], false));
        let page = list("b", "2/").await.unwrap();
        assert_eq!(shown(&page), (vec!["b/1", "b0"], vec!["b/2/"], false));
        let page = list("", "").await.unwrap();
        assert_eq!(page.objects.len(), KEYS.len());
        assert_eq!(shown(&list("zz", "/").await.unwrap()), (vec![], vec![], false));
    });
}

#[test]
fn pages_by_token_and_by_marker_show_everything_once() {
    run(async {
        let world = with_keys(&KEYS).await;
        for by_token in [true, false] {
            for max_keys in 1..=4 {
                let mut query = ListQuery { delimiter: Some("/".to_owned()), max_keys, ..all() };
                let (mut keys, mut groups, mut pages) = (Vec::new(), Vec::new(), 0);
                loop {
                    let page = world.catalog.list_objects(&world.bucket, query.clone()).await.unwrap();
                    keys.extend(page.objects.iter().map(|object| object.key.clone()));
                    groups.extend(page.common_prefixes.clone());
                    pages += 1;
                    query.start = match (page.next_token, page.next_marker, by_token) {
                        (Some(token), _, true) => ListStart::Token(token),
                        (_, Some(marker), false) => ListStart::After(marker),
                        _ => break,
                    };
                }
                assert_eq!((keys.len(), groups.len()), (3, 3), "{by_token} {max_keys}: {keys:?} {groups:?}");
                assert_eq!(pages, 6_usize.div_ceil(max_keys));
            }
        }
    });
}

#[test]
fn a_marker_inside_a_group_shows_what_is_left_of_the_group() {
    run(async {
        let world = with_keys(&KEYS).await;
        let after = |marker: &str| {
            let start = ListStart::After(marker.to_owned());
            world.catalog.list_objects(&world.bucket, ListQuery { delimiter: Some("/".to_owned()), start, ..all() })
        };
        assert_eq!(shown(&after("c/1").await.unwrap()), (vec!["\u{e9}"], vec!["c/", "\u{1f600}/"], false));
        assert_eq!(shown(&after("c/2").await.unwrap()), (vec!["\u{e9}"], vec!["\u{1f600}/"], false));
        assert_eq!(shown(&after("c/").await.unwrap()), (vec!["\u{e9}"], vec!["\u{1f600}/"], false));
        assert_eq!(shown(&after("b0").await.unwrap()), (vec!["\u{e9}"], vec!["c/", "\u{1f600}/"], false));
    });
}

#[test]
fn zero_keys_are_asked_for_and_shown() {
    run(async {
        let world = with_keys(&KEYS).await;
        let page = world.catalog.list_objects(&world.bucket, ListQuery { max_keys: 0, ..all() }).await.unwrap();
        assert_eq!(page, ListPage::default());
    });
}

#[test]
fn a_page_ends_exactly_at_the_last_key_without_promising_more() {
    run(async {
        let world = with_keys(&["a", "b", "c/1", "c/2"]).await;
        let query = ListQuery { delimiter: Some("/".to_owned()), max_keys: 3, ..all() };
        let page = world.catalog.list_objects(&world.bucket, query).await.unwrap();
        assert_eq!(shown(&page), (vec!["a", "b"], vec!["c/"], false));
    });
}

#[test]
fn a_token_of_another_listing_is_refused() {
    run(async {
        let world = with_keys(&KEYS).await;
        let page = world.catalog.list_objects(&world.bucket, ListQuery { max_keys: 1, ..all() }).await.unwrap();
        let token = page.next_token.unwrap();
        let with = |start, prefix: &str| {
            let query = ListQuery { start, prefix: prefix.to_owned(), ..all() };
            world.catalog.list_objects(&world.bucket, query)
        };
        assert_eq!(with(ListStart::Token(token.clone()), "").await.unwrap().objects.len(), KEYS.len() - 1);
        assert!(matches!(with(ListStart::Token(token), "b").await, Err(CatalogError::InvalidToken)));
        assert!(matches!(with(ListStart::Token("c/1".to_owned()), "").await, Err(CatalogError::InvalidToken)));
    });
}

#[test]
fn buckets_do_not_show_each_others_keys() {
    run(async {
        let world = with_keys(&["a"]).await;
        let other = world.catalog.create_bucket(world.stamp(), new_bucket("zz-other", "lab-a", 2)).await.unwrap();
        assert_eq!(world.catalog.list_objects(&other, all()).await.unwrap(), ListPage::default());
    });
}

#[test]
fn prefixes_and_markers_of_any_length_and_content_are_harmless() {
    run(async {
        let world = with_keys(&KEYS).await;
        for text in ["x".repeat(5_000), "\0".to_owned(), "b\0".to_owned(), "\u{10ffff}".to_owned()] {
            let query = ListQuery { prefix: text.clone(), delimiter: Some(text.clone()), ..all() };
            assert!(world.catalog.list_objects(&world.bucket, query).await.unwrap().objects.is_empty());
            let query = ListQuery { start: ListStart::After(text), ..all() };
            world.catalog.list_objects(&world.bucket, query).await.unwrap();
        }
    });
}
