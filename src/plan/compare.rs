//! One account asked, and made to fit: the calls of a survey and of what it finds missing, one after the other, at a pace
//! that every vendor's limits allow.

use serde::Serialize;

use crate::delivery::Asker;
use crate::destination::account::{Difference, Made, Sort};
use crate::destination::{Destination, Halt};
use crate::model::{LaneName, Need};
use crate::quota::Accounts;
use crate::wire::NoClient;

/// An account that can be compared.
pub struct Account {
    /// Its name in the configuration.
    pub name: LaneName,
    asker: Asker,
}

impl Account {
    /// True while this daemon is the one that calls it.
    pub(super) fn is_ours(&self) -> bool {
        self.asker.is_ours()
    }
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
        Ok(Self { name: name.clone(), asker: Asker::new(name, destination, accounts)? })
    }

    /// What differs between what the account has and what is needed.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub async fn compare(&self, needs: &[Need]) -> Result<Compared, Halt> {
        let mut differences = self.asker.ask(|destination| destination.survey(needs.to_vec())).await?;
        if let Some(differences) = &mut differences {
            differences.sort_by_key(|one| one.sort);
        }
        Ok(Compared { account: self.name.to_string(), kind: self.asker.destination.kind(), differences })
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
                let answer = self.asker.call(step.clone()).await?;
                match self.asker.destination.made(&answer, self.asker.now()) {
                    Made::Done => was_there = false,
                    Made::There => {}
                    Made::Again(until) => {
                        waits += 1;
                        self.asker.wait(until, waits).await?;
                        continue;
                    }
                    Made::Failed(words) => return Ok(outcome(&words, false)),
                    Made::Halt(Halt::Token) if !renewed => {
                        renewed = true;
                        self.asker.forget_token().await;
                        continue;
                    }
                    Made::Halt(halt) => return Err(halt),
                }
                break;
            }
        }
        Ok(outcome(if was_there { "there" } else { "made" }, true))
    }
}

/// How many of each sort, in words: `2 missing, 1 by hand`.
pub fn counted(differences: &[Difference]) -> String {
    let sorts = [Sort::Missing, Sort::Differs, Sort::ByHand, Sort::Unused, Sort::Note];
    let counts = sorts.iter().map(|sort| (differences.iter().filter(|one| one.sort == *sort).count(), sort.word()));
    let told: Vec<String> = counts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if told.is_empty() { "nothing differs".to_owned() } else { told.join(", ") }
}
