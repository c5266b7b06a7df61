//! What vendors make of who is who: two names of one person that lead to two profiles, two people's that lead to one, and
//! one that leads to several.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::delivery::Asker;
use crate::destination::profiles::Led;
use crate::model::{IdentifierKind, Person, PersonId};
use crate::store::{Store, StoreError, each_person};

/// Addresses that are asked for: first those of people with several, then others, in the order of their ids, which is as
/// good as drawn by lot.
const ADDRESSES: usize = 500;
/// Of one person.
const OF_ONE: usize = 10;

/// Whose addresses are looked for.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Each address with whose it is.
    addresses: Vec<(String, PersonId)>,
    /// People in all who have one.
    people: u64,
}

/// What one vendor makes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VendorProfiles {
    /// The account's name in the configuration.
    pub account: String,
    /// People in all who have an e-mail address.
    pub people: u64,
    /// People whose addresses were asked for.
    pub asked: u64,
    /// Their addresses.
    pub addresses: u64,
    /// Addresses that lead nowhere: nothing was sent there yet.
    pub unknown: u64,
    /// What differs.
    pub told: Vec<Differs>,
    /// Addresses that could not be told, by the reason.
    pub untold: BTreeMap<String, u64>,
    /// Why nothing could be asked, in words.
    pub failed: Option<String>,
}

/// Where the vendor's profiles and our people are not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Differs {
    /// In words.
    pub words: String,
    /// Each address with whose it is, and the vendor's profiles to which it leads.
    pub rows: Vec<Row>,
    /// What mends it.
    pub mend: String,
}

/// An address, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ProfileRow)]
pub struct Row {
    /// `email:ines@example.com`
    pub name: String,
    /// Their id in the store.
    pub person: String,
    /// The vendor's ids.
    pub profiles: Vec<String>,
}

impl Sample {
    /// Of everybody.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of(store: &dyn Store) -> Result<Self, StoreError> {
        let (mut several, mut one, mut people) = (Vec::new(), Vec::new(), 0);
        each_person(store, |person| {
            let addresses = addresses(person);
            people += u64::from(!addresses.is_empty());
            let kept = if addresses.len() > 1 { &mut several } else { &mut one };
            if kept.len() < ADDRESSES {
                kept.extend(addresses.into_iter().map(|address| (address, person.id)));
            }
        })
        .await?;
        several.extend(one);
        several.truncate(ADDRESSES);
        Ok(Self { addresses: several, people })
    }

    /// What this vendor makes of them; none where it cannot be asked without an address in a URL.
    pub async fn ask(&self, asker: &Asker) -> Option<VendorProfiles> {
        let addresses: Vec<String> = self.addresses.iter().map(|(address, _)| address.clone()).collect();
        let people: BTreeSet<PersonId> = self.addresses.iter().map(|(_, person)| *person).collect();
        let report = VendorProfiles {
            account: asker.name.to_string(),
            people: self.people,
            asked: people.len() as u64,
            addresses: addresses.len() as u64,
            ..VendorProfiles::default()
        };
        match asker.ask(|destination| destination.profiles(addresses.clone())).await {
            Ok(None) => None,
            Ok(Some(led)) => Some(self.compare(report, &led)),
            Err(halt) => Some(VendorProfiles { failed: Some(halt.to_string()), ..report }),
        }
    }

    fn compare(&self, mut report: VendorProfiles, led: &[Led]) -> VendorProfiles {
        let mut of_person: BTreeMap<PersonId, Vec<Row>> = BTreeMap::new();
        let mut of_profile: HashMap<&str, BTreeMap<PersonId, Row>> = HashMap::new();
        for ((address, person), led) in self.addresses.iter().zip(led) {
            let profiles = match led {
                Led::To(profiles) if profiles.is_empty() => {
                    report.unknown += 1;
                    continue;
                }
                Led::To(profiles) => profiles,
                Led::Untold(why) => {
                    *report.untold.entry(why.clone()).or_default() += 1;
                    continue;
                }
            };
            let (name, all) = (format!("email:{address}"), profiles.iter().cloned().collect());
            let row = Row { name, person: person.to_string(), profiles: all };
            for profile in profiles {
                of_profile.entry(profile).or_default().entry(*person).or_insert_with(|| row.clone());
            }
            of_person.entry(*person).or_default().push(row);
        }
        for rows in of_person.into_values() {
            report.told.extend(Differs::of_one(rows));
        }
        let shared = of_profile.into_iter().filter(|(_, people)| people.len() > 1);
        let shared: BTreeMap<&str, Vec<Row>> =
            shared.map(|(profile, people)| (profile, people.into_values().collect())).collect();
        report.told.extend(shared.into_iter().map(|(profile, rows)| Differs::of_several(profile, rows)));
        report
    }
}

impl Differs {
    /// One person's names.
    fn of_one(rows: Vec<Row>) -> Option<Self> {
        let profiles: BTreeSet<&String> = rows.iter().flat_map(|row| &row.profiles).collect();
        let name = rows.last().map(|row| row.name.clone())?;
        if profiles.len() < 2 {
            return None;
        }
        let (words, mend) = match rows.iter().find(|row| row.profiles.len() > 1) {
            Some(double) => (
                format!("{} has {} profiles there", double.name, double.profiles.len()),
                format!(
                    "merge {} there: only the vendor can; `espalier explain {}` says who it is",
                    double.profiles.join(" and "),
                    double.name
                ),
            ),
            None => (
                format!("one person here is {} profiles there", profiles.len()),
                format!("`espalier identity unlink {name}` where it is somebody else's; else merge the profiles there"),
            ),
        };
        Some(Self { words, rows, mend })
    }

    /// Several people's names.
    fn of_several(profile: &str, rows: Vec<Row>) -> Self {
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let mend = format!("espalier identity link {}", names.join(" "));
        Self { words: format!("{} people here are the profile {profile} there", rows.len()), rows, mend }
    }
}

fn addresses(person: &Person) -> Vec<String> {
    let names = person.identifiers.iter().filter(|name| name.kind == IdentifierKind::Email);
    names.map(|name| name.value.to_string()).take(OF_ONE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_with_its_rows_and_what_mends_it() {
        let person = |n: u8| PersonId([n; 16]);
        let addresses = [("a", 1), ("b", 1), ("c", 2), ("d", 3), ("e", 4), ("f", 5), ("g", 6)];
        let addresses = addresses.map(|(name, n)| (format!("{name}@x.example"), person(n))).to_vec();
        let to = |ids: &[&str]| Led::To(ids.iter().map(|id| (*id).to_owned()).collect());
        let led = [to(&["1"]), to(&["2"]), to(&["3"]), to(&["3"]), to(&["4", "5"]), to(&[]), Led::Untold("no".into())];
        let report = Sample { addresses, people: 6 }.compare(VendorProfiles::default(), &led);
        let told: Vec<_> =
            report.told.iter().map(|one| (one.words.as_str(), one.mend.as_str(), one.rows.len())).collect();
        assert_eq!(
            told,
            [
                (
                    "one person here is 2 profiles there",
                    "`espalier identity unlink email:b@x.example` where it is somebody else's; else merge the profiles there",
                    2
                ),
                (
                    "email:e@x.example has 2 profiles there",
                    "merge 4 and 5 there: only the vendor can; `espalier explain email:e@x.example` says who it is",
                    1
                ),
                (
                    "2 people here are the profile 3 there",
                    "espalier identity link email:c@x.example email:d@x.example",
                    2
                ),
            ]
        );
        assert_eq!((report.unknown, report.untold.get("no")), (1, Some(&1)));
    }
}
