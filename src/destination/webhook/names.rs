//! What templates of a destination may speak of: the activation, and the settings that are no secret.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::manifest::setting::Setting;
use crate::model::{Activation, IdentifierKind};

/// Our namespace for `uuid` (made once, never to change).
const NAMESPACE: Uuid = Uuid::from_u128(0x3b1c_90d2_6f4e_4a57_8c21_e5a0_47d3_1f6c);

/// What a body may use of an activation. Below `traits` and `payload` anything may be asked for.
const OF_ACTIVATION: [&str; 18] = [
    "occasion",
    "uuid",
    "event",
    "trigger",
    "key",
    "destination",
    "at",
    "at_seconds",
    "at_millis",
    "expires_at",
    "person.email",
    "person.phone",
    "person.user_id",
    "person.anonymous_id",
    "person.customers",
    "person.names",
    "traits",
    "payload",
];

/// The names of a body or a condition.
pub fn of_activation(settings: &[Setting]) -> Vec<String> {
    OF_ACTIVATION.iter().map(|name| (*name).to_owned()).chain(of_settings(settings)).collect()
}

/// The names of what goes around several bodies.
pub fn of_records(settings: &[Setting]) -> Vec<String> {
    std::iter::once("records".to_owned()).chain(of_settings(settings)).collect()
}

/// The names of a header: nothing of a person, since headers are logged by whoever stands in between.
pub fn of_header(settings: &[Setting]) -> Vec<String> {
    ["occasion", "uuid"].into_iter().map(str::to_owned).chain(of_settings(settings)).collect()
}

/// The names of an address.
pub fn of_settings(settings: &[Setting]) -> impl Iterator<Item = String> {
    settings.iter().filter(|s| !s.kind.is_secret()).map(|s| format!("settings.{}", s.name))
}

/// The occasion as a UUID, for receivers whose key against repeats has to be one.
pub fn uuid(occasion: &[u8]) -> String {
    Uuid::new_v5(&NAMESPACE, occasion).to_string()
}

/// The values of these names. What the person does not have is absent.
pub fn values(activation: &Activation, settings: &Value) -> Value {
    let mut person = Map::new();
    let mut customers = Map::new();
    for identifier in &activation.identifiers {
        let value = Value::from(&*identifier.value);
        match &identifier.kind {
            IdentifierKind::Customer(source) => drop(customers.entry(source.to_string()).or_insert(value)),
            kind => drop(person.entry(kind.to_string()).or_insert(value)),
        }
    }
    person.insert("customers".into(), customers.into());
    person.insert("names".into(), activation.identifiers.iter().map(|i| Value::from(i.to_text())).collect());
    let millis = activation.at.as_millis();
    json!({
        "occasion": activation.occasion.to_string(),
        "uuid": uuid(&activation.occasion.0),
        "event": activation.action.of(),
        "trigger": &*activation.trigger,
        "key": &*activation.key,
        "destination": &*activation.lane,
        "at": activation.at,
        "at_seconds": millis.div_euclid(1_000),
        "at_millis": millis,
        "expires_at": activation.expires_at,
        "person": person,
        "traits": activation.traits.to_value(),
        "payload": activation.payload.to_value(),
        "settings": settings,
    })
}
