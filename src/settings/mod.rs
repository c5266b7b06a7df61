//! The sum of the rooms' settings: layers, secrets, and every mistake with file, line and a way out.
