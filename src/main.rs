//! The program: reads the command line, sets up the log, runs a command, turns its error into an exit code.

mod app;
mod audio;
mod cdm;
mod cli;
mod commands;
mod config;
#[cfg(feature = "simulator")]
#[cfg(test)]
mod contract;
mod device;
mod document;
mod journal;
mod keys;
mod media;
mod page;
mod service;
#[cfg(feature = "simulator")]
mod simulator;
mod state;
mod tls;

#[cfg(feature = "simulator")]
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// What the log says unless `RUST_LOG` says otherwise. The decoders remark on every tag they step over.
const LOG: &str = "info,symphonia=error";

/// Where the HTTP client dumps bytes, at level trace.
const DUMPS: &str = "ureq_proto::util";

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        // Whoever reads our output has seen enough: `tonearm status | head -1`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tonearm: {}", in_words(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let source = error.root_cause().downcast_ref::<std::io::Error>();
    source.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// An error with its causes, each said once: many of ours already carry the words of their cause.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !words.contains(&cause) {
            words.push_str(": ");
            words.push_str(&cause);
        }
    }
    words
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => {
            log_to_stderr(LOG);
            commands::run::run(args.config.as_deref())?;
        }
        #[cfg(feature = "simulator")]
        Command::Demo(args) => {
            let screen = commands::screen::Screen::new();
            // For people, above the picture: without times and modules.
            logger(commands::demo::LOG)
                .format(|line, record| writeln!(line, "{}", record.args()))
                .target(env_logger::Target::Pipe(Box::new(screen.clone())))
                .init();
            commands::demo::run(args, &screen)?;
        }
        #[cfg(feature = "simulator")]
        Command::Simulator(args) => {
            log_to_stderr(LOG);
            commands::simulator::run(args)?;
        }
        Command::Check(args) => {
            log_to_stderr("error");
            return commands::check::run(args.config.as_deref());
        }
        Command::Link(args) => {
            log_to_stderr("warn");
            return commands::link::run(&args);
        }
        Command::Journal(args) => {
            log_to_stderr("warn");
            commands::journal::run(&args)?;
        }
        Command::Press(args) => {
            log_to_stderr("warn");
            commands::remote::press(&args)?;
        }
        Command::Status(args) => {
            log_to_stderr("warn");
            commands::remote::status(&args)?;
        }
        Command::Play(args) => {
            log_to_stderr("warn");
            commands::remote::play(&args)?;
        }
        Command::Queue(args) => {
            log_to_stderr("warn");
            commands::remote::queue(&args)?;
        }
        Command::PlayTone(args) => {
            log_to_stderr("warn");
            commands::sound::play_tone(&args)?;
        }
        Command::WatchButtons(args) => {
            log_to_stderr("info");
            commands::sound::watch_buttons(args.config.as_deref())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(usual: &str) {
    logger(usual).init();
}

/// `RUST_LOG` decides; without it, `usual`. What no level shows are the bytes of requests and answers: they hold tokens.
fn logger(usual: &str) -> env_logger::Builder {
    let mut logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(usual));
    hide_dumps(&mut logger);
    logger
}

fn hide_dumps(logger: &mut env_logger::Builder) {
    logger.filter_module(DUMPS, log::LevelFilter::Debug);
}

#[cfg(test)]
mod tests {
    use log::{Level, Log as _, Metadata};

    use super::{hide_dumps, in_words};

    #[test]
    fn no_level_shows_the_bytes_of_requests() {
        for filters in ["trace", "ureq_proto=trace", "trace,ureq_proto::util=trace"] {
            let mut logger = env_logger::Builder::new();
            logger.parse_filters(filters);
            hide_dumps(&mut logger);
            let logger = logger.build();
            let shows = |target| logger.enabled(&Metadata::builder().level(Level::Trace).target(target).build());
            assert!(!shows("ureq_proto::util"), "{filters}");
            assert!(shows("ureq_proto::client"), "{filters}");
        }
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let error = anyhow::anyhow!("disk full")
            .context("write state: disk full")
            .context("start");
        assert_eq!(in_words(&error), "start: write state: disk full");
    }
}
