//! Who may do what to an approval, in which state.

use domicile_types::{ApprovalChange, UnixMillis};

use super::record::{
    Approval, EMERGENCY_MILLIS_MAX, REVIEW_MILLIS_MAX, Review, State, TermsError, one_line, same_person,
};

/// What is to be done to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Put it in force.
    Approve,
    /// Turn it down.
    Reject,
    /// Take the request back.
    Withdraw,
    /// Out of force, for now.
    Suspend,
    /// In force again.
    Resume,
    /// Out of force for good.
    Revoke,
    /// Say what an emergency was.
    Review,
}

/// Why something cannot be done to an approval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its state does not allow it.
    #[error("it is {}: only {} can be {done}", state_name(*.state), .from)]
    State {
        /// Where it stands.
        state: State,
        /// Where it would have to stand.
        from: &'static str,
        /// What was to be done.
        done: &'static str,
    },
    /// One pair of eyes.
    #[error("{0}: another person must do it")]
    SamePerson(&'static str),
    /// Only its maker takes a request back.
    #[error("only {maker}, who made the request, can take it back; others reject it")]
    NotItsMaker {
        /// Who made it.
        maker: String,
    },
    /// It could never be in force.
    #[error("it expired at {expires}: ask for a new one")]
    Expired {
        /// When.
        expires: UnixMillis,
    },
    /// Its maker or checker would act for the recipient.
    #[error("{person} holds a key that would read under it: whoever asks or decides must not be who reads")]
    HoldsKey {
        /// Who.
        person: String,
    },
    /// No emergency.
    #[error("it was not put in force in an emergency: there is nothing to review")]
    NoEmergency,
    /// It was reviewed.
    #[error("it was reviewed already")]
    Reviewed,
    /// An earlier emergency waits to be reviewed.
    #[error("the emergency of approval {approval} should have been reviewed by {due}: review it first")]
    ReviewOverdue {
        /// Which.
        approval: domicile_types::ApprovalId,
        /// When.
        due: UnixMillis,
    },
    /// A text is missing.
    #[error(transparent)]
    Text(#[from] TermsError),
}

impl Order {
    /// What the approval is once it is done, and how the log calls it.
    pub fn apply(
        self,
        approval: &Approval,
        person: &str,
        reason: Option<&str>,
        now: UnixMillis,
    ) -> Result<(Approval, ApprovalChange), Refusal> {
        let mut next = approval.clone();
        if let Some(reason) = reason {
            one_line("the reason", reason)?;
            next.reason = Some(reason.to_owned());
        }
        let is_maker = same_person(&approval.maker, person);
        let what = match self {
            Self::Approve => {
                from(approval, &[State::Requested], "a request", "approved")?;
                self.refuse_maker(approval, person)?;
                not_over(approval, now)?;
                next.state = State::Active;
                next.checker = Some(person.to_owned());
                next.decided = Some(now);
                match &mut next.emergency {
                    Some(emergency) => {
                        if approval.terms.expires.millis_since(now) > EMERGENCY_MILLIS_MAX {
                            return Err(TermsError::NoEmergency.into());
                        }
                        emergency.review_by = Some(now.plus_millis(REVIEW_MILLIS_MAX));
                        ApprovalChange::BrokeGlass
                    }
                    None => ApprovalChange::Approved,
                }
            }
            Self::Reject => {
                from(approval, &[State::Requested], "a request", "rejected")?;
                self.refuse_maker(approval, person)?;
                next.state = State::Rejected;
                next.checker = Some(person.to_owned());
                next.decided = Some(now);
                ApprovalChange::Rejected
            }
            Self::Withdraw => {
                from(approval, &[State::Requested], "a request", "withdrawn")?;
                if !is_maker {
                    return Err(Refusal::NotItsMaker { maker: approval.maker.clone() });
                }
                next.state = State::Withdrawn;
                ApprovalChange::Withdrawn
            }
            Self::Suspend => {
                from(approval, &[State::Active], "an active one", "suspended")?;
                next.state = State::Suspended;
                ApprovalChange::Suspended
            }
            Self::Resume => {
                from(approval, &[State::Suspended], "a suspended one", "resumed")?;
                self.refuse_maker(approval, person)?;
                not_over(approval, now)?;
                next.state = State::Active;
                ApprovalChange::Resumed
            }
            Self::Revoke => {
                from(approval, &[State::Active, State::Suspended], "an active or suspended one", "revoked")?;
                next.state = State::Revoked;
                ApprovalChange::Revoked
            }
            Self::Review => {
                let finding = reason.ok_or(TermsError::Text { what: "the finding" })?.to_owned();
                let Some(emergency) = next.emergency.as_mut().filter(|emergency| emergency.review_by.is_some()) else {
                    return Err(Refusal::NoEmergency);
                };
                if emergency.review.is_some() {
                    return Err(Refusal::Reviewed);
                }
                if approval.has_hand(person) {
                    return Err(Refusal::SamePerson("who acted in an emergency does not review it"));
                }
                emergency.review = Some(Review { by: person.to_owned(), at: now, finding });
                next.reason.clone_from(&approval.reason);
                ApprovalChange::Reviewed
            }
        };
        Ok((next, what))
    }

    fn refuse_maker(self, approval: &Approval, person: &str) -> Result<(), Refusal> {
        if same_person(&approval.maker, person) {
            return Err(Refusal::SamePerson("who asks for an approval does not decide on it"));
        }
        Ok(())
    }
}

/// The approval once its time is over, if it is and was not before.
#[must_use]
pub fn expired(approval: &Approval, now: UnixMillis) -> Option<Approval> {
    let open = matches!(approval.state, State::Requested | State::Active | State::Suspended);
    (open && approval.terms.expires <= now).then(|| Approval { state: State::Expired, ..approval.clone() })
}

/// The approval once its quota is used up, if that is not told already.
#[must_use]
pub fn consumed(approval: &Approval, bytes: u64) -> Option<Approval> {
    let open = matches!(approval.state, State::Active | State::Suspended);
    (open && bytes >= approval.terms.quota.bytes).then(|| Approval { state: State::Consumed, ..approval.clone() })
}

/// Refuses another emergency of a tenant while one was not reviewed in time.
pub fn emergency_allowed<'a>(
    all: impl IntoIterator<Item = &'a Approval>,
    tenant: &domicile_types::TenantId,
    now: UnixMillis,
) -> Result<(), Refusal> {
    for approval in all.into_iter().filter(|approval| approval.terms.tenant == *tenant) {
        if let Some(emergency) = &approval.emergency
            && emergency.review.is_none()
            && let Some(due) = emergency.review_by.filter(|due| *due < now)
        {
            return Err(Refusal::ReviewOverdue { approval: approval.id, due });
        }
    }
    Ok(())
}

