//! The pure heart: people and events in, everything that follows out.
