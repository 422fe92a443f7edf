//! greenroom keeps NowRepGreen's SQLite database a whole and current copy of NowRepBlue's data.

pub mod blue;
pub mod cli;
pub mod clock;
pub mod console;
pub mod defect;
pub mod demo;
pub mod dispatch;
pub mod entity;
pub mod failpoint;
pub mod green;
pub mod guard;
pub mod ops;
pub mod process;
pub mod report;
pub mod sync;
pub mod text;
