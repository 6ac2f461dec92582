//! `tonearm press`, `status`, `play` and `queue`: talk to a running speaker through its page's API.

use std::io::{self, Write};

use anyhow::Context;

use crate::cli::{PlayArgs, PressArgs, QueueArgs, SpeakerArgs, StatusArgs};
use crate::config::Config;
use crate::page::{Client, Place};

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
    print(&text)
}

/// Shows the queue around the current entry.
pub fn queue(args: &QueueArgs) -> anyhow::Result<()> {
    let client = client(&args.speaker)?;
    let text = if args.json {
        serde_json::to_string_pretty(&client.queue_json()?).context("write JSON")?
    } else {
        client.queue()?.to_string()
    };
    print(&text)
}

/// Starts something, or puts it into the queue.
pub fn play(args: &PlayArgs) -> anyhow::Result<()> {
    let client = client(&args.speaker)?;
    let id = args.id.as_deref();
    match (args.place.next, args.place.last) {
        (true, _) => client.enqueue(id, &args.container, Place::Next)?,
        (false, true) => client.enqueue(id, &args.container, Place::Last)?,
        (false, false) => {
            let mode = match (args.shuffle, args.station) {
                (true, _) => "shuffle",
                (false, true) => "station",
                (false, false) => "play",
            };
            client.play(id, &args.container, mode)?;
        }
    }
    Ok(())
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{}", text.trim_end()).context("print it")
}

fn client(args: &SpeakerArgs) -> anyhow::Result<Client> {
    if let Some(address) = args.address {
        return Ok(Client::local(address));
    }
    let config = Config::load(args.config.config.as_deref())?;
    Ok(Client::local(config.page.listen))
}
