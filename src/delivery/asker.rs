//! One account that is asked: the calls of a conversation, one after the other, at a pace that every vendor's limits allow
//! and as the last claim on its budget.

use crate::clock::SharedClock;
use crate::destination::account::{Asking, Inquiry};
use crate::destination::{Destination, Halt, preview};
use crate::model::http::{Answer, Request};
use crate::model::{Activation, LaneName, Span, Timestamp};
use crate::quota::{Accounts, For, Ledger};
use crate::wire::{NoClient, Wire};

/// Between two calls, beside the account's own budget: a command does not know what a daemon spends of it.
const PACE: Span = Span::from_millis(400);
/// Calls that have to be made again, one after the other, before we give up.
const PATIENCE: usize = 10;
/// No vendor is waited for any longer: a day's quota is spent.
const LONGEST: Span = Span::from_minutes(5);
/// Calls of one conversation at most: each bounds itself, and this is for one that does not.
const MOST: usize = 50_000;

/// An account that can be asked.
pub struct Asker {
    /// Its name in the configuration.
    pub name: LaneName,
    /// What it is.
    pub destination: Box<dyn Destination>,
    wire: Wire,
    ledger: Ledger,
    /// Between two calls: none where the account has no budget, as a simulator.
    pace: Span,
    clock: SharedClock,
}

impl Asker {
    /// Of this destination. Of `accounts` it shares the ledger of whoever calls the same one.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(name: LaneName, destination: Box<dyn Destination>, accounts: &Accounts) -> Result<Self, NoClient> {
        let clock = accounts.clock();
        let wire = Wire::new(destination.base_url(), destination.token(), None, clock.clone())?;
        let windows = destination.windows();
        let ledger = accounts.ledger(&name, destination.account(), &windows);
        let pace = if windows.is_empty() { Span::ZERO } else { PACE };
        Ok(Self { name, destination, wire, ledger, pace, clock })
    }

    /// Holds a conversation, begun anew where the token has to be fetched again; none where there is nothing of the sort
    /// to ask.
    ///
    /// # Errors
    /// Why it did not come to its end.
    pub async fn ask<Found, I: Inquiry<Found>>(
        &self,
        begin: impl Fn(&dyn Destination) -> Option<I>,
    ) -> Result<Option<Found>, Halt> {
        let Some(mut inquiry) = begin(&*self.destination) else { return Ok(None) };
        let (mut answer, mut last, mut waits, mut renewed) = (None, None, 0, false);
        for _ in 0..MOST {
            let request = match inquiry.next(answer.take(), self.clock.now()) {
                Asking::Done(Ok(found)) => return Ok(Some(found)),
                Asking::Done(Err(Halt::Token)) if !renewed => {
                    renewed = true;
                    self.forget_token().await;
                    inquiry = match begin(&*self.destination) {
                        Some(inquiry) => inquiry,
                        None => return Ok(None),
                    };
                    continue;
                }
                Asking::Done(Err(halt)) => return Err(halt),
                Asking::Ask(request) => {
                    waits = 0;
                    *request
                }
                Asking::Again(until) => {
                    waits += 1;
                    self.wait(until, waits).await?;
                    match last.take() {
                        Some(request) => request,
                        None => return Err(endless()),
                    }
                }
            };
            last = Some(request.clone());
            answer = Some(self.call(request).await?);
        }
        Err(endless())
    }

    /// One call, when it is its turn.
    ///
    /// # Errors
    /// When there is no token to make it with.
    pub async fn call(&self, request: Request) -> Result<Answer, Halt> {
        self.clock.until(self.clock.now() + self.pace).await;
        let family = request.family.clone();
        let pass = self.ledger.enter(&family, For::Reading, 1).await;
        let _pass = pass.map_err(|not_ours| Halt::Down(not_ours.to_string()))?;
        let answer = self.wire.send(request).await.map_err(Halt::from)?;
        if let Answer::Came(response) = &answer {
            self.ledger.learn(&self.destination.learned(&family, response, self.clock.now()));
        }
        Ok(answer)
    }

    /// The vendor refused the token: the next call fetches a new one.
    pub async fn forget_token(&self) {
        self.wire.forget_token().await;
    }

    /// Waits for the vendor, who asked for it so often in a row.
    ///
    /// # Errors
    /// When that is too often, or too long.
    pub async fn wait(&self, until: Timestamp, waits: usize) -> Result<(), Halt> {
        if waits > PATIENCE || until.since(self.clock.now()) > LONGEST {
            return Err(Halt::Quota { window: "of the vendor", until });
        }
        self.clock.until(until).await;
        Ok(())
    }

    /// The calls that this activation would lead to if it was sent now to a vendor that takes everything, and why it would
    /// be refused before. Nothing is called.
    pub fn calls(&self, activation: Activation) -> (Vec<Request>, Option<String>) {
        preview(&*self.destination, activation, self.clock.now())
    }

    /// True while this daemon is the one that calls the account.
    pub fn is_ours(&self) -> bool {
        self.ledger.is_ours()
    }

    /// What time it is for it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn endless() -> Halt {
    Halt::Configuration("a conversation with the vendor did not come to an end".into())
}
