//! `tonearm check`: a line for each thing that must be right, ok or what is wrong and what to do.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use super::speaker::{JOURNAL, service_settings, tls};
use super::{sign_in, sound};
use crate::cdm;
use crate::config::Config;
use crate::device::board::Board;
use crate::device::check::{self, Finding, State};
use crate::journal;
use crate::page;
use crate::service::account::{self, Start};
use crate::service::{Client, Credentials, Patience, Quality, Question};
use crate::state::StateDir;
use tonearm_core::input::Failure;

/// The way out where no account is accepted.
const LINK: &str = "link one: `tonearm link`";

/// Looks at everything; the exit code is 0 only if all is well.
pub fn run(path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    match Config::load(path) {
        Ok(config) => examine(&config, &mut findings),
        Err(error) => findings.push(Finding::wrong("configuration", error.to_string())),
    }
    let mut out = io::stdout();
    for finding in &findings {
        writeln!(out, "{finding}").context("print the findings")?;
    }
    let well = findings.iter().all(|finding| finding.state == State::Well);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(config: &Config, findings: &mut Vec<Finding>) {
    let named = config
        .file
        .as_ref()
        .map_or("defaults; there is no file".to_owned(), |file| {
            file.display().to_string()
        });
    findings.push(Finding::well("configuration", named));
    let mut qualities = vec![Quality::Standard];
    match Board::load(&config.board) {
        Ok(board) => {
            findings.extend(check::findings(&board));
            findings.extend(sound::mixer_finding(&board.output));
            qualities = sound::qualities(&board.output);
        }
        Err(error) => findings.push(Finding::wrong("board", error.to_string())),
    }
    findings.push(page(config));
    findings.push(decryption(config));
    match StateDir::open(&config.state_dir) {
        Ok(dir) => {
            findings.push(Finding::well("state", config.state_dir.display().to_string()));
            findings.push(events(config));
            match account(config, &dir, qualities) {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(Finding::wrong("account", crate::in_words(&error))),
            }
        }
        Err(error) => findings.push(Finding::wrong("state", error.to_string())),
    }
}

/// A port that is taken is most likely taken by the speaker itself; that is how it should be.
fn page(config: &Config) -> Finding {
    let listen = config.page.listen;
    match std::net::TcpListener::bind(listen) {
        Ok(_) => Finding::well("page", format!("can listen on {listen}")),
        Err(_) if page::Client::local(listen).status().is_ok() => {
            Finding::well("page", format!("a speaker answers on {listen}"))
        }
        Err(error) => Finding::wrong("page", format!("listen on {listen}: {error}"))
            .remedied("set [page] listen to a free port; below 1024 needs CAP_NET_BIND_SERVICE"),
    }
}

/// Whether the decryption module that is configured is there. A running speaker has a connection of its own to it.
fn decryption(config: &Config) -> Finding {
    let Some(socket) = &config.cdm.socket else {
        return Finding::well("decryption", "Clear Key, which is built in; [cdm] socket is not set");
    };
    match cdm::look(socket) {
        Ok(name) => Finding::well("decryption", format!("{name:?} answers at {}", socket.display())),
        Err(error) => Finding::wrong("decryption", error.to_string())
            .remedied("start the module, or correct [cdm] socket and the socket's permissions (docs/cdm.md)"),
    }
}

fn events(config: &Config) -> Finding {
    let folder = config.state_dir.join(JOURNAL);
    if !folder.exists() {
        return Finding::well("events", "none yet");
    }
    match journal::list(&folder) {
        Ok(listing) if listing.damaged.is_empty() => {
            let (waiting, set_aside) = (listing.waiting.len(), listing.set_aside_total);
            let let_go = match listing.folded_pairs {
                0 => String::new(),
                pairs => format!(", {pairs} pairs let go for want of room"),
            };
            Finding::well("events", format!("{waiting} waiting, {set_aside} set aside{let_go}"))
        }
        Ok(listing) => Finding::wrong("events", format!("damaged files: {}", listing.damaged.join(", ")))
            .remedied("what could be read was rescued; look at them and delete them"),
        Err(error) => Finding::wrong("events", error.to_string()),
    }
}

/// Whether an account is linked, and what the service says to what the speaker would send.
///
/// A running speaker renews its tokens itself; renewing them here as well would take them away from it.
fn account(config: &Config, dir: &StateDir, qualities: Vec<Quality>) -> anyhow::Result<Vec<Finding>> {
    if config.service.client_id.is_none() {
        let account = Finding::well("account", "none; [service] client_id is not set, so nobody signs in");
        return Ok(vec![
            account,
            service(config, dir, sign_in::credentials(None), qualities),
        ]);
    }
    if let Ok(status) = page::Client::local(config.page.listen).status() {
        let mut findings = vec![account_of(&status)];
        if status.account == page::Account::Linked {
            findings.push(service(config, dir, account::stored(dir)?, qualities));
        }
        return Ok(findings);
    }
    let account = sign_in::start(config, dir, tls(config)?, Start::OnRequest, Arc::new(drop))?;
    let credentials = sign_in::credentials(account.as_ref());
    if credentials.token().is_err() {
        return Ok(vec![
            Finding::wrong("account", "not linked, so the service was not asked").remedied(LINK),
        ]);
    }
    let answer = service(config, dir, Arc::clone(&credentials), qualities);
    let account = match credentials.token() {
        Ok(_) => Finding::well("account", "linked"),
        Err(_) => Finding::wrong("account", "the sign-in does not know the link any more").remedied(LINK),
    };
    Ok(vec![account, answer])
}

/// The account as the running speaker has it.
fn account_of(status: &page::Status) -> Finding {
    let says = format!("{}, says the running speaker", status.account.name());
    match (&status.account_problem, &status.linking, status.account) {
        (Some(text), _, _) => Finding::wrong("account", text),
        (None, Some(code), _) => {
            Finding::wrong("account", says).remedied(format!("open {} and enter {}", code.address, code.code))
        }
        (None, None, page::Account::Linked) => Finding::well("account", says),
        (None, None, page::Account::NotLinked | page::Account::Linking | page::Account::Unknown) => {
            Finding::wrong("account", says).remedied(LINK)
        }
    }
}

/// Asks the service something harmless.
fn service(config: &Config, dir: &StateDir, credentials: Arc<dyn Credentials>, qualities: Vec<Quality>) -> Finding {
    let answer = tls(config)
        .and_then(|tls| service_settings(config, dir, tls, credentials, qualities))
        .and_then(|settings| Ok(Client::new(settings, Patience::default())?));
    let mut client = match answer {
        Ok(client) => client,
        Err(error) => return Finding::wrong("service", crate::in_words(&error)),
    };
    let address = &config.service.base_url;
    match client.ask(&Question::Active) {
        Ok(_) => Finding::well("service", format!("{address} answers and accepts this speaker")),
        Err(refusal) => {
            let (text, remedy) = match refusal.failure {
                Failure::Unreachable => (
                    "does not answer",
                    "check network, name server, clock and [service] base_url",
                ),
                Failure::WrongClock => (
                    "has a certificate that is not valid at this device's time",
                    "set the clock or let it be set by the network",
                ),
                Failure::Busy { .. } => ("is busy", "try again later"),
                Failure::Unauthorised => ("does not accept the account", LINK),
                Failure::Forbidden => ("forbids it", "check the account's plan and [service] api_key"),
                Failure::NotFound => ("does not know this call", "check [service] base_url"),
                Failure::Refused => ("refuses the request", "check [service] api_key and client_id"),
                Failure::TakenOver => ("plays on another device", "press play on this one"),
                Failure::Garbled => (
                    "answers what cannot be understood",
                    "is [service] base_url right, or is this a captive portal?",
                ),
            };
            Finding::wrong("service", format!("{address} {text}")).remedied(remedy)
        }
    }
}
