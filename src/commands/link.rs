//! `tonearm link`: shows an address and a code, waits until it was entered. A running speaker does the linking itself
//! and is only watched; without one it is done here.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::run::runtime;
use super::sign_in;
use super::speaker::tls;
use crate::cli::LinkArgs;
use crate::config::{self, Config};
use crate::device::clock;
use crate::page::{self, Client, ClientError, Invitation};
use crate::service::account::{Account, News, Start, Why};
use crate::state::StateDir;

/// How often a running speaker is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so many looks without a code somebody wants to know why.
const LOOKS_IN_VAIN: usize = 20;
/// A speaker that was asked to forget does so at once, or after the request it is waiting for.
const FORGET_LOOKS_MAX: usize = 40;
/// News that wait to be printed: a few in ten minutes.
const NEWS_MAX: usize = 16;
/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Links or forgets. The exit code is 0 if an account is linked in the end, or forgotten as asked.
///
/// # Errors
/// Linking is not possible: what to correct.
pub fn run(args: &LinkArgs) -> anyhow::Result<ExitCode> {
    let config = Config::load(args.config.config.as_deref())?;
    if config.service.client_id.is_none() {
        let file = config.file.as_deref().unwrap_or(config::PATH.as_ref()).display();
        bail!("nothing to link with: set client_id in [service] of {file} to the name of this product at the sign-in");
    }
    let speaker = Client::local(config.page.listen);
    let is_running = match speaker.status() {
        Ok(_) => true,
        Err(ClientError::NoSpeaker { .. } | ClientError::NotASpeaker { .. }) => false,
        Err(error @ ClientError::Refused { .. }) => return Err(error.into()),
    };
    runtime()?.block_on(async {
        let work = async {
            match (is_running, args.forget) {
                (true, false) => watch(&speaker).await,
                (true, true) => have_forgotten(&speaker).await,
                (false, false) => link(&config).await,
                (false, true) => forget(&config).await,
            }
        };
        tokio::select! {
            done = work => done,
            pressed = tokio::signal::ctrl_c() => {
                pressed.context("wait for Ctrl-C")?;
                say("\nleft; nothing was linked here")?;
                Ok(ExitCode::from(INTERRUPTED))
            }
        }
    })
}

/// Asks the running speaker for a code and follows it to the end.
async fn watch(speaker: &Client) -> anyhow::Result<ExitCode> {
    if speaker.status()?.account == page::Account::Linked {
        return linked_already();
    }
    speaker.link()?;
    let mut shown: Option<Invitation> = None;
    let mut looks = 0_usize;
    loop {
        looks = looks.saturating_add(1);
        if looks == LOOKS_IN_VAIN && shown.is_none() {
            say("No code yet: the speaker does not reach the sign-in, and its log says why. Waiting; Ctrl-C leaves.")?;
        }
        let status = speaker.status()?;
        if let Some(text) = status.account_problem {
            bail!("{text}");
        }
        match (status.account, status.linking) {
            (page::Account::Linked, _) => return linked(),
            (_, Some(code)) if shown.as_ref().map(|shown| &shown.code) != Some(&code.code) => {
                say(&invitation(&code))?;
                shown = Some(code);
            }
            (page::Account::NotLinked, None) if shown.is_some() => return declined(),
            (page::Account::NotLinked | page::Account::Linking | page::Account::Unknown, _) => {}
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn have_forgotten(speaker: &Client) -> anyhow::Result<ExitCode> {
    speaker.unlink()?;
    for _ in 0..FORGET_LOOKS_MAX {
        if speaker.status()?.account != page::Account::Linked {
            return forgotten();
        }
        sleep(LOOK_EVERY).await;
    }
    bail!("the speaker did not forget the account in time; see its log")
}

/// The account thread of this process, and its news.
fn account(config: &Config) -> anyhow::Result<(Account, mpsc::Receiver<News>)> {
    let dir = StateDir::open(&config.state_dir)?;
    let (sender, news) = mpsc::channel(NEWS_MAX);
    let post = Arc::new(move |news| {
        if sender.try_send(news).is_err() {
            log::debug!("news of the account that nobody reads any more");
        }
    });
    let account = sign_in::start(config, &dir, tls(config)?, Start::OnRequest, post)?;
    Ok((account.context("set [service] client_id")?, news))
}

async fn link(config: &Config) -> anyhow::Result<ExitCode> {
    let (account, mut news) = account(config)?;
    if next(&mut news).await? == News::Linked {
        return linked_already();
    }
    account.link();
    loop {
        match next(&mut news).await? {
            News::Linking { address, code, until } => {
                let expires_in_s = until.since(clock::now()).0 / 1000;
                say(&invitation(&Invitation {
                    address,
                    code,
                    expires_in_s,
                }))?;
            }
            News::Linked => return linked(),
            News::Unlinked(Why::Declined) => return declined(),
            News::Unlinked(Why::Never | Why::Asked | Why::Revoked) => {}
            News::Misconfigured(text) => bail!("{text}"),
        }
    }
}

async fn forget(config: &Config) -> anyhow::Result<ExitCode> {
    let (account, mut news) = account(config)?;
    if next(&mut news).await? != News::Linked {
        say("no account is linked")?;
        return Ok(ExitCode::SUCCESS);
    }
    account.unlink();
    while next(&mut news).await? != News::Unlinked(Why::Asked) {}
    forgotten()
}

async fn next(news: &mut mpsc::Receiver<News>) -> anyhow::Result<News> {
    news.recv().await.context("the account thread ended")
}

fn invitation(invitation: &Invitation) -> String {
    let Invitation {
        address,
        code,
        expires_in_s,
    } = invitation;
    let minutes = expires_in_s.div_ceil(60);
    format!(
        "To link an account with this speaker, open\n\n    {address}\n\non any device and enter this code:\n\n    \
         {code}\n\nIt is good for {minutes} min; then another one is shown here. Waiting; Ctrl-C leaves."
    )
}

fn linked() -> anyhow::Result<ExitCode> {
    say("The account is linked.")?;
    Ok(ExitCode::SUCCESS)
}

fn linked_already() -> anyhow::Result<ExitCode> {
    say("An account is linked already; `tonearm link --forget` unlinks it.")?;
    Ok(ExitCode::SUCCESS)
}

fn forgotten() -> anyhow::Result<ExitCode> {
    say("The account is forgotten. It can be linked again with `tonearm link`.")?;
    Ok(ExitCode::SUCCESS)
}

fn declined() -> anyhow::Result<ExitCode> {
    say("Linking was declined. `tonearm link` asks for another code.")?;
    Ok(ExitCode::FAILURE)
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("print")
}
