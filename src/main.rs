//! The program: reads the command line, sets up the log, runs a command, turns its error into an exit code.

mod app;
mod audio;
mod cli;
mod commands;
mod config;
mod device;
mod document;
mod journal;
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

/// `RUST_LOG` decides; without it, `usual`.
fn logger(usual: &str) -> env_logger::Builder {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(usual))
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let error = anyhow::anyhow!("disk full")
            .context("write state: disk full")
            .context("start");
        assert_eq!(in_words(&error), "start: write state: disk full");
    }
}
