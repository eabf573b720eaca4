//! Takes messages from their queues to the webhooks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domicile_types::{OperationKind, Place, RequestId};
use tokio::sync::Notify;

use super::address::is_public;
use super::sender::{SendError, Sender};
use crate::admin::with_causes;
use crate::catalog::{CatalogError, Message, Queued};
use crate::config::Webhook;
use crate::objects::{Error, Gateway, Matter};

/// Messages that may wait for one webhook. What comes beyond is not queued, and counted.
const WAITING_MAX: usize = 100_000;
/// Messages that are taken from a queue at a time.
const AT_ONCE: usize = 32;
/// How often a message is tried: with the pauses below, for about half a day.
const ATTEMPTS_MAX: u32 = 16;
/// The pause after the first attempt; each is four times the one before it, up to an hour.
const FIRST_PAUSE_MILLIS: u64 = 1_000;
const PAUSE_MILLIS_MAX: u64 = 3_600_000;
/// How long a queue without due messages is left alone, if nobody rings.
const IDLE: Duration = Duration::from_secs(1);
/// How long a worker pauses when its own gateway is in its way.
const TROUBLE: Duration = Duration::from_secs(5);

/// The webhooks of the configuration, and how many messages wait for each.
pub(crate) struct Hooks(BTreeMap<String, Hook>);

struct Hook {
    webhook: Webhook,
    sender: Sender,
    bell: Notify,
    waiting: AtomicUsize,
    turned_away: AtomicUsize,
}

impl Hooks {
    /// # Errors
    /// When certificates that a webhook's must lead to cannot be read.
    pub(crate) fn new(webhooks: &[Webhook]) -> anyhow::Result<Self> {
        let hook = |webhook: &Webhook| {
            let sender = Sender::new(webhook).map_err(|error| error.context(format!("webhook {}", webhook.name)))?;
            let (waiting, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let hook = Hook { webhook: webhook.clone(), sender, bell: Notify::new(), waiting, turned_away };
            Ok((webhook.name.clone(), hook))
        };
        webhooks.iter().map(hook).collect::<anyhow::Result<_>>().map(Self)
    }

    /// The webhook of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Webhook> {
        self.0.get(name).map(|hook| &hook.webhook)
    }

    /// Queues a message. A webhook that is no more, or one that too much waits for already, is told nothing.
    pub(crate) async fn queue(&self, gateway: &Gateway, name: &str, message: Message) -> Result<(), CatalogError> {
        let Some(hook) = self.0.get(name) else {
            tracing::warn!(webhook = name, "a bucket names a webhook that is not declared; it is told nothing");
            return Ok(());
        };
        if hook.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            hook.waiting.fetch_sub(1, Ordering::Relaxed);
            let lost = hook.turned_away.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::error!(webhook = name, lost, "too many messages wait for a webhook; events are lost");
            }
            return Ok(());
        }
        let queued = gateway.catalog.queue_message(name, message).await;
        match &queued {
            Ok(()) => hook.bell.notify_one(),
            Err(_) => hook.left(),
        }
        queued
    }
}

impl Hook {
    fn left(&self) {
        // Counted at start and at every queueing, so it never goes below zero but by a race that the next start mends.
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    }
}

/// Runs the workers of all webhooks until it is aborted.
pub(crate) async fn run(gateway: Gateway) {
    let names: Vec<String> = gateway.hooks.0.keys().cloned().collect();
    futures::future::join_all(names.into_iter().map(|name| work(gateway.clone(), name))).await;
}

async fn work(gateway: Gateway, name: String) {
    let hooks = Arc::clone(&gateway.hooks);
    let Some(hook) = hooks.0.get(&name) else { return };
    match gateway.catalog.messages_waiting(&name, WAITING_MAX).await {
        Ok(waiting) => drop(hook.waiting.fetch_add(waiting, Ordering::Relaxed)),
        Err(error) => tracing::warn!(webhook = name, error = with_causes(&error), "messages cannot be counted"),
    }
    loop {
        match round(&gateway, hook).await {
            Ok(true) => {}
            // Whoever queues rings; what is due later is looked for now and then.
            Ok(false) => drop(tokio::time::timeout(IDLE, hook.bell.notified()).await),
            Err(error) => {
                tracing::warn!(webhook = name, error = with_causes(&error), "messages to a webhook are put off");
                tokio::time::sleep(TROUBLE).await;
            }
        }
    }
}

