//! A trigger file: it compiles and can be asked and speak, or each of its mistakes is told.
#![no_main]

use std::sync::Arc;

use espalier::model::{Codes, Entry, Origin, Person, PersonId, Position, RawJson, Sales, Timestamp};
use espalier::rules::{self, Fire, Program, Settings, Shelf};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Program::compile(&[("trigger.toml".into(), text.into())], &Settings::default(), None) {
        Ok(program) => {
            let now = Timestamp::from_millis(1_795_000_000_000);
            let mut person = Person::new(PersonId([1; 16]), Position(1), now);
            let bought = RawJson::trusted(r#"{"order_id":"o","products":[{"product_id":"p","price":"1.50"}]}"#);
            for (n, name) in ["Product Added", "Order Completed"].into_iter().enumerate() {
                let position = Position(n as u64 + 1);
                person.history.push(Entry::new(now, position, name.into(), Origin::Tracking, None, bought.clone()));
            }
            for trigger in program.triggers() {
                let answer = program.answer(trigger, &person, "", now);
                assert!(answer.next.is_none_or(|next| next > now), "the next change lies ahead");
                let shelf = Shelf { catalogue: &Arc::default(), sales: &Sales::default(), codes: &Codes::made_up() };
                let occasion = rules::occasion(trigger, None, "", now);
                let fire = Fire { program: &program, trigger, person: &person, key: "", at: now, occasion, shelf };
                let said = rules::payload(&fire);
                assert!(said.payload.get().len() < 200_000, "what is said is bounded");
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(!mistake.to_string().is_empty());
            }
        }
    }
});
