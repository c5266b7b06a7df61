//! The names a person goes by: a kind and a normalised value.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What sort of name an identifier is. The order is strength: the first kind a person has is how we call them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IdentifierKind {
    /// The site's own account id (Segment `userId`).
    UserId,
    /// The customer number at one source, written `<source>_customer`.
    Customer(Arc<str>),
    /// E-mail address, lower case.
    Email,
    /// Telephone number, E.164.
    Phone,
    /// An order at a shop: what a refund names its person by.
    Order,
    /// A checkout's token.
    Checkout,
    /// A cart's token.
    Cart,
    /// A browser or device (Segment `anonymousId`).
    AnonymousId,
}

/// One name of one person. `Debug` hides the value: it is personal data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// What sort of name.
    pub kind: IdentifierKind,
    /// Normalised (`identity::normalise`) before it is compared or stored.
    pub value: Box<str>,
}

impl IdentifierKind {
    /// Kinds that say who somebody is, and not only which device, cart or order was used.
    pub fn names_a_person(&self) -> bool {
        matches!(self, Self::UserId | Self::Customer(_) | Self::Email | Self::Phone)
    }

    /// `user_id`, `shopify_customer`, `email` ...: as written in mappings and shown to people.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "user_id" => Self::UserId,
            "email" => Self::Email,
            "phone" => Self::Phone,
            "order" => Self::Order,
            "checkout" => Self::Checkout,
            "cart" => Self::Cart,
            "anonymous_id" => Self::AnonymousId,
            _ => match text.strip_suffix("_customer") {
                Some(source) if !source.is_empty() => Self::Customer(source.into()),
                _ => return None,
            },
        })
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserId => "user_id",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Order => "order",
            Self::Checkout => "checkout",
            Self::Cart => "cart",
            Self::AnonymousId => "anonymous_id",
            Self::Customer(source) => return write!(f, "{source}_customer"),
        })
    }
}

impl Identifier {
    /// A value that is already normalised.
    pub fn new(kind: IdentifierKind, value: impl Into<Box<str>>) -> Self {
        Self { kind, value: value.into() }
    }
    /// `kind:value`, one text for hashing and for the command line.
    pub fn to_text(&self) -> String {
        format!("{}:{}", self.kind, self.value)
    }
    /// A short hash, never 0: under which name something was done.
    pub fn tag(&self) -> u32 {
        let mut four = [0; 4];
        four.copy_from_slice(&blake3::hash(self.to_text().as_bytes()).as_bytes()[..4]);
        u32::from_be_bytes(four).max(1)
    }
    /// The reverse of [`Identifier::to_text`]; does not normalise.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(':')?;
        (!value.is_empty()).then_some(())?;
        Some(Self::new(IdentifierKind::parse(kind)?, value))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:…", self.kind)
    }
}
