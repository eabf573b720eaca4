//! Whether a policy makes a bucket public, in the sense of Amazon S3's block public access.
//!
//! A policy is public where a statement allows something to everybody, and no condition ties it to fixed values of who asks or
//! from where. A wide network is nearly everybody: wider than /8 (IPv4) or /32 (IPv6) counts as public.
//!
//! Spec: Amazon S3's user guide, "The meaning of public".

use ipnet::IpNet;

use super::condition::{Condition, Values};
use super::document::{Policy, Statement};
use super::operator::{Each, Test};
use super::principal::Principal;

/// Keys whose fixed values tie a statement down.
const TYING: &[&str] = &[
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceIp",
    "aws:userid",
    "aws:username",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

impl Policy {
    /// Whether it makes its bucket public.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(is_public)
    }
}

fn is_public(statement: &Statement) -> bool {
    let everybody = statement
        .principals
        .as_ref()
        .is_some_and(|who| who.others || who.list.iter().any(|principal| *principal == Principal::Everybody));
    statement.allows && everybody && !statement.conditions.iter().any(ties)
}

/// Whether the condition holds for fixed values only.
fn ties(condition: &Condition) -> bool {
    let operator = condition.operator;
    let is_firm = !operator.negated && !operator.if_exists && operator.each != Each::All;
    is_firm
        && TYING.contains(&condition.key.name())
        && match (&condition.values, operator.test) {
            (Values::Text(patterns), _) => patterns.iter().all(|pattern| pattern.is_fixed()),
            // Of an ARN, whose it is must be fixed; a wildcard in its last field stays within that account.
            (Values::Arn(arns), Test::Arn) => arns.iter().all(|arn| match arn.as_slice() {
                [_, _, _, _, account, resource] => account.is_fixed() && !account.is_empty() || resource.is_fixed(),
                _ => false,
            }),
            (Values::Address(networks), _) => networks.iter().all(is_narrow),
            _ => false,
        }
}

fn is_narrow(network: &IpNet) -> bool {
    network.prefix_len() >= if network.addr().is_ipv4() { 8 } else { 32 }
}
