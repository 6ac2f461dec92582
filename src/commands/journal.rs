//! `tonearm journal`: what waits to be reported, and what was set aside.

use std::io::{self, Write};

use anyhow::Context;

use super::speaker::JOURNAL;
use crate::cli::JournalArgs;
use crate::config::Config;

/// Prints the journal of the configured speaker, running or not.
pub fn run(args: &JournalArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.config.as_deref())?;
    let listing = crate::journal::list(&config.state_dir.join(JOURNAL))?;
    let text = if args.json {
        serde_json::to_string_pretty(&listing.to_json()).context("write JSON")?
    } else {
        listing.to_string()
    };
    writeln!(io::stdout(), "{}", text.trim_end()).context("print the journal")
}
