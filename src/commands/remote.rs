//! `tonearm press`, `status` and `play`: talk to a running speaker through its page's API.

use std::io::{self, Write};

use anyhow::Context;

use crate::cli::{PlayArgs, PressArgs, SpeakerArgs, StatusArgs};
use crate::config::Config;
use crate::page::Client;

/// Presses a button.
pub fn press(args: &PressArgs) -> anyhow::Result<()> {
    client(&args.speaker)?.press(&args.button)?;
    Ok(())
}

/// Shows what the speaker does.
pub fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let client = client(&args.speaker)?;
    let text = if args.json {
        serde_json::to_string_pretty(&client.status_json()?).context("write JSON")?
    } else {
        client.status()?.to_string()
    };
    writeln!(io::stdout(), "{}", text.trim_end()).context("print the status")
}

/// Starts something.
pub fn play(args: &PlayArgs) -> anyhow::Result<()> {
    let mode = match (args.shuffle, args.station) {
        (true, _) => "shuffle",
        (false, true) => "station",
        (false, false) => "play",
    };
    client(&args.speaker)?.play(args.id.as_deref(), &args.container, mode)?;
    Ok(())
}

fn client(args: &SpeakerArgs) -> anyhow::Result<Client> {
    if let Some(address) = args.address {
        return Ok(Client::local(address));
    }
    let config = Config::load(args.config.config.as_deref())?;
    Ok(Client::local(config.page.listen))
}