fn from(approval: &Approval, states: &[State], from: &'static str, done: &'static str) -> Result<(), Refusal> {
    if states.contains(&approval.state) {
        return Ok(());
    }
    Err(Refusal::State { state: approval.state, from, done })
}

fn not_over(approval: &Approval, now: UnixMillis) -> Result<(), Refusal> {
    if approval.terms.expires <= now {
        return Err(Refusal::Expired { expires: approval.terms.expires });
    }
    Ok(())
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Requested => "a request still",
        State::Active => "active",
        State::Suspended => "suspended",
        State::Consumed => "consumed",
        State::Expired => "expired",
        State::Revoked => "revoked",
        State::Rejected => "rejected",
        State::Withdrawn => "withdrawn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approvals::record::Emergency;
    use crate::approvals::record::tests::{NOW, requested};

    fn done(order: Order, approval: &Approval, person: &str) -> Result<Approval, Refusal> {
        order.apply(approval, person, Some("a reason"), NOW).map(|(next, _)| next)
    }

    fn emergency() -> Approval {
        let mut approval = requested();
        approval.terms.expires = NOW.plus_millis(3_600_000);
        approval.emergency = Some(Emergency { reason: "fire".to_owned(), review_by: None, review: None });
        approval
    }

    #[test]
    fn who_asks_does_not_decide_however_the_name_is_written() {
        for order in [Order::Approve, Order::Reject] {
            assert!(matches!(done(order, &requested(), " Olga"), Err(Refusal::SamePerson(_))), "{order:?}");
        }
        let active = done(Order::Approve, &requested(), "anna").unwrap();
        assert_eq!((active.state, active.checker.as_deref()), (State::Active, Some("anna")));
        let suspended = done(Order::Suspend, &active, "olga").unwrap();
        assert!(matches!(done(Order::Resume, &suspended, "olga"), Err(Refusal::SamePerson(_))));
        assert_eq!(done(Order::Resume, &suspended, "anna").unwrap().state, State::Active);
        assert!(matches!(done(Order::Withdraw, &requested(), "anna"), Err(Refusal::NotItsMaker { .. })));
        assert_eq!(done(Order::Withdraw, &requested(), "olga").unwrap().state, State::Withdrawn);
    }

    #[test]
    fn each_state_allows_what_follows_from_it_and_nothing_else() {
        use Order::{Approve, Reject, Resume, Revoke, Suspend, Withdraw};
        let allowed = |state| -> Vec<Order> {
            let approval = Approval { state, ..requested() };
            let person = |order| if order == Withdraw { "olga" } else { "anna" };
            let orders = [Approve, Reject, Withdraw, Suspend, Resume, Revoke, Order::Review];
            orders.into_iter().filter(|order| done(*order, &approval, person(*order)).is_ok()).collect()
        };
        assert_eq!(allowed(State::Requested), [Approve, Reject, Withdraw]);
        assert_eq!(allowed(State::Active), [Suspend, Revoke]);
        assert_eq!(allowed(State::Suspended), [Resume, Revoke]);
        for over in [State::Consumed, State::Expired, State::Revoked, State::Rejected, State::Withdrawn] {
            assert_eq!(allowed(over), [], "{over:?}");
        }
    }

    #[test]
    fn what_is_over_is_not_put_in_force() {
        let mut late = requested();
        late.terms.expires = NOW;
        assert!(matches!(done(Order::Approve, &late, "anna"), Err(Refusal::Expired { .. })));
        assert_eq!(expired(&late, NOW).unwrap().state, State::Expired);
        assert_eq!(expired(&requested(), NOW), None);
        let active = done(Order::Approve, &requested(), "anna").unwrap();
        assert_eq!(consumed(&active, 999), None);
        assert_eq!(consumed(&active, 1_000).unwrap().state, State::Consumed);
        assert_eq!(consumed(&requested(), 1_000), None);
    }

    #[test]
    fn an_emergency_is_reviewed_by_a_third_person_before_the_next_one() {
        let (broken, what) = Order::Approve.apply(&emergency(), "anna", None, NOW).unwrap();
        assert_eq!(what, ApprovalChange::BrokeGlass);
        let due = broken.emergency.as_ref().unwrap().review_by.unwrap();
        let tenant = &broken.terms.tenant;
        assert_eq!(emergency_allowed([&broken], tenant, due), Ok(()));
        let late = UnixMillis(due.0 + 1);
        assert!(matches!(emergency_allowed([&broken], tenant, late), Err(Refusal::ReviewOverdue { .. })));
        for person in ["olga", "anna"] {
            assert!(matches!(done(Order::Review, &broken, person), Err(Refusal::SamePerson(_))), "{person}");
        }
        assert!(Order::Review.apply(&broken, "otto", None, NOW).is_err(), "a review finds something");
        let reviewed = done(Order::Review, &broken, "otto").unwrap();
        assert_eq!(emergency_allowed([&reviewed], tenant, late), Ok(()));
        assert_eq!(done(Order::Review, &reviewed, "otto"), Err(Refusal::Reviewed));
        assert_eq!(done(Order::Review, &requested(), "otto"), Err(Refusal::NoEmergency));
    }

    #[test]
    fn an_emergency_that_waits_is_none_any_more() {
        let mut long = emergency();
        long.terms.expires = NOW.plus_millis(EMERGENCY_MILLIS_MAX + 1);
        assert_eq!(done(Order::Approve, &long, "anna"), Err(Refusal::Text(TermsError::NoEmergency)));
    }
}
