//! The three states of a transaction and the steps between them. Pure: no statement runs here.
//!
//! `status` is the customer's view of the whole, `payment_status` follows the money, `fulfilment_status` the goods.
//! They never mix: a refund does not reopen anything, and an unpaid parcel is no contradiction (cash on delivery).

use commerce_sdk::prelude::*;

macro_rules! state {
    ($(#[$doc:meta])* $name:ident { $($variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($variant),+ }

        #[cfg(test)]
        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
        }
    };
}

state! {
    Status { Open, Completed, Cancelled, Expired }
}

state! {
    PaymentStatus { Awaiting, Paid, PartiallyRefunded, Refunded }
}

state! {
    FulfilmentStatus { Unfulfilled, Partial, Shipped, Delivered, Returned }
}

state! {
    /// How the customer pays, as far as the steps depend on it.
    PaymentMethod { BankTransfer, CashOnDelivery }
}

impl PaymentMethod {
    /// Whether goods may leave before the money has come; such a transaction does not expire for want of it either.
    pub fn ships_unpaid(self) -> bool {
        self == PaymentMethod::CashOnDelivery
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States {
    pub status: Status,
    pub payment: PaymentStatus,
    pub fulfilment: FulfilmentStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Pay,
    /// The time to pay is over.
    Expire,
    /// `goods_out` says whether the customer, or a courier, has some of the goods.
    Cancel {
        goods_out: bool,
    },
    /// Something leaves; `all` says whether nothing is left to ship.
    Ship {
        all: bool,
    },
    Deliver,
    /// Everything that was shipped came back.
    Return,
    /// Money goes back; `all` says whether nothing is left to refund.
    Refund {
        all: bool,
    },
}

/// Why a step is not possible, as a problem's code and its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: &'static str,
    pub detail: &'static str,
}

const fn refused(code: &'static str, detail: &'static str) -> Refused {
    Refused { code, detail }
}

impl States {
    pub const PLACED: States = States {
        status: Status::Open,
        payment: PaymentStatus::Awaiting,
        fulfilment: FulfilmentStatus::Unfulfilled,
    };

    /// Where a step leads, or why it can't be taken from here.
    pub fn after(self, step: Step, method: PaymentMethod) -> Result<States, Refused> {
        use FulfilmentStatus as F;
        use PaymentStatus as P;
        let next = match step {
            Step::Pay => {
                self.must_be_open()?;
                if self.payment != P::Awaiting {
                    return Err(refused("already_paid", "The transaction has been paid."));
                }
                States {
                    payment: P::Paid,
                    ..self
                }
            }
            Step::Expire => {
                self.must_be_open()?;
                if self.payment != P::Awaiting || method.ships_unpaid() || self.fulfilment != F::Unfulfilled {
                    return Err(refused(
                        "not_expirable",
                        "Only an unpaid transaction can expire, before it is shipped.",
                    ));
                }
                States {
                    status: Status::Expired,
                    ..self
                }
            }
            Step::Cancel { goods_out } => {
                self.must_be_open()?;
                if goods_out {
                    return Err(refused(
                        "already_shipped",
                        "Goods have left; record their return first.",
                    ));
                }
                States {
                    status: Status::Cancelled,
                    ..self
                }
            }
            Step::Ship { all } => {
                self.must_be_open()?;
                if self.payment == P::Awaiting && !method.ships_unpaid() {
                    return Err(refused("not_paid", "The transaction must be paid before goods leave."));
                }
                if self.payment == P::Refunded {
                    return Err(refused(
                        "refunded",
                        "The transaction was refunded; nothing is left to ship.",
                    ));
                }
                match self.fulfilment {
                    F::Unfulfilled | F::Partial => {}
                    F::Shipped | F::Delivered | F::Returned => {
                        return Err(refused("already_shipped", "Everything has been shipped."));
                    }
                }
                States {
                    fulfilment: if all { F::Shipped } else { F::Partial },
                    ..self
                }
            }
            Step::Deliver => {
                self.must_be_open()?;
                if self.fulfilment != F::Shipped {
                    return Err(refused(
                        "not_shipped",
                        "Only what has been shipped completely can be delivered.",
                    ));
                }
                States {
                    fulfilment: F::Delivered,
                    ..self
                }
            }
            Step::Return => {
                if !matches!(self.status, Status::Open | Status::Completed)
                    || !matches!(self.fulfilment, F::Shipped | F::Delivered)
                {
                    return Err(refused("not_returnable", "Only what has been shipped can be returned."));
                }
                States {
                    fulfilment: F::Returned,
                    ..self
                }
            }
            Step::Refund { all } => {
                if !matches!(self.payment, P::Paid | P::PartiallyRefunded) {
                    return Err(refused("not_refundable", "There is no payment left to refund."));
                }
                States {
                    payment: if all { P::Refunded } else { P::PartiallyRefunded },
                    ..self
                }
            }
        };
        Ok(next.completed_where_done())
    }

