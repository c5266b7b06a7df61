//! Espalier: the systems that know what customers do on one side, the platform whose flows send the mail on the
//! other, and between them exactly-once decisions.
//!
//! The rooms, in reading order. ARCHITECTURE.md tells the way of one event through them.
#![forbid(unsafe_code)]
// Made-up records of the sandbox are long `json!`s.
#![recursion_limit = "512"]

/// What everything speaks of: events, people, activations, instants. Values only.
pub mod model;

/// The way of one event, told as spans where somebody listens.
pub mod trace;

/// What time it is; the only place that reads it.
pub mod clock;

/// What is kept: the port in whole steps, and its embedded adapter (journal segments in front of sled).
pub mod store;

/// Whose an event is: normalising, linking by shared identifiers, protection, merges.
pub mod identity;

/// What a trigger means: files to a compiled program, conditions to truth and the next instant it can change.
pub mod rules;

/// The pure heart: people and events in, everything that follows out.
pub mod decide;

/// What manifests of connectors are made of: TOML with its places, settings, expressions.
pub mod manifest;

/// Pluggable sources: how a message is verified and mapped to events. Builds and reads; does no I/O.
pub mod source;

/// Pluggable destinations: builds requests, reads answers; does no I/O.
pub mod destination;

/// The one place that speaks HTTP outward: time limits, sizes, redaction, tokens.
pub mod wire;

/// What is wrong, told to receivers: fires, repeats, resolves, is silenced.
pub mod alerts;

/// The only ledger of an account's budget at a vendor.
pub mod quota;

/// The asking edge: lists of connectors and programs that read a vendor; ask, read, append with the place after it.
pub mod pull;

/// The night: reads again what may have been lost, adds the books up, and says what differed.
pub mod reconcile;

/// The loop: claim, decide, commit; due timers the same way.
pub mod engine;

/// The same decisions in virtual time: simulate.
pub mod replay;

/// Outbox lanes: batch, send, settle; retries, breaker, dead letters.
pub mod delivery;

/// What accounts have against what triggers need: compared, made, and looked at once a day.
pub mod plan;

/// The listening edge: tracking API, webhooks, custom endpoints, files.
pub mod intake;

/// What people see: health, metrics, status page, explain. Reads all, changes nothing by itself.
pub mod ops;

/// Simulated vendors and a simulated shop. Shares no code with what they test.
pub mod sandbox;

/// The sum of the rooms' settings: layers, secrets, and every mistake with file, line and a way out.
pub mod settings;

/// One file per command.
pub mod cli;
