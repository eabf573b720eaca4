//! Notification configurations. A webhook stands where S3 has queues and topics; its ARN names it.

use s3s::dto::{
    Event, FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, NotificationConfiguration, NotificationConfigurationFilter,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput, QueueConfiguration, S3KeyFilter,
    TopicConfiguration,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::{Front, names};
use crate::notify::{ARN_PREFIX, NotificationRule, Notifications, StatedAs};

impl Front {
    pub(super) async fn notifications(
        &self,
        request: S3Request<GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
        let caller = names::caller(&request)?;
        let set = self.gateway.notifications(&caller, &names::bucket(&request.input.bucket)?).await?;
        let (queues, topics): (Vec<_>, Vec<_>) =
            set.rules.into_iter().partition(|rule| rule.stated_as == StatedAs::Queue);
        let queues: Vec<QueueConfiguration> = queues.into_iter().map(queue).collect();
        let topics: Vec<TopicConfiguration> = topics.into_iter().map(topic).collect();
        Ok(S3Response::new(GetBucketNotificationConfigurationOutput {
            queue_configurations: (!queues.is_empty()).then_some(queues),
            topic_configurations: (!topics.is_empty()).then_some(topics),
            ..GetBucketNotificationConfigurationOutput::default()
        }))
    }

    pub(super) async fn set_notifications(
        &self,
        request: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        let caller = names::caller(&request)?;
        if request.input.skip_destination_validation == Some(true) {
            return Err(super::error::not_implemented("a destination that is not validated"));
        }
        let set = stated(request.input.notification_configuration)?;
        self.gateway.set_notifications(&caller, &names::bucket(&request.input.bucket)?, &set).await?;
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
    }
}

fn stated(configuration: NotificationConfiguration) -> S3Result<Notifications> {
    if configuration.event_bridge_configuration.is_some() {
        return Err(super::error::not_implemented("EventBridge"));
    }
    if configuration.lambda_function_configurations.is_some_and(|list| !list.is_empty()) {
        return Err(super::error::not_implemented("a function as destination"));
    }
    let mut rules = Vec::new();
    for queue in configuration.queue_configurations.unwrap_or_default() {
        rules.push(rule(StatedAs::Queue, queue.id, &queue.queue_arn, queue.events, queue.filter, rules.len())?);
    }
    for topic in configuration.topic_configurations.unwrap_or_default() {
        rules.push(rule(StatedAs::Topic, topic.id, &topic.topic_arn, topic.events, topic.filter, rules.len())?);
    }
    Ok(Notifications { rules })
}

fn rule(
    stated_as: StatedAs,
    id: Option<String>,
    arn: &str,
    events: Vec<Event>,
    filter: Option<NotificationConfigurationFilter>,
    at: usize,
) -> S3Result<NotificationRule> {
    let invalid = |message: &str| S3Error::with_message(S3ErrorCode::InvalidArgument, message.to_owned());
    let webhook = arn.strip_prefix(ARN_PREFIX).ok_or_else(|| {
        invalid(
            "a destination is arn:domicile:webhook:::NAME, with the name of a webhook that an operator has declared",
        )
    })?;
    let (mut prefix, mut suffix) = (None, None);
    for filter in filter.and_then(|filter| filter.key).and_then(|key| key.filter_rules).unwrap_or_default() {
        let name = filter.name.as_ref().map(FilterRuleName::as_str).unwrap_or_default();
        let place = match name {
            _ if name.eq_ignore_ascii_case(FilterRuleName::PREFIX) => &mut prefix,
            _ if name.eq_ignore_ascii_case(FilterRuleName::SUFFIX) => &mut suffix,
            _ => return Err(invalid("filter rule name must be either prefix or suffix")),
        };
        if place.replace(filter.value.unwrap_or_default()).is_some() {
            return Err(invalid("a filter has at most one prefix and one suffix"));
        }
    }
    Ok(NotificationRule {
        // A name that is left out is given here, so that it stays the same.
        id: id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("configuration-{}", at + 1)),
        stated_as,
        webhook: webhook.to_owned(),
        events: events.iter().map(|event| event.as_ref().to_owned()).collect(),
        prefix,
        suffix,
    })
}

fn queue(rule: NotificationRule) -> QueueConfiguration {
    QueueConfiguration {
        events: events(&rule),
        filter: filter(&rule),
        queue_arn: format!("{ARN_PREFIX}{}", rule.webhook),
        id: Some(rule.id),
    }
}

fn topic(rule: NotificationRule) -> TopicConfiguration {
    TopicConfiguration {
        events: events(&rule),
        filter: filter(&rule),
        topic_arn: format!("{ARN_PREFIX}{}", rule.webhook),
        id: Some(rule.id),
    }
}

fn events(rule: &NotificationRule) -> Vec<Event> {
    rule.events.iter().map(|event| Event::from(event.clone())).collect()
}

fn filter(rule: &NotificationRule) -> Option<NotificationConfigurationFilter> {
    let named = |name: &'static str, value: &Option<String>| {
        value.clone().map(|value| FilterRule { name: Some(FilterRuleName::from_static(name)), value: Some(value) })
    };
    let rules = [named(FilterRuleName::PREFIX, &rule.prefix), named(FilterRuleName::SUFFIX, &rule.suffix)];
    let rules: Vec<FilterRule> = rules.into_iter().flatten().collect();
    let key = Some(S3KeyFilter { filter_rules: (!rules.is_empty()).then_some(rules) });
    key.filter(|key| key.filter_rules.is_some()).map(|key| NotificationConfigurationFilter { key: Some(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(arn: &str, filters: &[(&str, &str)]) -> NotificationConfiguration {
        let filter_rules = filters.iter().map(|(name, value)| FilterRule {
            name: Some(FilterRuleName::from((*name).to_owned())),
            value: Some((*value).to_owned()),
        });
        let key = Some(S3KeyFilter { filter_rules: Some(filter_rules.collect()) });
        let queue = QueueConfiguration {
            events: vec![Event::from("s3:ObjectCreated:*".to_owned())],
            filter: Some(NotificationConfigurationFilter { key }),
            id: None,
            queue_arn: arn.to_owned(),
        };
        NotificationConfiguration { queue_configurations: Some(vec![queue]), ..NotificationConfiguration::default() }
    }

    #[test]
    fn what_is_stated_is_shown_again() {
        let arn = "arn:domicile:webhook:::ingest";
        let rules = stated(configuration(arn, &[("Prefix", "raw/"), ("suffix", ".csv")])).unwrap().rules;
        let shown = queue(rules[0].clone());
        assert_eq!((shown.queue_arn.as_str(), shown.id.as_deref()), (arn, Some("configuration-1")));
        let again = NotificationConfiguration { queue_configurations: Some(vec![shown]), ..Default::default() };
        assert_eq!(stated(again).unwrap().rules, rules);
    }

    #[test]
    fn destinations_and_filters_that_mean_nothing_here_are_refused() {
        let arn = "arn:domicile:webhook:::ingest";
        for (arn, filters) in [
            ("arn:aws:sqs:eu-west-1:1:queue", &[][..]),
            (arn, &[("infix", "x")]),
            (arn, &[("prefix", "a"), ("Prefix", "b")]),
        ] {
            assert_eq!(stated(configuration(arn, filters)).unwrap_err().code(), &S3ErrorCode::InvalidArgument);
        }
    }
}
