//! The source, NowRepBlue: requests with time limits, retries and a size cap, and the splitting of bodies into records.

pub mod client;
pub mod error;
pub mod reader;
pub mod retry;

pub use self::{
    client::{Answer, Attempt, Client, Download, Resolver, SourceConfig, Validators},
    error::FetchError,
    reader::{BodyReader, BodySummary, Envelope, UnreadableBody},
    retry::{RetryPolicy, retry_after},
};
