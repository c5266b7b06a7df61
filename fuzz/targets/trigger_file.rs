//! A trigger file: it compiles and can be asked, or each of its mistakes is told.
#![no_main]

use espalier::model::{Person, PersonId, Position, Timestamp};
use espalier::rules::{Program, Settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Program::compile(&[("trigger.toml".into(), text.into())], &Settings::default(), None) {
        Ok(program) => {
            let now = Timestamp::from_millis(1_795_000_000_000);
            let person = Person::new(PersonId([1; 16]), Position(1), now);
            for trigger in program.triggers() {
                let answer = program.answer(trigger, &person, "", now);
                assert!(answer.next.is_none_or(|next| next > now), "the next change lies ahead");
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
