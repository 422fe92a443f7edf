//! The library against a NowRepBlue that misbehaves on demand: whole runs, from the socket to the views.
//!
//! `fake_blue` is the source, `fault_matrix` what becomes of a run with each of its faults, `data` what it sends and the rows
//! that must come of it, `any_body` whatever else it may send, `contract` the tables as the reading application knows them,
//! `prisma` a database as that application's own migrations and its old system leave it, `support` a database with
//! operations on it, `http` a client and a server to talk to, `desk` a console on those, `invariants` what must hold after
//! anything, `drill` what goes wrong with the program itself.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod adoption;
mod any_body;
mod app_migration;
mod app_scripts;
mod cancel;
mod cleanup;
mod commands;
mod commands_guards;
mod commands_others;
mod commands_triggers;
mod commands_ways;
mod console;
mod console_operations;
mod console_others;
mod console_triggers;
mod contract;
mod data;
mod desk;
mod diff;
mod dispatch;
mod drill;
mod events;
mod failures;
mod fake_blue;
mod fault_matrix;
mod going_back;
mod guards;
mod http;
mod invariants;
mod limits;
mod lock;
mod model;
mod others;
mod outcome;
mod packaging;
mod picture;
mod prisma;
mod process;
mod properties;
mod pty;
mod quarantine;
mod questions;
mod readers;
mod records;
mod refusals;
mod release;
mod rollback;
mod rows;
mod scoped;
mod screens;
mod screens_operations;
mod screens_others;
mod screens_triggers;
mod server;
mod server_events;
mod server_health;
mod server_process;
mod support;

mod sync;
mod terminal;
mod terminal_others;
mod unchanged;
mod upgrade;