/// What became of a message.
enum Fate {
    Arrived,
    /// The law does not let the webhook's place be told.
    Denied,
    Failed(SendError),
}

/// Sends what is due. Whether more may be.
async fn round(gateway: &Gateway, hook: &Hook) -> Result<bool, Error> {
    let name = &hook.webhook.name;
    let due = gateway.catalog.messages_due(name, gateway.clock.now(), AT_ONCE).await?;
    let full = due.len() == AT_ONCE;
    for queued in due {
        match deliver(gateway, hook, &queued.message).await? {
            Fate::Arrived | Fate::Denied => {
                gateway.catalog.remove_message(&queued).await?;
                hook.left();
            }
            Fate::Failed(error) => {
                put_off(gateway, hook, &queued, &error).await?;
                // Those behind it would fail as well; they keep their places.
                return Ok(false);
            }
        }
    }
    Ok(full)
}

async fn deliver(gateway: &Gateway, hook: &Hook, message: &Message) -> Result<Fate, Error> {
    let addresses = match hook.sender.locate().await {
        Ok(addresses) => addresses,
        Err(error) => return Ok(Fate::Failed(error)),
    };
    let matter = Matter {
        // To be told that an object was put or deleted is to be told of it, as HEAD tells.
        operation: OperationKind::HeadObject,
        packs: &message.packs,
        classification: &message.classification,
        bucket: Some(&message.bucket),
        key: message.key.as_deref(),
        nodes: Vec::new(),
    };
    let places = places_of(gateway, hook.webhook.place, &addresses);
    let request = RequestId::from_bytes(gateway.clock.random());
    let worker = format!("webhook/{}", hook.webhook.name);
    let intent = match gateway.authorize_elsewhere(&message.tenant, &worker, request, &matter, places).await {
        Ok(intent) => intent,
        Err(Error::Denied(denial)) => {
            tracing::warn!(webhook = hook.webhook.name, log_index = denial.log_index, "an event may not be told there");
            return Ok(Fate::Denied);
        }
        Err(error) => return Err(error),
    };
    let sent = hook.sender.send(&message.id, &message.body, gateway.clock.now()).await;
    crate::objects::settle(intent, sent.is_ok());
    Ok(sent.map_or_else(Fate::Failed, |()| Fate::Arrived))
}

/// Where a webhook may be: where it is declared to be, and where its addresses are found to be, if these are the internet's.
pub(super) fn places_of(gateway: &Gateway, declared: Place, addresses: &[IpAddr]) -> Vec<Place> {
    let public = addresses.iter().filter(|address| is_public(**address));
    let found = public.flat_map(|address| gateway.locator.locate(*address, gateway.clock.now()).candidates);
    let mut places = vec![declared];
    for place in found {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

async fn put_off(gateway: &Gateway, hook: &Hook, queued: &Queued, error: &SendError) -> Result<(), CatalogError> {
    let (name, attempt) = (&hook.webhook.name, queued.message.attempts.saturating_add(1));
    let error = with_causes(error);
    if attempt >= ATTEMPTS_MAX {
        tracing::error!(webhook = name, attempt, error, "a message to a webhook is given up");
        gateway.catalog.remove_message(queued).await?;
        hook.left();
        return Ok(());
    }
    let pause = pause_millis(attempt);
    tracing::warn!(webhook = name, attempt, pause_millis = pause, error, "a message to a webhook did not arrive");
    gateway.catalog.postpone_message(name, queued, gateway.clock.now().plus_millis(pause)).await
}

/// The pause after that many attempts.
fn pause_millis(attempts: u32) -> u64 {
    let factor = 4_u64.checked_pow(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
    FIRST_PAUSE_MILLIS.saturating_mul(factor).min(PAUSE_MILLIS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour_and_end_within_a_day() {
        assert_eq!([1, 2, 3, 9].map(pause_millis), [1_000, 4_000, 16_000, 3_600_000]);
        assert_eq!(pause_millis(u32::MAX), PAUSE_MILLIS_MAX);
        let all: u64 = (1..ATTEMPTS_MAX).map(pause_millis).sum();
        assert!((6 * 3_600_000..24 * 3_600_000).contains(&all));
    }
}
