//! Drills: the real program is killed, stopped, and made to run out of space, and what it leaves is looked at.
//!
//! `place` is a database with a source and the program on both, `state` what a database holds and that it is sound, `kinds` the
//! commands with what must come of each, `site` where one after another goes wrong. Each drill
//! counts what it did and fails when that was not enough. CONTRIBUTING.md says how to make them longer.

mod asleep;
mod disk;
mod faults;
mod kills;
mod kinds;
mod place;
mod points;
mod site;
mod soak;
mod state;
