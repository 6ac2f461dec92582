//! The local playback service as a program of its own: what a person types at it.

use std::io::Write;

use serde_json::Value;

use crate::process::{Program, agent, free_port, until};

/// Address of a simulator once it answers.
fn is_up(port: u16) -> String {
    let address = format!("http://127.0.0.1:{port}");
    until("the simulator", || {
        let answer = agent().get(format!("{address}/sim/report")).call();
        answer.map(drop).map_err(|error| error.to_string())
    });
    address
}

#[test]
fn codes_are_approved_by_a_line_on_its_console() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let args = [
        "simulator",
        "--listen",
        &listen,
        "--state",
        "service",
        "--sign-in",
        "--code-interval",
        "0",
    ];
    let (program, mut typist) = Program::start_typed(folder.path(), "simulator", &args);
    let address = is_up(port);
    assert!(program.output().contains("approve CODE"), "{}", program.output());
    let lines = format!("  auth_url = \"{address}\"\n  client_id = ");
    assert!(program.output().contains(&lines), "{}", program.output());
    let ask = |what: &str, form: &[(&str, &str)]| -> Value {
        let answer = agent()
            .post(format!("{address}/auth/o2/{what}"))
            .send_form(form.iter().copied());
        let text = answer.unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let pair = ask(
        "create/codepair",
        &[
            ("response_type", "device_code"),
            ("client_id", "app"),
            ("scope", "music::playback"),
        ],
    );
    let code = pair["user_code"].as_str().unwrap();
    let poll = [
        ("grant_type", "device_code"),
        ("device_code", pair["device_code"].as_str().unwrap()),
        ("user_code", code),
    ];
    assert_eq!(ask("token", &poll)["error"], "authorization_pending");
    writeln!(typist, "approve {code}").unwrap();
    until("the console to answer", || {
        let said = program.output();
        if said.contains("is approved") {
            Ok(())
        } else {
            Err(said)
        }
    });
    assert_eq!(ask("token", &poll)["token_type"], "bearer");
    assert!(program.log().contains(code), "a person is told which code to approve");
}

#[test]
fn a_fault_that_is_mistyped_is_an_error_that_names_the_valid_ones() {
    let folder = tempfile::tempdir().unwrap();
    let typed = ["simulator", "--fault", "scope=events,kind=sleep"];
    let outcome = crate::process::run_in(folder.path(), &typed);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.errors.contains("`black_hole`"), "{}", outcome.errors);
}