    fn must_be_open(self) -> Result<(), Refused> {
        match self.status {
            Status::Open => Ok(()),
            Status::Completed => Err(refused("transaction_completed", "The transaction is completed.")),
            Status::Cancelled => Err(refused("transaction_cancelled", "The transaction was cancelled.")),
            Status::Expired => Err(refused("transaction_expired", "The time to pay was over.")),
        }
    }

    /// A transaction is complete once the goods have arrived and the money has come.
    fn completed_where_done(self) -> States {
        let done = self.fulfilment == FulfilmentStatus::Delivered && self.payment != PaymentStatus::Awaiting;
        match self.status {
            Status::Open if done => States {
                status: Status::Completed,
                ..self
            },
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_state() -> impl Iterator<Item = States> {
        Status::ALL.iter().flat_map(|&status| {
            PaymentStatus::ALL.iter().flat_map(move |&payment| {
                FulfilmentStatus::ALL.iter().map(move |&fulfilment| States {
                    status,
                    payment,
                    fulfilment,
                })
            })
        })
    }

    const STEPS: [Step; 10] = [
        Step::Pay,
        Step::Expire,
        Step::Cancel { goods_out: false },
        Step::Cancel { goods_out: true },
        Step::Ship { all: false },
        Step::Ship { all: true },
        Step::Deliver,
        Step::Return,
        Step::Refund { all: false },
        Step::Refund { all: true },
    ];

    #[test]
    fn a_bank_transfer_is_paid_then_shipped_then_delivered() {
        let method = PaymentMethod::BankTransfer;
        let paid = States::PLACED.after(Step::Pay, method).unwrap();
        let shipped = paid.after(Step::Ship { all: true }, method).unwrap();
        let delivered = shipped.after(Step::Deliver, method).unwrap();
        assert_eq!(shipped.status, Status::Open);
        assert_eq!(delivered.status, Status::Completed);
    }

    #[test]
    fn cash_on_delivery_ships_unpaid_and_completes_when_the_money_comes() {
        let method = PaymentMethod::CashOnDelivery;
        let shipped = States::PLACED.after(Step::Ship { all: true }, method).unwrap();
        let delivered = shipped.after(Step::Deliver, method).unwrap();
        assert_eq!(delivered.status, Status::Open);
        assert_eq!(delivered.after(Step::Pay, method).unwrap().status, Status::Completed);
    }

    #[test]
    fn a_bank_transfer_does_not_ship_unpaid() {
        let refused = States::PLACED
            .after(Step::Ship { all: true }, PaymentMethod::BankTransfer)
            .unwrap_err();
        assert_eq!(refused.code, "not_paid");
    }

    #[test]
    fn a_parcel_that_was_refused_at_the_door_ends_as_a_cancelled_transaction() {
        let method = PaymentMethod::CashOnDelivery;
        let shipped = States::PLACED.after(Step::Ship { all: true }, method).unwrap();
        let too_early = shipped.after(Step::Cancel { goods_out: true }, method).unwrap_err();
        assert_eq!(too_early.code, "already_shipped");
        let returned = shipped.after(Step::Return, method).unwrap();
        assert_eq!(returned.status, Status::Open);
        let cancelled = returned.after(Step::Cancel { goods_out: false }, method).unwrap();
        assert_eq!(cancelled.status, Status::Cancelled);
    }

    #[test]
    fn cash_on_delivery_never_expires() {
        for states in every_state() {
            assert!(states.after(Step::Expire, PaymentMethod::CashOnDelivery).is_err());
        }
    }

    #[test]
    fn what_is_over_stays_over() {
        for states in every_state().filter(|s| matches!(s.status, Status::Cancelled | Status::Expired)) {
            for &method in PaymentMethod::ALL {
                for step in STEPS {
                    if let Ok(next) = states.after(step, method) {
                        assert_eq!(next.status, states.status, "{states:?} {step:?}");
                        assert!(matches!(step, Step::Refund { .. }), "{states:?} {step:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_step_moves_more_than_its_own_state_and_completion() {
        for states in every_state() {
            for &method in PaymentMethod::ALL {
                for step in STEPS {
                    let Ok(next) = states.after(step, method) else {
                        continue;
                    };
                    match step {
                        Step::Pay | Step::Refund { .. } => {
                            assert_eq!(next.fulfilment, states.fulfilment)
                        }
                        Step::Ship { .. } | Step::Deliver | Step::Return => {
                            assert_eq!(next.payment, states.payment)
                        }
                        Step::Expire | Step::Cancel { .. } => {
                            assert_eq!((next.payment, next.fulfilment), (states.payment, states.fulfilment));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_step_can_be_taken_twice() {
        for states in every_state() {
            for &method in PaymentMethod::ALL {
                for step in [
                    Step::Pay,
                    Step::Expire,
                    Step::Cancel { goods_out: false },
                    Step::Deliver,
                    Step::Return,
                    Step::Refund { all: true },
                ] {
                    if let Ok(next) = states.after(step, method) {
                        assert!(next.after(step, method).is_err(), "{states:?} {step:?}");
                    }
                }
            }
        }
    }
}
