//! Every charge that is remembered, by its key, within a fixed number of keys.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;

use tokio::sync::watch;
use uuid::Uuid;

use crate::charge::Charge;
use crate::figures::Figures;
use crate::payment::{IdempotencyKey, Payment};

/// The charges, newest last.
#[derive(Debug)]
pub(crate) struct Ledger {
    capacity: NonZeroUsize,
    entries: HashMap<IdempotencyKey, Entry>,
    by_age: VecDeque<IdempotencyKey>,
    figures: Figures,
}

/// What the caller learns of one charge.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Receipt {
    pub(crate) id: Uuid,
    pub(crate) charge: Charge,
    /// Absent when the key was cancelled before it was ever charged.
    pub(crate) payment: Option<Payment>,
}

/// What an attempt to charge leads to.
#[derive(Debug)]
pub(crate) enum Attempt {
    Settled(Receipt),
    /// The caller of this attempt sees to it that [`Ledger::finish`] is called.
    Started(Settlement),
    /// Another attempt under the same key is under way.
    Joined(Settlement),
    OtherPayload,
    /// As many charges are under way as keys are kept.
    Full,
}

/// Resolves to the receipt once the charge is settled.
pub(crate) type Settlement = watch::Receiver<Option<Receipt>>;

#[derive(Debug)]
struct Entry {
    receipt: Receipt,
    settled: watch::Sender<Option<Receipt>>,
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self { capacity, entries: HashMap::new(), by_age: VecDeque::new(), figures: Figures::default() }
    }

    /// Asks to be paid. A key that is known replays what happened under it.
    pub(crate) fn charge(&mut self, key: &IdempotencyKey, payment: Payment) -> Attempt {
        self.figures.calls += 1;
        let Some(entry) = self.entry(key) else { return Attempt::Full };
        let seen = match &entry.receipt.payment {
            Some(known) if *known != payment => {
                self.figures.retries_seen += 1;
                return Attempt::OtherPayload;
            }
            Some(_) => true,
            None => false,
        };

        let before = entry.receipt.charge;
        let after = before.attempted(payment.behaviour());
        entry.receipt.payment = Some(payment);
        entry.settle(after);
        let attempt = match (before.is_in_flight(), after.is_in_flight()) {
            (true, _) => Attempt::Joined(entry.settled.subscribe()),
            (false, true) => Attempt::Started(entry.settled.subscribe()),
            (false, false) => Attempt::Settled(entry.receipt.clone()),
        };
        self.figures.retries_seen += u64::from(seen);
        self.figures.record(before, after);
        attempt
    }

    /// Ends a charge that was under way.
    pub(crate) fn finish(&mut self, key: &IdempotencyKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            let before = entry.receipt.charge;
            entry.settle(before.finished());
            self.figures.record(before, before.finished());
        }
    }

    /// Takes a charge back, or bars the key; `None` when no room is left to remember it.
    pub(crate) fn cancel(&mut self, key: &IdempotencyKey) -> Option<Receipt> {
        let entry = self.entry(key)?;
        let before = entry.receipt.charge;
        entry.settle(before.cancelled());
        let receipt = entry.receipt.clone();
        self.figures.record(before, receipt.charge);
        Some(receipt)
    }

    pub(crate) fn receipt(&self, key: &IdempotencyKey) -> Option<&Receipt> {
        self.entries.get(key).map(|entry| &entry.receipt)
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures { double_charges: self.double_charges(), ..self.figures }
    }

    /// Counts, among the charges that are remembered and stand, those beyond the first for their reference.
    fn double_charges(&self) -> u64 {
        let mut standing: HashMap<&str, u64> = HashMap::new();
        for receipt in self.entries.values().map(|entry| &entry.receipt) {
            if let (Charge::Succeeded, Some(payment)) = (receipt.charge, &receipt.payment) {
                *standing.entry(&payment.reference).or_default() += 1;
            }
        }
        standing.values().map(|charges| charges - 1).sum()
    }

    fn entry(&mut self, key: &IdempotencyKey) -> Option<&mut Entry> {
        if !self.entries.contains_key(key) {
            self.make_room()?;
            self.by_age.push_back(key.clone());
            self.entries.insert(key.clone(), Entry::new());
        }
        self.entries.get_mut(key)
    }

    /// Forgets the oldest charge that nobody waits for.
    fn make_room(&mut self) -> Option<()> {
        if self.entries.len() < self.capacity.get() {
            return Some(());
        }
        let entries = &self.entries;
        let waits = |key| entries.get(key).is_some_and(|entry: &Entry| entry.receipt.charge.is_in_flight());
        let settled = self.by_age.iter().position(|key| !waits(key))?;
        let oldest = self.by_age.remove(settled)?;
        self.entries.remove(&oldest).map(|_| ())
    }
}

// === impl Entry ===

impl Entry {
    fn new() -> Self {
        let receipt = Receipt { id: Uuid::now_v7(), charge: Charge::New, payment: None };
        Self { receipt, settled: watch::Sender::new(None) }
    }

    fn settle(&mut self, charge: Charge) {
        self.receipt.charge = charge;
        if !charge.is_in_flight() {
            self.settled.send_replace(Some(self.receipt.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ledger_forgets_the_oldest_settled_charge() {
        let mut ledger = ledger(2);
        ledger.charge(&key("slow"), payment("tok_slow", "one"));
        ledger.charge(&key("second"), payment("tok_ok", "two"));
        ledger.charge(&key("third"), payment("tok_ok", "three"));

        assert!(ledger.receipt(&key("slow")).is_some(), "somebody waits for it");
        assert_eq!(ledger.receipt(&key("second")), None);
        assert!(ledger.receipt(&key("third")).is_some());
        assert_eq!(ledger.entries.len(), 2);
        assert_eq!(ledger.by_age.len(), 2);
    }

    #[test]
    fn a_ledger_full_of_charges_under_way_takes_no_more() {
        let mut ledger = ledger(1);
        ledger.charge(&key("slow"), payment("tok_slow", "one"));

        assert!(matches!(ledger.charge(&key("next"), payment("tok_ok", "two")), Attempt::Full));
        assert_eq!(ledger.cancel(&key("next")), None);

        ledger.finish(&key("slow"));
        assert!(matches!(ledger.charge(&key("next"), payment("tok_ok", "two")), Attempt::Settled(_)));
    }

    #[test]
    fn two_standing_charges_for_one_reference_are_a_double_charge() {
        let mut ledger = ledger(8);
        ledger.charge(&key("a"), payment("tok_ok", "one"));
        ledger.charge(&key("a"), payment("tok_ok", "one"));
        ledger.charge(&key("b"), payment("tok_ok", "two"));
        assert_eq!(ledger.figures().double_charges, 0);

        ledger.charge(&key("c"), payment("tok_ok", "one"));
        assert_eq!(ledger.figures().double_charges, 1);

        ledger.cancel(&key("a"));
        assert_eq!(ledger.figures().double_charges, 0, "the refund took one of them back");
    }

    fn ledger(capacity: usize) -> Ledger {
        Ledger::new(NonZeroUsize::new(capacity).expect("tests keep at least one key"))
    }

    fn key(key: &str) -> IdempotencyKey {
        IdempotencyKey::parse(key).expect("tests use good keys")
    }

    fn payment(token: &str, reference: &str) -> Payment {
        let json =
            serde_json::json!({"amount": 100, "currency": "EUR", "token": token, "reference": reference});
        serde_json::from_value(json).expect("tests use good payments")
    }
}
