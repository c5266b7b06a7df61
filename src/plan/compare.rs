//! One account asked, and made to fit: the calls of a survey and of what it finds missing, one after the other, at a pace
//! that every vendor's limits allow.

use serde::Serialize;

use crate::clock::SharedClock;
use crate::destination::account::{Asking, Difference, Made, Sort};
use crate::destination::{Destination, Halt};
use crate::model::http::{Answer, Request};
use crate::model::{LaneName, Need, Span, Timestamp};
use crate::quota::{Accounts, For, Ledger};
use crate::wire::{NoClient, TokenError, Wire};

/// Between two calls, beside the account's own budget: a command does not know what a daemon spends of it.
const PACE: Span = Span::from_millis(400);
/// Calls that have to be made again, one after the other, before we give up.
const PATIENCE: usize = 10;
/// No vendor is waited for any longer: a day's quota is spent.
const LONGEST: Span = Span::from_minutes(5);
/// Calls of one survey at most.
const MOST: usize = 2_000;

/// An account that can be compared.
pub struct Account {
    /// Its name in the configuration.
    pub name: LaneName,
    destination: Box<dyn Destination>,
    wire: Wire,
    ledger: Ledger,
    /// Between two calls: none where the account has no budget, as a simulator.
    pace: Span,
    clock: SharedClock,
}

/// What was found of one account.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Its name in the configuration.
    pub account: String,
    /// The vendor.
    pub kind: &'static str,
    /// What differs; none where the vendor has nothing of the sort to ask.
    pub differences: Option<Vec<Difference>>,
}

/// What became of one difference.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Of what.
    pub what: String,
    /// `made`, `there`, or why it was not.
    pub words: String,
    /// Whether it is there now.
    pub is_made: bool,
}

impl Compared {
    /// How many of them somebody has to do something about.
    pub fn to_do(&self) -> usize {
        self.differences.iter().flatten().filter(|one| one.sort.is_to_be_done()).count()
    }
}

impl Account {
    /// Of this destination. Of `accounts` it shares the ledger of whoever calls the same one.
    pub fn new(name: LaneName, destination: Box<dyn Destination>, accounts: &Accounts) -> Result<Self, NoClient> {
        let clock = accounts.clock();
        let wire = Wire::new(destination.base_url(), destination.token(), None, clock.clone())?;
        let windows = destination.windows();
        let ledger = accounts.ledger(&name, destination.account(), &windows);
        let pace = if windows.is_empty() { Span::ZERO } else { PACE };
        Ok(Self { name, destination, wire, ledger, pace, clock })
    }

    /// What differs between what the account has and what is needed.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub async fn compare(&self, needs: &[Need]) -> Result<Compared, Halt> {
        let compared =
            |differences| Compared { account: self.name.to_string(), kind: self.destination.kind(), differences };
        let Some(mut survey) = self.destination.survey(needs.to_vec()) else { return Ok(compared(None)) };
        let (mut answer, mut last, mut waits, mut renewed) = (None, None, 0, false);
        for _ in 0..MOST {
            let request = match survey.next(answer.take(), self.clock.now()) {
                Asking::Done(Ok(mut differences)) => {
                    differences.sort_by_key(|one| one.sort);
                    return Ok(compared(Some(differences)));
                }
                Asking::Done(Err(Halt::Token)) if !renewed => {
                    renewed = true;
                    self.wire.forget_token().await;
                    survey = match self.destination.survey(needs.to_vec()) {
                        Some(survey) => survey,
                        None => return Ok(compared(None)),
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
                        None => return Err(Halt::Configuration("a survey did not come to an end".into())),
                    }
                }
            };
            last = Some(request.clone());
            answer = Some(self.call(request).await?);
        }
        Err(Halt::Configuration("a survey did not come to an end".into()))
    }

    /// Makes what can be made of these; each is told as it is done.
    ///
    /// # Errors
    /// What stops all of it. What was made before is made, and the next run goes on from there.
    pub async fn apply(&self, differences: &[Difference], mut tell: impl FnMut(&Outcome)) -> Result<(), Halt> {
        for difference in differences.iter().filter(|one| !one.steps.is_empty()) {
            let outcome = self.make(difference).await?;
            tell(&outcome);
        }
        Ok(())
    }

    async fn make(&self, difference: &Difference) -> Result<Outcome, Halt> {
        let outcome =
            |words: &str, is_made| Outcome { what: difference.what.clone(), words: words.to_owned(), is_made };
        let (mut was_there, mut renewed) = (true, false);
        for step in &difference.steps {
            let mut waits = 0;
            loop {
                let answer = self.call(step.clone()).await?;
                match self.destination.made(&answer, self.clock.now()) {
                    Made::Done => was_there = false,
                    Made::There => {}
                    Made::Again(until) => {
                        waits += 1;
                        self.wait(until, waits).await?;
                        continue;
                    }
                    Made::Failed(words) => return Ok(outcome(&words, false)),
                    Made::Halt(Halt::Token) if !renewed => {
                        renewed = true;
                        self.wire.forget_token().await;
                        continue;
                    }
                    Made::Halt(halt) => return Err(halt),
                }
                break;
            }
        }
        Ok(outcome(if was_there { "there" } else { "made" }, true))
    }

    async fn call(&self, request: Request) -> Result<Answer, Halt> {
        self.clock.until(self.clock.now() + self.pace).await;
        let family = request.family.clone();
        let _pass = self.ledger.enter(&family, For::Reading, 1).await;
        let answer = self.wire.send(request).await.map_err(|error| match error {
            TokenError::Refused(status) => {
                Halt::Credentials(format!("the vendor refuses the client id or secret (HTTP {status})"))
            }
            TokenError::Unavailable(words) => Halt::Down(words),
        })?;
        if let Answer::Came(response) = &answer {
            self.ledger.learn(&self.destination.learned(&family, response, self.clock.now()));
        }
        Ok(answer)
    }

    async fn wait(&self, until: Timestamp, waits: usize) -> Result<(), Halt> {
        if waits > PATIENCE || until.since(self.clock.now()) > LONGEST {
            return Err(Halt::Quota { window: "of the vendor", until });
        }
        self.clock.until(until).await;
        Ok(())
    }
}

/// How many of each sort, in words: `2 missing, 1 by hand`.
pub fn counted(differences: &[Difference]) -> String {
    let sorts = [Sort::Missing, Sort::Differs, Sort::ByHand, Sort::Unused, Sort::Note];
    let counts = sorts.iter().map(|sort| (differences.iter().filter(|one| one.sort == *sort).count(), sort.word()));
    let told: Vec<String> = counts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if told.is_empty() { "nothing differs".to_owned() } else { told.join(", ") }
}
