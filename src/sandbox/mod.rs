//! Simulated vendors and a simulated shop. Shares no code with what they test.
